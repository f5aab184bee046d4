"""Real disks for tests: loop devices with a file system, mounted in a mount namespace of the test's own.

Nothing of the host's mount table changes. Without root these tests are skipped, and fail where CI is set.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from disk_daemon import blockdev
from disk_daemon.facts.folder import Rules
from tests.disks.bench import OLD, Disk, RawDisk, identity_of, obey
from tests.disks.device import SECRET, prepare
from tests.disks.program import Daemon
from tidb_volume import names
from tidb_volume.kube import kinds, slim
from tidb_volume.kube.client import Client
from tidb_volume.value import WorkState

_CLONE_NEWNS = 0x00020000


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """One test at a time on this machine, whoever runs it: a look asks each loop device what it lies on, for
    which it has it open for a moment, and another test's look would see that as a use."""
    with (Path(tempfile.gettempdir()) / "tidb-volume-disks.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # a flock would go on in every process that a test forks
        yield


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """A daemon's child takes its own away, and here that child is the process of all tests."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def own_mounts() -> None:
    """Take this process into a mount namespace of its own."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("tests on real disks need root")
        pytest.skip("tests on real disks need root (loop devices, mounts)")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@pytest.fixture
def even_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one size whatever the disk can take, so that a test can count them."""
    monkeypatch.setattr(blockdev, "FIRST_CHUNK_BYTES", blockdev.CHUNK_BYTES)
    monkeypatch.setattr(blockdev, "LEAST_CHUNK_BYTES", blockdev.CHUNK_BYTES)


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    state = tmp_path / "state"
    return Rules(
        virtual_disks=True,
        state=str(state),
        mounts=str(state / "mounts"),
        nodes=str(tmp_path / "nodes"),
        hidden=_hidden(),
    )


def _hidden() -> tuple[int, ...]:
    """Where the tests run in a sandbox, its supervisor."""
    try:
        os.readlink("/proc/1/cwd")
    except PermissionError:
        return (1,)
    return ()


@pytest.fixture
def disk(own_mounts: None, tmp_path: Path) -> Iterator[Disk]:
    made = Disk.make(tmp_path, "a")
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def other_disk(own_mounts: None, tmp_path: Path) -> Iterator[Disk]:
    made = Disk.make(tmp_path, "b")
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def raw(own_mounts: None, tmp_path: Path, rules: Rules) -> Iterator[RawDisk]:
    made = RawDisk.make(tmp_path, "raw", rules)
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def offered(raw: RawDisk, rules: Rules) -> RawDisk:
    """The disk with its first tenancy on offer."""
    ended = obey(raw, prepare(identity_of(raw, rules)), rules)
    assert ended.work is not None
    assert ended.work.state is WorkState.DONE, ended.work
    return raw


@pytest.fixture
def used(offered: RawDisk) -> RawDisk:
    """The disk with a tenant's data on it."""
    (offered.ours / OLD / "data").write_bytes(SECRET)
    os.sync()
    return offered


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    from tests.api.conftest import install_crds
    from tests.cluster import Cluster

    with Cluster.up(f"disks-{os.getpid()}", api_only=True) as cluster:
        install_crds(cluster.kubeconfig)
        yield cluster.kubeconfig


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[Client]:
    over = slim.SlimTransport(slim.from_kubeconfig(kubeconfig))
    client = Client(over, manager="test")
    yield client
    for volume in client.list(kinds.TIDB_VOLUME)[0]:
        client.delete(kinds.TIDB_VOLUME, volume.metadata.name)
    if client.find(kinds.TIDB_VOLUME_FLEET, names.FLEET) is not None:
        client.delete(kinds.TIDB_VOLUME_FLEET, names.FLEET)
    over.close()


@pytest.fixture
def daemon(kubeconfig: Path, rules: Rules) -> Iterator[Daemon]:
    started = Daemon(kubeconfig, rules)
    yield started
    if started.process.poll() is None:
        assert started.end() == 0, started.log.read_text()
    print(started.log.read_text())
