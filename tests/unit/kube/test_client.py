"""The client's own part: paths, documents, guards, and what cannot be read."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from tests.model.apiserver import ApiServer
from tests.model.faults import Faulty
from tidb_volume import upstream, value
from tidb_volume.kube import client, codec, kinds, transport


@pytest.mark.parametrize(
    ("kind", "where", "path"),
    [
        (kinds.PV, {}, "/api/v1/persistentvolumes"),
        (kinds.PV, {"name": "a"}, "/api/v1/persistentvolumes/a"),
        (kinds.CLAIM, {}, "/api/v1/persistentvolumeclaims"),
        (kinds.CLAIM, {"namespace": "ns"}, "/api/v1/namespaces/ns/persistentvolumeclaims"),
        (
            kinds.LEASE,
            {"name": "a", "namespace": "ns"},
            "/apis/coordination.k8s.io/v1/namespaces/ns/leases/a",
        ),
        (
            kinds.TIDB_VOLUME,
            {"name": "a/../b", "subresource": "status"},
            "/apis/tidbvolume.io/v1alpha1/tidbvolumes/a%2F..%2Fb/status",
        ),
    ],
)
def test_where_an_object_is(kind: kinds.Kind[Any], where: dict[str, str], path: str) -> None:
    assert kind.path(**where) == path


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (kinds.CLAIM, {"name": "a"}),
        (kinds.PV, {"name": "a", "namespace": "ns"}),
        (kinds.PV, {"namespace": "ns"}),
    ],
)
def test_a_path_to_another_object_is_refused(kind: kinds.Kind[Any], where: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="in a namespace"):
        kind.path(**where)


def test_a_document_of_the_callers_is_not_changed() -> None:
    api = ApiServer().client()
    document = {"metadata": {"labels": {"a": "b"}}, "data": {"a": "b"}}
    api.apply(kinds.CONFIG_MAP, "name", document, "default")
    assert document == {"metadata": {"labels": {"a": "b"}}, "data": {"a": "b"}}


def test_a_struct_can_be_created() -> None:
    api = ApiServer().client()
    made = api.create(
        kinds.CONFIG_MAP, upstream.ConfigMap(metadata=value.Meta(name="a"), data={"x": "y"}), "default"
    )
    assert made.data == {"x": "y"}


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(TypeError, match="ConfigMap is a document"):
        ApiServer().client().create(kinds.CONFIG_MAP, ["a"], "default")


def test_a_delete_names_its_preconditions() -> None:
    faulty = Faulty(ApiServer())
    api = client.Client(faulty, manager="m")
    made = api.create(kinds.CONFIG_MAP, {"metadata": {"name": "a"}}, "default")
    version = made.metadata.resource_version
    api.delete(kinds.CONFIG_MAP, "a", "default", uid=made.metadata.uid, resource_version=version)
    sent = faulty.calls[-1].body
    assert sent["preconditions"] == {"uid": made.metadata.uid, "resourceVersion": version}


def test_a_list_with_one_object_that_cannot_be_read_names_it() -> None:
    body = b'{"items":[{"metadata":{"name":"good"}},{"metadata":{"name":"bad","uid":7}}]}'
    with pytest.raises(codec.Undecodable, match=r"ConfigMap bad: .*\$\.metadata\.uid"):
        codec.decode_listing(body, upstream.ConfigMap)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items":7}', b"\xff"])
def test_an_answer_that_is_no_document_is_an_error(body: bytes) -> None:
    with pytest.raises(codec.Undecodable):
        codec.decode_listing(body, upstream.ConfigMap)
    with pytest.raises(codec.Undecodable):
        codec.decode(body, upstream.ConfigMap)


def test_a_list_may_have_no_items_at_all() -> None:
    assert codec.decode_listing(b'{"items":null}', upstream.ConfigMap).items is None


def test_a_watch_with_an_event_that_is_unknown_is_an_error() -> None:
    class Odd(ApiServer):
        def stream(self, *_: Any, **__: Any) -> Any:
            yield b""
            yield msgspec.json.encode({"type": "SPLIT", "object": {}})

    with pytest.raises(codec.Undecodable, match="SPLIT"):
        list(client.Client(Odd(), manager="m").watch(kinds.PV, "1", stop=transport.Stop()))


def test_a_long_refusal_is_shown_by_its_ends() -> None:
    error = transport.ApiError(422, "Invalid", "begin" + "x" * 50_000 + "end")
    assert len(str(error)) < 1100
    assert "begin" in str(error)
    assert str(error).endswith("end")


def test_a_stop_calls_what_registered_and_at_once_what_comes_late() -> None:
    stop, called = transport.Stop(), []
    stop.register(lambda: called.append("first"))
    gone = stop.register(lambda: called.append("gone"))
    stop.unregister(gone)
    stop.set()
    stop.set()
    stop.register(lambda: called.append("late"))
    assert called == ["first", "late"]
    assert stop.wait(0)


def test_a_daemons_plumbing_loads_neither_the_official_client_nor_yaml() -> None:
    program = (
        "import sys; from tidb_volume.kube import slim, client, kinds, reflector, events;"
        "from tidb_volume.obs import http, log, metrics;"
        "print([m for m in ('kubernetes', 'yaml', 'pydantic', 'urllib3', 'asyncio') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
