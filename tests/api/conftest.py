"""A real API server for the tests here: the one that KUBECONFIG_TEST names, else an embedded one."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.api.bench import Bench
from tests.api.cases import Server
from tests.model.schema import CRDS
from tidb_volume.kube import kinds, official, slim, transport
from tidb_volume.kube.client import Client

_APIEXTENSIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """The kubeconfig of a server that has our CRDs."""
    if named := os.environ.get("KUBECONFIG_TEST"):
        install_crds(Path(named))
        yield Path(named)
        return
    from tests.cluster import Cluster

    with Cluster.up(f"api-{os.getpid()}", api_only=True) as cluster:
        install_crds(cluster.kubeconfig)
        yield cluster.kubeconfig


@pytest.fixture(scope="session", params=["slim", "official"])
def over(request: pytest.FixtureRequest, kubeconfig: Path) -> Iterator[transport.Transport]:
    """Each transport to that server in turn."""
    made: transport.Transport
    if request.param == "slim":
        made = slim.SlimTransport(slim.from_kubeconfig(kubeconfig))
    else:
        made = official.configured(str(kubeconfig))
    yield made
    made.close()


@pytest.fixture
def server(over: transport.Transport) -> Iterator[Server]:
    """A client and a name; what a case leaves under that name is taken away."""
    api = Client(over, manager="test")
    name = f"case-{secrets.token_hex(4)}"
    yield Server(api, name)
    for volume in api.list(kinds.TIDB_VOLUME, fields=f"spec.nodeName={name}")[0]:
        api.delete(kinds.TIDB_VOLUME, volume.metadata.name)
    others: tuple[tuple[kinds.Kind[Any], str], ...] = ((kinds.CONFIG_MAP, "default"), (kinds.PV, ""))
    for kind, namespace in others:
        if api.find(kind, name, namespace) is not None:
            api.delete(kind, name, namespace)


def install_crds(kubeconfig: Path) -> None:
    """Apply our CRDs and wait until their kinds are served."""
    with closing(slim.SlimTransport(slim.from_kubeconfig(kubeconfig))) as over:
        _install_crds(over)


def _install_crds(over: transport.Transport) -> None:
    for file in sorted(CRDS.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document.get("kind") == "CustomResourceDefinition":
                over.request(
                    "PATCH",
                    f"{_APIEXTENSIONS}/{document['metadata']['name']}",
                    query={"fieldManager": "test", "force": "true"},
                    body=msgspec.json.encode(document),
                    content_type=transport.APPLY_PATCH,
                )
    api = Client(over, manager="test")
    ours: tuple[kinds.Kind[Any], ...] = (kinds.TIDB_VOLUME, kinds.TIDB_VOLUME_NODE, kinds.TIDB_VOLUME_FLEET)
    for kind in ours:
        deadline = time.monotonic() + 30
        while not _served(api, kind):
            assert time.monotonic() < deadline, f"{kind.plural} is not served"
            time.sleep(0.05)


def _served(api: Client, kind: kinds.Kind[Any]) -> bool:
    try:
        api.list(kind)
    except transport.ApiError as error:
        if error.not_found:
            return False
        raise
    return True


@pytest.fixture
def bench(kubeconfig: Path) -> Iterator[Bench]:
    """A node with disks in memory, and room for controllers."""
    with closing(Bench(kubeconfig)) as made:
        yield made
