"""The store decides which news is older, whatever the order in which it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidb_volume.kube.store import Change, Store
from tidb_volume.upstream import ConfigMap
from tidb_volume.value import Meta


def made(name: str, version: int, uid: str = "u1", **data: str) -> ConfigMap:
    meta = Meta(name=name, namespace="ns", uid=uid, resource_version=str(version))
    return ConfigMap(metadata=meta, data=data)


def listed(*items: ConfigMap, at: int) -> Store[ConfigMap]:
    store: Store[ConfigMap] = Store()
    store.replace(items, at)
    return store


def versions(store: Store[ConfigMap]) -> dict[str, int]:
    return {item.metadata.name: int(item.metadata.resource_version) for item in store.all()}


def test_absence_means_nothing_before_the_first_list() -> None:
    store: Store[ConfigMap] = Store()
    assert not store.synced
    assert not store.wait_synced(0)
    store.replace([], 1)
    assert store.synced


def test_a_newer_version_replaces_and_an_older_one_does_not() -> None:
    store = listed(made("a", 5), at=5)
    assert store.put(made("a", 9))
    assert not store.put(made("a", 7))
    assert not store.put(made("a", 9))
    assert versions(store) == {"a": 9}


def test_versions_compare_as_numbers() -> None:
    store = listed(made("a", 9), at=9)
    assert store.put(made("a", 10))


def test_a_write_is_seen_at_once_and_its_echo_changes_nothing() -> None:
    store = listed(made("a", 5), at=5)
    changes: list[Change[ConfigMap]] = []
    store.on_change(changes.append)
    store.put(made("a", 8))
    store.heard(made("a", 8))
    assert [change.key for change in changes] == [("ns", "a")]


def test_an_event_older_than_a_write_does_not_undo_it() -> None:
    store = listed(made("a", 5), at=5)
    store.put(made("a", 8))
    store.heard(made("a", 7))
    assert versions(store) == {"a": 8}


def test_a_late_write_of_a_deleted_object_does_not_bring_it_back() -> None:
    store = listed(made("a", 5), at=5)
    store.heard_deleted(made("a", 8))
    assert not store.put(made("a", 7))
    assert versions(store) == {}


def test_late_events_of_an_object_that_a_writer_removed_do_not_bring_it_back() -> None:
    store = listed(made("a", 5), at=5)
    assert store.remove(made("a", 5))
    store.heard(made("a", 6))
    assert versions(store) == {}
    store.heard_deleted(made("a", 7))
    assert versions(store) == {}
    store.heard(made("a", 8, uid="u2"))
    assert versions(store) == {"a": 8}


def test_a_list_from_before_a_writers_delete_does_not_bring_the_object_back() -> None:
    store = listed(made("a", 5), at=5)
    store.remove(made("a", 5))
    store.replace([made("a", 5)], 6)
    assert versions(store) == {}


def test_the_delete_of_an_old_object_leaves_its_successor_alone() -> None:
    store = listed(made("a", 5), at=5)
    store.put(made("a", 9, uid="u2"))
    store.heard_deleted(made("a", 8))
    assert not store.remove(made("a", 5))
    assert versions(store) == {"a": 9}


def test_a_list_removes_what_vanished_and_says_so() -> None:
    store = listed(made("a", 5), made("b", 6), at=6)
    changes: list[Change[ConfigMap]] = []
    store.on_change(changes.append)
    store.replace([made("b", 6)], 20)
    assert [(change.key[1], change.new, change.listed) for change in changes] == [("a", None, True)]


def test_a_list_keeps_what_was_written_after_it() -> None:
    store = listed(made("a", 5), at=5)
    store.put(made("b", 12))
    store.put(made("a", 11))
    store.replace([made("a", 5)], 10)
    assert versions(store) == {"a": 11, "b": 12}


def test_a_list_older_than_what_was_known_before_it_was_asked_for_is_another_history() -> None:
    store = listed(made("a", 50), made("b", 40), at=50)
    mark = store.mark()
    store.replace([made("a", 7), made("c", 8)], 10, mark)
    assert versions(store) == {"a": 7, "c": 8}
    store.heard(made("a", 11))
    assert versions(store) == {"a": 11, "c": 8}


def test_a_write_during_a_list_is_not_taken_for_another_history() -> None:
    store = listed(made("a", 5), at=5)
    mark = store.mark()
    store.put(made("a", 30))
    store.replace([made("a", 5)], 10, mark)
    assert versions(store) == {"a": 30}


def test_indexes_follow_every_change() -> None:
    store = listed(made("a", 1, color="red"), made("b", 2, color="blue"), at=2)
    store.add_index("color", lambda item: [item.data["color"]] if "color" in item.data else [])

    def red() -> list[str]:
        return [item.metadata.name for item in store.by_index("color", "red")]

    assert red() == ["a"]
    store.put(made("b", 3, color="red"))
    assert sorted(red()) == ["a", "b"]
    store.put(made("a", 4))
    assert red() == ["b"]
    store.remove(made("b", 5))
    assert red() == []
    assert store.index_keys("color") == ()
    assert store.by_index("color", "green") == ()


def test_a_handler_is_called_when_the_store_has_changed() -> None:
    store = listed(at=1)
    seen: list[ConfigMap | None] = []
    store.on_change(lambda change: seen.append(store.get("a", "ns")))
    store.put(made("a", 2))
    assert [item is not None for item in seen] == [True]


def test_a_snapshot_does_not_change() -> None:
    store = listed(made("a", 1), at=1)
    before = store.all()
    store.put(made("b", 2))
    assert len(before) == 1
    assert len(store.all()) == len(store) == 2


# A server's history of a few objects, told late and twice by writers, and in order by the reflector.

Write = tuple[str, bool]


@given(
    history=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12),
    noise=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20),
    joined=st.integers(0, 12),
)
def test_whatever_writers_tell_late_the_store_ends_at_what_the_server_holds(
    history: list[Write], noise: list[tuple[int, int]], joined: int
) -> None:
    now: dict[str, ConfigMap] = {}
    states: list[dict[str, ConfigMap]] = [{}]
    events: list[tuple[str, ConfigMap]] = []
    last: dict[int, ConfigMap] = {}
    for version, (name, put) in enumerate(history, start=1):
        old = now.get(name)
        if put:
            uid = old.metadata.uid if old is not None else f"{name}{version}"
            now[name] = made(name, version, uid)
            events.append(("put", now[name]))
        elif old is not None:
            last[len(events)] = now.pop(name)
            events.append(("gone", made(name, version, old.metadata.uid)))
        else:
            events.append(("none", made(name, version)))
        states.append(dict(now))
    store: Store[ConfigMap] = Store()
    joined = min(joined, len(events))
    store.replace(states[joined].values(), joined)
    for at, (kind, item) in enumerate(events[joined:], start=joined):
        for when, which in noise:
            # a writer's answer is known to it once the server has made it, and may be told any time later
            if when == at and which <= at and events[which][0] == "put":
                store.put(events[which][1])
            elif when == at and which in last and which <= at:
                store.remove(last[which])
        if kind == "put":
            store.heard(item)
        elif kind == "gone":
            store.heard_deleted(item)
        else:
            store.heard_up_to(int(item.metadata.resource_version))
    assert {item.metadata.name: item for item in store.all()} == now


def turned(store: Store[ConfigMap], *items: ConfigMap, at: int, mark: int | None = None) -> bool:
    """Whether a list shows that etcd was set back; what it holds is what is known then in any case."""
    noticed: list[dict[str, int]] = []
    store.on_set_back(lambda: noticed.append(versions(store)))
    before = versions(store)
    store.replace(items, at, store.mark() if mark is None else mark)
    assert noticed in ([], [before]), "it is told once, before anything of the list is known"
    return bool(noticed)


def test_a_first_list_and_one_after_it_are_one_history() -> None:
    store: Store[ConfigMap] = Store()
    assert not turned(store, made("a", 5), at=9)
    assert not turned(store, made("a", 5), made("b", 12), at=14)
    assert not turned(store, made("b", 20), at=20)


def test_a_list_older_than_what_was_known_before_it_is_of_another_history() -> None:
    store = listed(made("a", 5), made("b", 20), at=20)
    assert turned(store, made("a", 5), at=12)
    assert versions(store) == {"a": 5}


def test_a_newer_list_with_an_older_object_is_of_another_history() -> None:
    """As after `etcdutl snapshot restore --bump-revision`: versions go on, objects are as they were."""
    store = listed(made("a", 5), at=5)
    store.heard(made("a", 8))
    assert turned(store, made("a", 5), at=1_000_000)
    assert versions(store) == {"a": 5}


def test_a_newer_list_with_an_object_that_was_deleted_is_of_another_history() -> None:
    for forget in (Store.heard_deleted, Store.remove):
        store = listed(made("a", 5), made("b", 9), at=9)
        forget(store, made("a", 12))
        store.heard_deleted(made("a", 12))
        assert turned(store, made("a", 5), made("b", 9), at=1_000_000)
        assert versions(store) == {"a": 5, "b": 9}


def test_what_was_written_while_a_list_was_under_way_is_no_other_history() -> None:
    store = listed(made("a", 5), made("b", 5), made("c", 5), at=5)
    mark = store.mark()
    store.put(made("a", 12))
    store.remove(made("b", 11))
    store.put(made("d", 13))
    assert not turned(store, made("a", 5), made("b", 5), made("c", 5), at=10, mark=mark)
    assert versions(store) == {"a": 12, "c": 5, "d": 13}
