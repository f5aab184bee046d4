"""What we count on an API server to do: each case runs on the model and on a real server, through each
transport.

A case makes what it needs under a name of its own, so that it may run on any cluster, beside anything.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from tidb_volume.kube import kinds, transport
from tidb_volume.kube.client import Client

NAMESPACE = "default"
Json = dict[str, Any]


class Server(NamedTuple):
    """A server to try, and a name that nobody else has."""

    api: Client
    name: str

    def volume(self, name: str = "", **spec: Any) -> Json:
        wanted = {"nodeName": self.name, "pool": "tikv", "source": {"path": "/data/a"}, **spec}
        return {"metadata": {"name": name or self.name, "labels": {"case": self.name}}, "spec": wanted}

    def config_map(self, **data: str) -> Json:
        return {"metadata": {"name": self.name, "labels": {"case": self.name}}, "data": data}

    def pv(self, **spec: Any) -> Json:
        wanted = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"},
            "storageClassName": self.name,
            **spec,
        }
        return {"metadata": {"name": self.name}, "spec": wanted}

    def raw(self, path: str) -> Json:
        answer: Json = msgspec.json.decode(self.api.transport.request("GET", path).body)
        return answer


def refused(error: pytest.ExceptionInfo[transport.ApiError]) -> tuple[int, str]:
    return error.value.status, error.value.reason


# --- create and read ---


def test_a_created_object_has_a_uid_and_a_version(server: Server) -> None:
    made = server.api.create(kinds.CONFIG_MAP, server.config_map(a="b"), NAMESPACE)
    assert made.metadata.uid
    assert int(made.metadata.resource_version) > 0
    assert made.metadata.namespace == NAMESPACE
    assert server.api.get(kinds.CONFIG_MAP, server.name, NAMESPACE) == made


def test_what_does_not_exist_is_not_found(server: Server) -> None:
    with pytest.raises(transport.ApiError) as error:
        server.api.get(kinds.PV, server.name)
    assert refused(error) == (404, "NotFound")
    assert error.value.not_found
    assert server.api.find(kinds.PV, server.name) is None


def test_a_kind_that_is_not_served_is_not_found(server: Server) -> None:
    other = kinds.Kind("Thing", "nowhere.example/v1", "things", kinds.CONFIG_MAP.type)
    with pytest.raises(transport.ApiError) as error:
        server.api.list(other)
    assert error.value.not_found


def test_a_name_can_be_taken_once(server: Server) -> None:
    server.api.create(kinds.CONFIG_MAP, server.config_map(), NAMESPACE)
    with pytest.raises(transport.ApiError) as error:
        server.api.create(kinds.CONFIG_MAP, server.config_map(), NAMESPACE)
    assert error.value.exists
    assert not error.value.conflict


def test_a_create_ignores_the_status_of_a_custom_resource(server: Server) -> None:
    document = {**server.volume(), "status": {"phase": "Bound"}}
    assert server.api.create(kinds.TIDB_VOLUME, document).status.phase == "Pending"
    assert "status" not in server.raw(kinds.TIDB_VOLUME.path(server.name))


def test_a_field_that_the_schema_lacks_is_refused_and_not_dropped(server: Server) -> None:
    with pytest.raises(transport.ApiError) as error:
        server.api.create(kinds.TIDB_VOLUME, server.volume(nodeNaem="n1"))
    assert refused(error) == (400, "BadRequest")
    assert error.value.invalid
    assert 'unknown field "spec.nodeNaem"' in error.value.message
    assert server.api.find(kinds.TIDB_VOLUME, server.name) is None


def test_a_value_that_the_schema_forbids_is_invalid_and_names_the_field(server: Server) -> None:
    with pytest.raises(transport.ApiError) as error:
        server.api.create(kinds.TIDB_VOLUME, server.volume(volumeMode="Tape"))
    assert refused(error) == (422, "Invalid")
    assert "spec.volumeMode" in [cause.field for cause in error.value.details.causes]


def test_a_required_field_that_is_missing_is_invalid(server: Server) -> None:
    document = server.volume()
    del document["spec"]["pool"]
    with pytest.raises(transport.ApiError) as error:
        server.api.create(kinds.TIDB_VOLUME, document)
    assert error.value.invalid


# --- patches ---


def test_a_merge_patch_sets_and_removes(server: Server) -> None:
    server.api.create(kinds.CONFIG_MAP, server.config_map(a="1", b="2"), NAMESPACE)
    patch = {"data": {"a": None, "c": "3"}}
    assert server.api.merge_patch(kinds.CONFIG_MAP, server.name, patch, NAMESPACE).data == {
        "b": "2",
        "c": "3",
    }


def test_a_patch_that_changes_nothing_makes_no_new_version(server: Server) -> None:
    made = server.api.create(kinds.TIDB_VOLUME, server.volume())
    same = server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"spec": {"pool": "tikv"}})
    assert same.metadata.resource_version == made.metadata.resource_version


def test_the_generation_counts_changes_of_the_spec_alone(server: Server) -> None:
    made = server.api.create(kinds.TIDB_VOLUME, server.volume())
    labelled = server.api.merge_patch(
        kinds.TIDB_VOLUME, server.name, {"metadata": {"annotations": {"a": "b"}}}
    )
    changed = server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"spec": {"pool": "other"}})
    generations = [each.metadata.generation for each in (made, labelled, changed)]
    assert generations == [1, 1, 2]


def test_a_patch_of_an_older_version_is_a_conflict(server: Server) -> None:
    made = server.api.create(kinds.TIDB_VOLUME, server.volume())
    server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"spec": {"pool": "other"}})
    with pytest.raises(transport.ApiError) as error:
        server.api.merge_patch(
            kinds.TIDB_VOLUME,
            server.name,
            {"spec": {"pool": "third"}},
            resource_version=made.metadata.resource_version,
        )
    assert refused(error) == (409, "Conflict")
    assert error.value.conflict


@pytest.mark.parametrize("kind", [kinds.TIDB_VOLUME, kinds.CONFIG_MAP])
def test_a_patch_for_another_uid_is_a_conflict(server: Server, kind: kinds.Kind[Any]) -> None:
    document = server.volume() if kind is kinds.TIDB_VOLUME else server.config_map()
    namespace = NAMESPACE if kind.namespaced else ""
    server.api.create(kind, document, namespace)
    with pytest.raises(transport.ApiError) as error:
        server.api.merge_patch(
            kind, server.name, {"metadata": {"labels": {"a": "b"}}}, namespace, uid="another"
        )
    assert error.value.conflict
    assert not error.value.invalid


def test_a_json_patch_whose_test_fails_changes_nothing(server: Server) -> None:
    server.api.create(kinds.TIDB_VOLUME, server.volume())
    operations: list[Json] = [
        {"op": "replace", "path": "/spec/pool", "value": "other"},
        {"op": "test", "path": "/spec/nodeName", "value": "elsewhere"},
    ]
    with pytest.raises(transport.ApiError) as error:
        server.api.json_patch(kinds.TIDB_VOLUME, server.name, operations)
    assert refused(error) == (422, "Invalid")
    assert server.api.get(kinds.TIDB_VOLUME, server.name).spec.pool == "tikv"


def test_a_json_patch_adds_replaces_and_removes(server: Server) -> None:
    server.api.create(kinds.CONFIG_MAP, server.config_map(a="1", b="2"), NAMESPACE)
    operations: list[Json] = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "remove", "path": "/data/a"},
        {"op": "replace", "path": "/data/b", "value": "3"},
        {"op": "add", "path": "/metadata/labels/x~1y", "value": "4"},
    ]
    patched = server.api.json_patch(kinds.CONFIG_MAP, server.name, operations, NAMESPACE)
    assert patched.data == {"b": "3"}
    assert patched.metadata.labels["x/y"] == "4"


def test_a_patch_of_what_does_not_exist_is_not_found(server: Server) -> None:
    with pytest.raises(transport.ApiError) as error:
        server.api.merge_patch(kinds.CONFIG_MAP, server.name, {"data": {}}, NAMESPACE)
    assert error.value.not_found


# --- the status subresource ---


def test_the_status_is_written_through_its_subresource_alone(server: Server) -> None:
    server.api.create(kinds.TIDB_VOLUME, server.volume())
    patch = {"spec": {"pool": "other"}, "status": {"phase": "Bound"}}
    by_main = server.api.merge_patch(kinds.TIDB_VOLUME, server.name, patch)
    assert (by_main.spec.pool, by_main.status.phase) == ("other", "Pending")
    patch = {"spec": {"pool": "third"}, "status": {"phase": "Bound"}}
    by_status = server.api.merge_patch(kinds.TIDB_VOLUME, server.name, patch, subresource="status")
    assert (by_status.spec.pool, by_status.status.phase) == ("other", "Bound")
    assert by_status.metadata.generation == by_main.metadata.generation


def test_a_status_for_another_uid_is_taken_by_the_server_which_is_why_the_client_asks_for_a_version(
    server: Server,
) -> None:
    server.api.create(kinds.TIDB_VOLUME, server.volume())
    patch = {"metadata": {"uid": "another"}, "status": {"phase": "Bound"}}
    path = kinds.TIDB_VOLUME.path(server.name, subresource="status")
    server.api.transport.request(
        "PATCH", path, body=msgspec.json.encode(patch), content_type=transport.MERGE_PATCH
    )
    assert server.api.get(kinds.TIDB_VOLUME, server.name).status.phase == "Bound"
    with pytest.raises(ValueError, match="guards no write to status"):
        server.api.merge_patch(
            kinds.TIDB_VOLUME, server.name, {"status": {}}, subresource="status", uid="another"
        )
    with pytest.raises(transport.ApiError) as error:
        server.api.merge_patch(
            kinds.TIDB_VOLUME,
            server.name,
            {"status": {"phase": "Failed"}},
            subresource="status",
            uid="another",
            resource_version="1",
        )
    assert error.value.conflict


def test_a_persistent_volume_starts_pending_and_takes_its_phase_from_the_status(server: Server) -> None:
    made = server.api.create(kinds.PV, {**server.pv(), "status": {"phase": "Bound"}})
    assert made.status.phase == "Pending"
    assert "kubernetes.io/pv-protection" in made.metadata.finalizers


# --- server-side apply ---


def test_an_apply_makes_the_object_and_then_changes_it(server: Server) -> None:
    made = server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume())
    changed = server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(pool="other"))
    assert changed.metadata.uid == made.metadata.uid
    assert changed.spec.pool == "other"


def test_an_apply_that_changes_nothing_makes_no_new_version(server: Server) -> None:
    made = server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume())
    again = server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume())
    assert again.metadata.resource_version == made.metadata.resource_version


def test_an_apply_drops_what_its_manager_named_before_and_leaves_the_rest(server: Server) -> None:
    server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), manager="inventory")
    order = {"id": "o1", "kind": "prepare", "next": "t1"}
    ordered = server.api.apply(kinds.TIDB_VOLUME, server.name, {"spec": {"order": order}}, manager="orders")
    assert ordered.spec.order is not None
    dropped = server.api.apply(kinds.TIDB_VOLUME, server.name, {}, manager="orders")
    assert dropped.spec.order is None
    assert dropped.spec.pool == "tikv"


def test_an_apply_of_a_field_that_another_manager_owns_is_a_conflict_unless_forced(server: Server) -> None:
    server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), manager="inventory")
    with pytest.raises(transport.ApiError) as error:
        server.api.apply(kinds.TIDB_VOLUME, server.name, {"spec": {"pool": "other"}}, manager="someone")
    assert error.value.conflict
    assert [cause.field for cause in error.value.details.causes] == [".spec.pool"]
    document = {"spec": {"pool": "other"}}
    forced = server.api.apply(kinds.TIDB_VOLUME, server.name, document, manager="someone", force=True)
    assert forced.spec.pool == "other"
    with pytest.raises(transport.ApiError):
        server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), manager="inventory")


def test_two_managers_may_agree_on_a_field_and_it_goes_with_the_last_of_them(server: Server) -> None:
    server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(fsType="xfs"), manager="one")
    server.api.apply(kinds.TIDB_VOLUME, server.name, {"spec": {"fsType": "xfs"}}, manager="two")
    kept = server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), manager="one")
    assert kept.spec.fs_type == "xfs"
    assert server.api.apply(kinds.TIDB_VOLUME, server.name, {}, manager="two").spec.fs_type == ""


def test_a_patch_takes_over_the_fields_that_it_changes(server: Server) -> None:
    server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), manager="inventory")
    server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"spec": {"pool": "other"}})
    with pytest.raises(transport.ApiError) as error:
        server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), manager="inventory")
    assert error.value.conflict


def test_an_apply_with_a_uid_does_not_make_an_object_again(server: Server) -> None:
    with pytest.raises(transport.ApiError) as error:
        server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), uid="gone")
    assert error.value.conflict
    assert server.api.find(kinds.TIDB_VOLUME, server.name) is None


def test_an_apply_with_the_uid_of_another_object_is_a_conflict(server: Server) -> None:
    server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume())
    with pytest.raises(transport.ApiError) as error:
        server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(), uid="another")
    assert error.value.conflict


def test_an_apply_on_an_older_version_is_a_conflict(server: Server) -> None:
    made = server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume())
    server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"spec": {"fsType": "xfs"}})
    with pytest.raises(transport.ApiError) as error:
        server.api.apply(
            kinds.TIDB_VOLUME,
            server.name,
            server.volume(),
            uid=made.metadata.uid,
            resource_version=made.metadata.resource_version,
        )
    assert error.value.conflict


def test_an_apply_of_an_unknown_field_is_invalid_though_the_server_says_500(server: Server) -> None:
    with pytest.raises(transport.ApiError) as error:
        server.api.apply(kinds.TIDB_VOLUME, server.name, server.volume(nodeNaem="n1"))
    assert error.value.status == 500
    assert error.value.invalid
    assert not error.value.retriable


# --- delete ---


def test_a_delete_of_another_uid_or_an_older_version_is_a_conflict(server: Server) -> None:
    made = server.api.create(kinds.CONFIG_MAP, server.config_map(), NAMESPACE)
    server.api.merge_patch(kinds.CONFIG_MAP, server.name, {"data": {"a": "b"}}, NAMESPACE)
    for holds in ({"uid": "another"}, {"resource_version": made.metadata.resource_version}):
        with pytest.raises(transport.ApiError) as error:
            server.api.delete(kinds.CONFIG_MAP, server.name, NAMESPACE, **holds)
        assert error.value.conflict
    assert server.api.find(kinds.CONFIG_MAP, server.name, NAMESPACE) is not None


def test_a_delete_under_preconditions_that_hold_is_done_at_once(server: Server) -> None:
    made = server.api.create(kinds.TIDB_VOLUME, server.volume())
    meta = made.metadata
    left = server.api.delete(
        kinds.TIDB_VOLUME, server.name, uid=meta.uid, resource_version=meta.resource_version
    )
    assert left is None
    with pytest.raises(transport.ApiError) as error:
        server.api.delete(kinds.TIDB_VOLUME, server.name)
    assert error.value.not_found


def test_a_finalizer_holds_an_object_until_it_is_removed(server: Server) -> None:
    document = server.volume()
    document["metadata"]["finalizers"] = ["case.example/hold"]
    made = server.api.create(kinds.TIDB_VOLUME, document)
    left = server.api.delete(kinds.TIDB_VOLUME, server.name)
    assert left is not None
    assert left.metadata.deletion_timestamp
    assert left.metadata.generation == made.metadata.generation + 1
    again = server.api.delete(kinds.TIDB_VOLUME, server.name)
    assert again is not None
    assert again.metadata.resource_version == left.metadata.resource_version
    more = ["case.example/hold", "case.example/more"]
    with pytest.raises(transport.ApiError) as error:
        server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"metadata": {"finalizers": more}})
    assert refused(error) == (422, "Invalid")
    server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"metadata": {"finalizers": None}})
    assert server.api.find(kinds.TIDB_VOLUME, server.name) is None


def test_a_name_used_again_is_another_object(server: Server) -> None:
    first = server.api.create(kinds.CONFIG_MAP, server.config_map(), NAMESPACE)
    server.api.delete(kinds.CONFIG_MAP, server.name, NAMESPACE)
    second = server.api.create(kinds.CONFIG_MAP, server.config_map(), NAMESPACE)
    assert second.metadata.uid != first.metadata.uid
    assert int(second.metadata.resource_version) > int(first.metadata.resource_version) + 1


# --- list and watch ---


def volumes(server: Server, *letters: str) -> list[str]:
    found = [f"{server.name}-{letter}" for letter in letters]
    for name in found:
        server.api.create(kinds.TIDB_VOLUME, server.volume(name))
    return found


def test_pages_tell_one_moment_though_objects_are_made_in_between(server: Server) -> None:
    names = volumes(server, "a", "b", "c")
    pages = server.api.pages(kinds.TIDB_VOLUME, labels=f"case={server.name}", limit=2)
    first = next(pages)
    server.api.create(kinds.TIDB_VOLUME, server.volume(f"{server.name}-bb"))
    second = next(pages)
    assert [len(page.items) for page in (first, second)] == [2, 1]
    assert [item.metadata.name for page in (first, second) for item in page.items] == names
    assert first.resource_version == second.resource_version
    assert next(pages, None) is None


def test_selectors_choose(server: Server) -> None:
    one, two, three = volumes(server, "a", "b", "c")
    server.api.merge_patch(kinds.TIDB_VOLUME, two, {"metadata": {"labels": {"size": "big"}}})

    def named(**selectors: str) -> list[str]:
        return [item.metadata.name for item in server.api.list(kinds.TIDB_VOLUME, **selectors)[0]]

    case = f"case={server.name}"
    assert named(labels=f"{case},size=big") == [two]
    assert named(labels=f"{case},size!=big") == [one, three]
    assert named(labels=f"{case},!size") == [one, three]
    assert named(labels=f"{case},size in (big,small)") == [two]
    assert named(fields=f"spec.nodeName={server.name}") == [one, two, three]
    assert named(fields=f"spec.nodeName={server.name},metadata.name!={two}") == [one, three]
    with pytest.raises(transport.ApiError) as error:
        named(fields="spec.pool=tikv")
    assert refused(error) == (400, "BadRequest")


def test_a_watch_tells_what_happened_after_its_version(server: Server) -> None:
    _, version = server.api.list(kinds.TIDB_VOLUME)
    server.api.create(kinds.TIDB_VOLUME, server.volume())
    server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"spec": {"pool": "other"}})
    server.api.delete(kinds.TIDB_VOLUME, server.name)
    stop = transport.Stop()
    told = []
    for seen in server.api.watch(kinds.TIDB_VOLUME, version, labels=f"case={server.name}", stop=stop):
        told.append(seen)
        if seen.type == "DELETED":
            stop.set()
    assert [seen.type for seen in told] == ["ACCEPTED", "ADDED", "MODIFIED", "DELETED"]
    versions = [int(seen.resource_version) for seen in told]
    assert versions == sorted(set(versions))
    last = told[-1].object
    assert last is not None
    assert last.spec.pool == "other"


def test_a_watch_with_a_selector_tells_of_what_enters_and_leaves_it(server: Server) -> None:
    server.api.create(kinds.TIDB_VOLUME, server.volume())
    _, version = server.api.list(kinds.TIDB_VOLUME)
    for size in ("big", "small", "big"):
        server.api.merge_patch(kinds.TIDB_VOLUME, server.name, {"metadata": {"labels": {"size": size}}})
    stop = transport.Stop()
    told = []
    chosen = f"case={server.name},size=big"
    for seen in server.api.watch(kinds.TIDB_VOLUME, version, labels=chosen, stop=stop):
        told.append(seen.type)
        if len(told) == 4:
            stop.set()
    assert told == ["ACCEPTED", "ADDED", "DELETED", "ADDED"]


def test_a_watch_from_a_version_that_is_forgotten_is_gone(server: Server) -> None:
    with pytest.raises(transport.ApiError) as error:
        list(server.api.watch(kinds.TIDB_VOLUME, "1", stop=transport.Stop(), seconds=5))
    assert error.value.gone


def test_a_watch_that_is_stopped_before_it_begins_tells_nothing(server: Server) -> None:
    stop = transport.Stop()
    stop.set()
    assert [seen.type for seen in server.api.watch(kinds.TIDB_VOLUME, "1", stop=stop)] in ([], ["ACCEPTED"])
