"""The reflector keeps its store equal to the server, whatever happens to the connection or to etcd."""

from __future__ import annotations

import json
import random
import threading
from typing import Any

import msgspec
import pytest

from tests.model.apiserver import ApiServer
from tests.model.faults import Call, Fault, Faulty, broken, busy, lost
from tidb_volume import upstream, value
from tidb_volume.kube import client, kinds, transport
from tidb_volume.kube.reflector import LONGEST_WATCH_S, SHORTEST_WATCH_S, Reflector
from tidb_volume.kube.store import Change, Store


class Spec(value.Value, frozen=True):
    pool: int


class Strange(value.Value, frozen=True):
    metadata: value.Meta
    spec: Spec


class Rig:
    """A reflector on a model, pulled step by step."""

    def __init__(self, *, blocking: bool = False, **options: Any) -> None:
        self.server = ApiServer(blocking=blocking)
        self.api = self.server.client()
        self.faulty = Faulty(self.server)
        self.store: Store[upstream.ConfigMap] = Store()
        self.stop = transport.Stop()
        self.now = 0.0
        self.changes: list[Change[upstream.ConfigMap]] = []
        self.store.on_change(self.changes.append)
        self.reflector: Reflector[upstream.ConfigMap] = Reflector(
            client.Client(self.faulty, manager="reflector"),
            kinds.CONFIG_MAP,
            self.store,
            stop=self.stop,
            clock=lambda: self.now,
            chance=random.Random(1),
            **options,
        )

    def make(self, *names: str) -> None:
        for name in names:
            self.api.create(kinds.CONFIG_MAP, {"metadata": {"name": name, "labels": {"of": name}}}, "default")

    def change(self, name: str) -> None:
        patch = {"data": {"at": str(self.server.version)}}
        self.api.merge_patch(kinds.CONFIG_MAP, name, patch, "default")

    def delete(self, name: str) -> None:
        self.api.delete(kinds.CONFIG_MAP, name, "default")

    def steps(self, count: int) -> list[float]:
        return [self.reflector.step() for _ in range(count)]

    def same(self) -> bool:
        there = {
            document["metadata"]["resourceVersion"] for document in self.server.documents(kinds.CONFIG_MAP)
        }
        return there == {item.metadata.resource_version for item in self.store.all()}

    def lists(self) -> int:
        return sum(call.method == "GET" for call in self.faulty.calls)


def watches(call: Call) -> bool:
    return call.method == "WATCH"


def reads(call: Call) -> bool:
    return call.method == "GET"


def test_it_lists_and_then_listens() -> None:
    rig = Rig()
    rig.make("a", "b")
    assert not rig.reflector.has_synced
    rig.steps(1)
    assert rig.reflector.has_synced
    rig.make("c")
    rig.change("a")
    rig.delete("b")
    rig.steps(1)
    assert rig.same()
    told = [(change.key[1], change.new is not None, change.listed) for change in rig.changes]
    assert told == [
        ("a", True, True),
        ("b", True, True),
        ("c", True, False),
        ("a", True, False),
        ("b", False, False),
    ]


def test_it_lists_in_pages() -> None:
    rig = Rig(page=2)
    rig.make(*"abcde")
    rig.steps(1)
    assert len(rig.store) == 5
    assert rig.lists() == 3


def test_a_list_whose_pages_expire_is_asked_for_in_one() -> None:
    rig = Rig(page=2)
    rig.make(*"abcde")
    pages: list[Call] = []

    def second_page(call: Call) -> bool:
        if reads(call):
            pages.append(call)
        return len(pages) == 2

    rig.faulty.faults.append(Fault(second_page, then=rig.server.compact))
    rig.steps(1)
    assert not rig.reflector.has_synced
    rig.steps(1)
    assert rig.same()
    assert rig.lists() == 3


def test_after_a_break_it_goes_on_where_it_was() -> None:
    rig = Rig()
    rig.make("a")
    rig.steps(2)
    rig.faulty.faults.append(Fault(watches, lost()))
    rig.make("b")
    rig.steps(2)
    assert rig.same()
    assert all(change.listed is (change.key[1] == "a") for change in rig.changes)


def test_a_forgotten_place_is_listed_anew_and_what_vanished_is_told() -> None:
    rig = Rig()
    rig.make("a", "b")
    rig.steps(2)
    rig.delete("a")
    rig.make("c")
    rig.server.compact()
    rig.steps(2)
    assert rig.same()
    gone = [change.key[1] for change in rig.changes if change.new is None]
    assert gone == ["a"]


def test_an_etcd_that_was_set_back_is_noticed_though_its_watch_says_nothing() -> None:
    rig = Rig()
    rig.make("a")
    backup = rig.server.snapshot()
    rig.make("b", "c")
    rig.change("a")
    rig.steps(2)
    rig.server.restore(backup)
    rig.steps(2)
    assert rig.same()
    rig.make("d")
    rig.steps(1)
    assert rig.same()


def test_an_etcd_that_was_set_back_is_told_of_though_versions_have_caught_up_at_the_list() -> None:
    rig = Rig()
    rig.make("a")
    backup = rig.server.snapshot()
    rig.make("b", "c")
    rig.steps(2)
    noticed: list[int] = []
    rig.store.on_set_back(lambda: noticed.append(1))
    rig.server.restore(backup)
    rig.steps(1)
    assert not noticed
    for name in ("n1", "n2", "n3"):
        rig.api.create(kinds.NODE, {"metadata": {"name": name}})
    rig.steps(1)
    assert noticed == [1]
    assert rig.same()
    rig.make("d")
    rig.steps(1)
    assert noticed == [1]
    assert rig.same()
    rig.make("e")
    rig.server.compact()
    lists = rig.lists()
    rig.steps(2)
    assert rig.lists() > lists + 1
    assert noticed == [1]


def test_what_a_list_does_not_show_is_not_forgotten_for_a_list_that_fails() -> None:
    rig = Rig(page=1)
    rig.make("a", "b")
    backup = rig.server.snapshot()
    rig.make("c")
    rig.steps(2)
    noticed: list[int] = []
    rig.store.on_set_back(lambda: noticed.append(1))
    rig.server.restore(backup)
    rig.steps(1)
    rig.api.create(kinds.NODE, {"metadata": {"name": "n1"}})
    rig.faulty.faults.append(Fault(reads, then=rig.server.compact, after=True))
    rig.steps(1)
    assert not rig.same()
    rig.steps(1)
    assert noticed == [1]
    assert rig.same()


def test_a_server_that_has_not_got_to_our_place_was_set_back() -> None:
    rig = Rig()
    rig.make("a")
    backup = rig.server.snapshot()
    rig.make("b")
    rig.steps(1)
    noticed: list[int] = []
    rig.store.on_set_back(lambda: noticed.append(1))
    rig.server.restore(backup)
    cause = transport.Cause(reason="ResourceVersionTooLarge")
    behind = transport.ApiError(504, "Timeout", "too large", details=transport.Details(causes=(cause,)))
    rig.faulty.faults.append(Fault(watches, behind))
    rig.steps(1)
    rig.api.create(kinds.NODE, {"metadata": {"name": "n1"}})
    rig.steps(1)
    assert noticed == [1]
    assert rig.same()


def test_an_etcd_that_was_set_back_with_its_versions_bumped_is_taken_as_it_is() -> None:
    rig = Rig()
    rig.make("a", "b")
    backup = rig.server.snapshot()
    rig.steps(2)
    rig.change("a")
    rig.delete("b")
    rig.make("c")
    rig.steps(1)
    noticed: list[int] = []
    rig.store.on_set_back(lambda: noticed.append(1))
    rig.server.restore(backup, bump=1000)
    rig.steps(2)
    assert rig.same()
    assert noticed == [1]
    rig.change("a")
    rig.steps(1)
    assert rig.same()
    assert noticed == [1]


@pytest.mark.parametrize("error", [lost(), broken(), busy(7.0)])
def test_trouble_is_waited_out_and_said(error: Exception) -> None:
    rig = Rig()
    rig.make("a")
    rig.faulty.faults.append(Fault(lambda _: True, error, times=3))
    pauses = rig.steps(3)
    assert rig.reflector.trouble == str(error)
    assert not rig.reflector.has_synced
    longest = 7.0 if isinstance(error, transport.ApiError) and error.retry_after else 0.8
    assert all(0 < pause <= longest for pause in pauses)
    rig.steps(1)
    assert rig.reflector.trouble == ""
    assert rig.same()


def test_pauses_grow_up_to_half_a_minute_and_begin_anew_after_good_news() -> None:
    rig = Rig()
    rig.make("a")
    rig.steps(1)
    rig.faulty.faults.append(Fault(watches, broken(), times=12))
    pauses = rig.steps(12)
    assert 15 <= max(pauses) <= 30
    rig.make("b")
    rig.steps(1)
    rig.faulty.faults.append(Fault(watches, broken()))
    assert rig.steps(1)[0] <= 0.4


def test_a_watch_that_ends_at_once_again_and_again_is_not_asked_for_in_a_rush() -> None:
    rig = Rig()
    rig.steps(1)
    rig.faulty.faults.append(Fault(watches, times=100))
    assert all(pause > 0 for pause in rig.steps(5))


def test_a_watch_that_lasted_its_time_is_renewed_at_once_and_without_a_read() -> None:
    rig = Rig()
    rig.steps(1)
    before = rig.lists()

    def later() -> None:
        rig.now += LONGEST_WATCH_S

    rig.faulty.faults.append(Fault(watches, then=later, after=1, times=3))
    assert rig.steps(3) == [0.0, 0.0, 0.0]
    assert rig.lists() == before
    assert SHORTEST_WATCH_S < LONGEST_WATCH_S


def test_bookmarks_move_its_place() -> None:
    rig = Rig(labels="of=a")
    rig.make("a")
    rig.steps(1)
    rig.make("b")
    rig.steps(1)
    rig.server.compact()
    before = rig.lists()
    rig.steps(1)
    assert rig.lists() - before == 1
    assert rig.reflector.trouble == ""
    assert len(rig.store) == 1


def test_selectors_go_to_the_server() -> None:
    rig = Rig(labels="of=a", namespace="default")
    rig.make("a", "b")
    rig.steps(1)
    rig.make("c")
    rig.steps(1)
    assert [item.metadata.name for item in rig.store.all()] == ["a"]


def test_an_object_that_cannot_be_read_is_trouble_and_not_absence() -> None:
    server = ApiServer()
    api = server.client()
    spec = {"nodeName": "n", "pool": "p", "source": {"path": "/data/a"}}
    api.create(kinds.TIDB_VOLUME, {"metadata": {"name": "good"}, "spec": spec})
    odd = kinds.Kind("TidbVolume", kinds.TIDB_VOLUME.api_version, "tidbvolumes", Strange)
    store: Store[Strange] = Store()
    reflector = Reflector(api, odd, store, stop=transport.Stop())
    assert reflector.step() > 0
    assert not reflector.has_synced
    assert "good" in reflector.trouble
    assert "$.spec.pool" in reflector.trouble


class Unversioned(transport.Transport):
    """A server, or what stands before it, that says no version while `says` has one to say instead."""

    def __init__(self, inner: transport.Transport) -> None:
        self.inner = inner
        self.says: str | None = None

    def request(self, *args: Any, **more: Any) -> transport.Response:
        answer = self.inner.request(*args, **more)
        if self.says is None:
            return answer
        document = json.loads(answer.body)
        document["metadata"] = {"resourceVersion": self.says}
        return msgspec.structs.replace(answer, body=json.dumps(document).encode())

    def stream(self, *args: Any, **more: Any) -> Any:
        return self.inner.stream(*args, **more)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("said", ["", "x", "-1", "1.5", "\u0663"])
def test_an_answer_without_a_version_is_trouble_and_ends_no_thread(said: str) -> None:
    rig = Rig()
    rig.make("a")
    over = Unversioned(rig.faulty)
    api = client.Client(over, manager="reflector")
    reflector = Reflector(api, kinds.CONFIG_MAP, rig.store, stop=rig.stop, chance=random.Random(1))
    over.says = said
    assert all(0 < reflector.step() < 10 for _ in range(4))
    assert not reflector.has_synced
    assert "resourceVersion" in reflector.trouble
    over.says = None
    assert reflector.step() == 0.0
    assert (reflector.trouble, rig.same()) == ("", True)
    reflector.step()  # a watch that ends before its time: the place is doubted
    over.says = said
    assert reflector.step() > 0
    assert "resourceVersion" in reflector.trouble
    over.says = None
    rig.make("b")
    reflector.step()
    assert rig.same()


def test_it_knows_how_long_the_server_has_been_silent() -> None:
    rig = Rig()
    assert rig.reflector.silent_for() is None
    rig.steps(1)
    rig.now += 5
    assert rig.reflector.silent_for() == 5


def test_it_ends_at_once_in_the_middle_of_a_watch() -> None:
    rig = Rig(blocking=True)
    thread = threading.Thread(target=rig.reflector.run)
    thread.start()
    assert rig.store.wait_synced(10)
    rig.stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_thread_hears_what_is_written() -> None:
    rig = Rig(blocking=True)
    heard = threading.Event()
    rig.store.on_change(lambda change: heard.set() if change.key[1] == "b" else None)
    thread = threading.Thread(target=rig.reflector.run)
    thread.start()
    assert rig.store.wait_synced(10)
    rig.make("b")
    assert heard.wait(10)
    rig.stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_it_ends_equal_to_the_server_after_any_mixture_of_trouble() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        rig = Rig(page=2)
        backups = [rig.server.snapshot()]
        for _ in range(60):
            match chance.randrange(12):
                case 0 | 1 | 2:
                    name = f"n{chance.randrange(6)}"
                    if rig.server.document(kinds.CONFIG_MAP, name, "default") is None:
                        rig.make(name)
                    elif chance.random() < 0.5:
                        rig.change(name)
                    else:
                        rig.delete(name)
                case 3:
                    rig.server.compact()
                case 4:
                    backups.append(rig.server.snapshot())
                case 5:
                    rig.server.restore(chance.choice(backups))
                case 6:
                    error = chance.choice([lost(), broken(), busy()])
                    rig.faulty.faults.append(Fault(lambda _: True, error, after=chance.randrange(3)))
                case _:
                    rig.steps(1)
        rig.faulty.faults.clear()
        rig.server.cut_watches()
        rig.steps(4)
        assert rig.same(), f"seed {seed}"
