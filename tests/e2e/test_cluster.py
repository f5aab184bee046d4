"""The embedded cluster itself: its nodes are real, can be hurt on purpose, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import Cluster, ClusterError, Disk, Node, cgroups, disks, down
from tests.cluster.image import BUSYBOX
from tests.cluster.state import Layout
from tests.cluster.system import end, marked, until

pytestmark = pytest.mark.cluster
NAME = f"e2e-{os.getpid()}"
ROOT = Path(__file__).parents[2]
WAIT_FOR_TERM = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("real nodes need root")
        pytest.skip("real nodes need root")
    with Cluster.up(NAME, nodes=2, path_disks=2, raw_disks=1) as made:
        yield made


@pytest.fixture
def node(cluster: Cluster) -> Node:
    return cluster.nodes[0]


@pytest.fixture
def other(cluster: Cluster) -> Node:
    return cluster.nodes[1]


def volume(name: str, node: str, path: str, mode: str = "Filesystem") -> str:
    """A local volume and a claim that is bound to it."""
    shared = {"accessModes": ["ReadWriteOnce"], "volumeMode": mode, "storageClassName": ""}
    there = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return yaml.safe_dump_all([
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": shared | {
            "capacity": {"storage": "400Mi"},
            "local": {"path": path},
            "claimRef": {"namespace": "default", "name": name},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [there]}]}},
        }},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": shared | {
            "volumeName": name,
            "resources": {"requests": {"storage": "100Mi"}},
        }},
    ])  # fmt: skip


def pod(name: str, claim: str, command: str, *, block: bool = False) -> str:
    """A pod with the claim at /v, or as the device /dev/v."""
    container: dict[str, object] = {
        "name": "main",
        "image": BUSYBOX,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", command],
    }
    if block:
        container["volumeDevices"] = [{"name": "v", "devicePath": "/dev/v"}]
    else:
        container["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    spec = {
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}],
    }
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def daemon(name: str, node: str) -> str:
    """A privileged pod of the host's processes, that may mount below /mnt/daemon of its node."""
    mounts = [
        {"name": "dev", "mountPath": "/dev"},
        {"name": "mnt", "mountPath": "/mnt/daemon", "mountPropagation": "Bidirectional"},
    ]
    spec = {
        "nodeName": node,
        "hostPID": True,
        "terminationGracePeriodSeconds": 2,
        "containers": [{
            "name": "main",
            "image": BUSYBOX,
            "imagePullPolicy": "Never",
            "securityContext": {"privileged": True},
            "volumeMounts": mounts,
        }],
        "volumes": [
            {"name": "dev", "hostPath": {"path": "/dev"}},
            {"name": "mnt", "hostPath": {"path": "/mnt/daemon", "type": "DirectoryOrCreate"}},
        ],
    }  # fmt: skip
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def create(cluster: Cluster, *texts: str) -> None:
    cluster.kubectl("create", "-f", "-", input="\n---\n".join(texts))


def wait_ready(cluster: Cluster, name: str) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def mounts(node: Node) -> dict[str, str]:
    """Folder to device number of what is mounted there, as process 1 of the node sees it."""
    lines = node.exec(["cat", "/proc/1/mountinfo"]).splitlines()
    return {line.split()[4]: line.split()[2] for line in lines}


def number(disk: Disk) -> str:
    return f"7:{disk.loop}"


def test_a_pod_writes_to_a_path_disk_and_answers_exec_and_logs(cluster: Cluster, node: Node) -> None:
    command = f"echo written | tee /v/file; {WAIT_FOR_TERM}"
    create(cluster, volume("path", node.name, "/data/disk1"), pod("path", "path", command))
    wait_ready(cluster, "path")
    assert cluster.kubectl("exec", "path", "--", "cat", "/v/file") == "written\n"
    assert cluster.kubectl("logs", "path") == "written\n"
    assert node.exec(["cat", "/data/disk1/file"]) == "written\n"
    cluster.kubectl("delete", "pod/path", "pvc/path", "pv/path")


def test_a_pod_has_a_raw_disk_as_a_block_volume(cluster: Cluster, node: Node) -> None:
    disk = node.disk("disk3")
    create(
        cluster, volume("raw", node.name, disk.by_id, "Block"), pod("raw", "raw", WAIT_FOR_TERM, block=True)
    )
    wait_ready(cluster, "raw")
    cluster.kubectl("exec", "raw", "--", "sh", "-c", "echo written > /dev/v && sync")
    with Path(disk.device).open("rb", buffering=0) as device:
        assert device.read(8) == b"written\n"
    cluster.kubectl("delete", "pod/raw", "pvc/raw", "pv/raw")


def test_a_daemon_sees_the_mounts_and_processes_and_disks_of_its_node_alone(
    cluster: Cluster, node: Node
) -> None:
    create(cluster, daemon("looks", node.name))
    wait_ready(cluster, "looks")
    table = cluster.kubectl("exec", "looks", "--", "cat", "/proc/1/mountinfo")
    assert "/data/disk1 rw,relatime shared:" in table
    assert node.disk("disk1").device in table
    assert all(one.device not in table for one in cluster.node("node-2").disks)
    assert cluster.kubectl("exec", "looks", "--", "ps").count("/kubelet ") == 1
    links = cluster.kubectl("exec", "looks", "--", "ls", "/dev/disk/by-id").split()
    assert links == [f"virtual-node-1-{name}" for name in ("disk1", "disk2", "disk3", "system")]
    boot_id = cluster.kubectl("exec", "looks", "--", "cat", "/proc/1/root/proc/sys/kernel/random/boot_id")
    assert boot_id.strip() == node.boot_id
    cluster.kubectl("delete", "pod/looks")


def test_a_mount_made_by_a_pod_outlives_it_and_serves_another(cluster: Cluster, node: Node) -> None:
    disk = node.add_disk("mine")
    create(cluster, daemon("mounts", node.name))
    wait_ready(cluster, "mounts")
    cluster.kubectl(
        "exec", "mounts", "--", "sh", "-c",
        f"mkdir -p /mnt/daemon/mine && mount -t xfs {disk.by_id} /mnt/daemon/mine",
    )  # fmt: skip
    cluster.kubectl("delete", "pod/mounts")
    assert mounts(node)["/mnt/daemon/mine"] == number(disk)
    create(cluster, volume("mine", node.name, "/mnt/daemon/mine"), pod("mine", "mine", WAIT_FOR_TERM))
    wait_ready(cluster, "mine")
    cluster.kubectl("delete", "pod/mine", "pvc/mine", "pv/mine")
    node.unmount("/mnt/daemon/mine")
    node.remove_disk(disk)


def test_a_disk_comes_and_goes_while_the_node_runs(node: Node) -> None:
    disk = node.add_disk("late", mount="/data/late")
    assert mounts(node)["/data/late"] == number(disk)
    assert node.exec(["readlink", "-f", disk.by_id]).strip() == disk.device
    with pytest.raises(ClusterError, match="in use"):
        node.remove_disk(disk)
    node.unmount("/data/late")
    node.remove_disk(disk)
    assert "/data/late" not in node.fstab
    assert not Path(f"/sys/block/loop{disk.loop}/loop").exists()
    with pytest.raises(ClusterError):
        node.exec(["ls", disk.by_id])


def test_a_crash_kills_all_that_runs_and_leaves_the_mounts(cluster: Cluster, other: Node) -> None:
    command = f"echo $HOSTNAME > /v/who; {WAIT_FOR_TERM}"
    create(cluster, volume("crash", other.name, "/data/disk1"), pod("crash", "crash", command))
    wait_ready(cluster, "crash")
    before = mounts(other)
    boot_id = other.boot_id
    other.crash()
    assert not other.running
    with pytest.raises(ClusterError, match="does not run"):
        other.exec(["true"])
    other.start()
    after = mounts(other)
    assert after["/data/disk1"] == before["/data/disk1"]
    assert other.boot_id == boot_id
    until(
        "the container to run again",
        lambda: cluster.kubectl("exec", "crash", "--", "cat", "/v/who"),
        timeout=60,
    )
    cluster.kubectl("delete", "pod/crash", "pvc/crash", "pv/crash")


def test_a_reboot_unmounts_all_and_mounts_the_fstab_again(cluster: Cluster, other: Node) -> None:
    boot_id = other.boot_id
    other.exec(["touch", "/dev/gone", "/run/gone", "/var/lib/kept", "/data/disk1/kept"])
    other.reboot(mounts=False)
    assert other.boot_id != boot_id
    assert cluster.get(f"/api/v1/nodes/{other.name}")["status"]["nodeInfo"]["bootID"] == other.boot_id
    assert not [target for target in mounts(other) if target.startswith("/data")]
    assert other.exec(["ls", "-A", "/data/disk1"]) == ""
    other.exec(["ls", "/var/lib/kept"])
    for lost in ("/dev/gone", "/run/gone"):
        with pytest.raises(ClusterError):
            other.exec(["ls", lost])
    other.reboot()
    other.exec(["ls", "/data/disk1/kept"])


def test_two_mounts_are_swapped_by_a_reboot(other: Node) -> None:
    before = mounts(other)
    other.swap_mounts("/data/disk1", "/data/disk2")
    other.reboot()
    after = mounts(other)
    assert after["/data/disk1"] == before["/data/disk2"]
    assert after["/data/disk2"] == before["/data/disk1"]
    other.swap_mounts("/data/disk1", "/data/disk2")
    other.reboot()


def test_a_frozen_kubelet_is_seen_as_a_lost_node_until_it_runs_again(cluster: Cluster, other: Node) -> None:
    assert other.freeze("/kubelet ") == 1
    cluster.kubectl("wait", "--for=condition=Ready=Unknown", f"node/{other.name}", "--timeout=60s")
    # A frozen process must not keep its node from ending.
    other.crash()
    other.start(wait=False)
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{other.name}", "--timeout=60s")


@pytest.mark.parametrize("program", ["kubelet", "containerd"])
def test_a_program_that_ends_is_started_again_as_a_service_manager_would(
    cluster: Cluster, other: Node, program: str
) -> None:
    command = f"--config={other.folder}/{program}."
    (before,) = other.processes(command)
    end(before)
    until(f"another {program}", lambda: [one for one in other.processes(command) if one != before])
    other.wait_ready()


def test_a_kubelet_that_is_up_before_its_containerd_ends_and_is_started_again(
    cluster: Cluster, other: Node
) -> None:
    log = cluster.layout.log(f"{other.name}-kubelet")
    said = len(log.read_text())
    for command in ("node-service.sh containerd ", "/containerd.toml", "/kubelet.yaml"):
        for process in other.processes(command):
            end(process)
    until("the kubelet to give up", lambda: "kubelet ended with 1," in log.read_text()[said:], timeout=60)
    other.start()
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{other.name}", "--timeout=60s")


def nothing_is_left(layout: Layout) -> bool:
    assert not marked(layout.folder)
    assert not disks.attached_below(layout.folder)
    assert layout.tag not in Path("/proc/self/mountinfo").read_text()
    assert not layout.devices.exists()
    assert not cgroups.exists(layout.tag)
    assert not layout.folder.exists()
    assert not layout.lock.exists()
    return True


def test_the_end_of_a_cluster_whose_processes_were_all_killed_leaves_nothing(cluster: Cluster) -> None:
    layout = Layout(f"{NAME}-killed")
    doomed = Cluster.up(layout.name, nodes=1, path_disks=1, raw_disks=1)
    (node,) = doomed.nodes
    create(
        doomed,
        volume("b", node.name, node.disk("disk2").by_id, "Block"),
        pod("b", "b", WAIT_FOR_TERM, block=True),
    )
    wait_ready(doomed, "b")
    spare = disks.attached_to_devices(layout.devices)
    assert spare
    for process in marked(layout.folder):
        end(process)
    layout.record.unlink()
    down(layout.name)
    assert nothing_is_left(layout)
    assert not any(Path(f"/sys/block/loop{loop}/loop").exists() for loop in spare)
    assert cluster.get_text("/readyz") == "ok"


def test_the_end_of_a_start_that_was_killed_half_way_leaves_nothing(cluster: Cluster) -> None:
    layout = Layout(f"{NAME}-half")
    command = [sys.executable, "-m", "tests.cluster", "up", "--name", layout.name, "--nodes=2"]
    starter = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    until(
        "the first node's root", lambda: (layout.node("node-1") / "rooted").exists(), timeout=60, pause=0.01
    )
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    down(layout.name)
    assert nothing_is_left(layout)
    assert cluster.get_text("/readyz") == "ok"
