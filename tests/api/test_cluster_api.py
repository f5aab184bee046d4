"""The embedded API server without nodes, as tests without disks use it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError, build, disks, down, image
from tests.cluster.state import Layout, clusters
from tests.cluster.system import marked

pytestmark = pytest.mark.api
NAME = f"api-test-{os.getpid()}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.up(NAME, api_only=True) as made:
        yield made


def config_map(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"


def test_objects_can_be_written_and_read(cluster: Cluster) -> None:
    cluster.kubectl("create", "-f", "-", input=config_map("written"))
    assert cluster.get("/api/v1/namespaces/default/configmaps/written")["metadata"]["name"] == "written"


# A controller-manager whose API server was away, in another test, asks again after up to half a minute.


def test_a_namespace_gets_its_service_account_and_goes_away_again(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "brief")
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace=brief", "--timeout=90s")
    cluster.kubectl("delete", "namespace", "brief", "--timeout=60s")


def test_a_second_up_of_the_same_shape_is_the_same_cluster(cluster: Cluster) -> None:
    again = Cluster.up(NAME, api_only=True)
    assert again.found
    assert again.record == cluster.record
    assert Cluster.attach(NAME).server == cluster.server


def test_a_server_that_was_killed_comes_back_with_its_objects(cluster: Cluster) -> None:
    cluster.kubectl("create", "-f", "-", input=config_map("kept"))
    cluster.restart("etcd")
    cluster.restart("kube-apiserver")
    assert cluster.kubectl("get", "configmap", "kept", "--output=name").strip() == "configmap/kept"


def test_etcd_goes_back_to_a_snapshot(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kubectl("create", "-f", "-", input=config_map("before"))
    cluster.etcd_snapshot(tmp_path / "snapshot")
    cluster.kubectl("delete", "configmap", "before")
    cluster.kubectl("create", "-f", "-", input=config_map("after"))
    cluster.etcd_restore(tmp_path / "snapshot")
    names = cluster.kubectl("get", "configmaps", "--output=name").split()
    assert "configmap/before" in names
    assert "configmap/after" not in names


def test_a_frozen_controller_manager_does_nothing_until_it_thaws(cluster: Cluster) -> None:
    cluster.freeze("kube-controller-manager")
    cluster.kubectl("create", "namespace", "frozen")
    # Long enough for one that runs: it takes some milliseconds.
    time.sleep(1)
    assert not cluster.kubectl("get", "serviceaccounts", "--namespace=frozen", "--output=name")
    cluster.thaw("kube-controller-manager")
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace=frozen", "--timeout=90s")


def test_two_clusters_run_side_by_side_and_the_end_of_one_leaves_the_other(cluster: Cluster) -> None:
    name = f"{NAME}-b"
    with Cluster.up(name, api_only=True) as other:
        assert other.server != cluster.server
        folder = other.layout.folder
    assert not marked(folder)
    assert not folder.exists()
    assert name not in clusters()
    assert cluster.get_text("/readyz") == "ok"


def test_the_end_of_what_does_not_exist_is_no_error() -> None:
    down("never-made")
    assert not Layout("never-made").lock.exists()


def test_attaching_to_what_does_not_run_says_how_to_start_it() -> None:
    with pytest.raises(ClusterError, match="up --name nobody"):
        Cluster.attach("nobody")


@pytest.mark.parametrize("name", ["", "a b", "../up", "a.b", "ä"])
def test_a_name_that_would_leave_the_state_folder_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="letters, digits and hyphens"):
        Layout(name)


@pytest.mark.parametrize(
    ("asked", "version"), [("", "1.37.2"), ("1.32", "1.32.2"), ("1.36.1", "1.36.1"), ("v1.34", "1.34.4")]
)
def test_k8s_names_a_minor_or_an_exact_version(asked: str, version: str) -> None:
    assert build.kubernetes_version({"K8S": asked}) == version


def test_an_unknown_minor_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(build.BuildError, match=r"K8S=1\.9: .*1\.37, 1\.36"):
        build.kubernetes_version({"K8S": "1.9"})


def test_programs_of_kubebuilder_assets_are_taken_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "etcd"
    program.touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert build.build(["etcd"]) == {"etcd": program}


@pytest.mark.parametrize(("text", "size"), [("512M", 512 << 20), ("2g", 2 << 30), ("4096", 4096)])
def test_sizes_are_read_with_their_unit(text: str, size: int) -> None:
    assert disks.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "5X", "1.5G", "-1M"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ClusterError, match="not a size"):
        disks.parse_size(text)


def test_an_image_is_a_function_of_its_files(tmp_path: Path) -> None:
    archives = []
    for number, order in enumerate((("b", "a"), ("a", "b"))):
        root = tmp_path / f"root{number}"
        (root / "folder").mkdir(parents=True)
        for name in order:
            (root / "folder" / name).write_text(name)
            os.utime(root / "folder" / name, (number, number))
        (root / "link").symlink_to("folder")
        archives.append(
            image.pack(tmp_path / f"{number}.tar", root, ["a/b:c"], image.Config(command=("sh",)))
        )
    assert archives[0].read_bytes() == archives[1].read_bytes()
