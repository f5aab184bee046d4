"""Where all that is on a disk is to go, whoever is on it is seen first, however they came there."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disk_daemon import kernel
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended
from tests.disks.bench import (
    CLEAN,
    OLD,
    Disk,
    answered,
    drop_ptrace,
    fill,
    for_all_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
)
from tidb_volume.value import Order

_CLONE_NEWNS, _CLONE_FS = 0x00020000, 0x00000200
_libc = ctypes.CDLL(None, use_errno=True)


def order_for(disk: Disk, rules: Rules) -> Order:
    order = reclaim(identity_of(disk, rules), kind="prepare", ends="", answer="q1")
    return for_all_of(disk, rules, order)


def wipe(disk: Disk, rules: Rules) -> Ended:
    order = order_for(disk, rules)
    return obey(disk, order, rules, answered(disk, order))


def said(ended: Ended) -> str:
    assert ended.work is not None
    return ended.work.message


@contextmanager
def program(do: Callable[[], object]) -> Iterator[int]:
    """A process that has done something and stays."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = do()
            os.write(told, b"x")
            while True:
                signal.pause()
                del kept
        finally:
            os._exit(1)
    os.close(told)
    try:
        assert os.read(ready, 1) == b"x"
        yield pid
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def unshare(what: int) -> None:
    if _libc.unshare(what) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def run(*words: str | Path) -> None:
    subprocess.run(words, check=True)


# --- processes of the host --------------------------------------------------------------------------------


def works_in(folder: Path) -> object:
    os.chdir(folder)
    return None


def has_as_root(folder: Path) -> object:
    fd = os.open("/", os.O_RDONLY)
    os.chroot(folder)
    os.fchdir(fd)
    os.close(fd)
    return None


def has_open(folder: Path) -> object:
    return os.open(folder / "file", os.O_RDONLY)


def has_open_by_path_only(folder: Path) -> object:
    return os.open(folder, os.O_PATH)


def has_deleted(folder: Path) -> object:
    fd = os.open(folder / "gone", os.O_RDWR | os.O_CREAT)
    os.unlink(folder / "gone")
    return fd


def has_mapped(folder: Path) -> object:
    fd = os.open(folder / "file", os.O_RDONLY)
    kept = mmap.mmap(fd, mmap.PAGESIZE, prot=mmap.PROT_READ)
    # The module keeps a descriptor of its own; only the mapping is to stay.
    for each in range(3, 100):
        if os.path.exists(f"/proc/self/fd/{each}") and os.path.sameopenfile(each, fd) and each != fd:
            os.close(each)
    os.close(fd)
    return kept


def works_in_with_one_thread(folder: Path) -> object:
    there = threading.Event()

    def work() -> None:
        unshare(_CLONE_FS)
        os.chdir(folder)
        there.set()
        signal.sigwait({signal.SIGUSR2})

    threading.Thread(target=work, daemon=True).start()
    assert there.wait(10)
    return None


def works_in_where_the_disk_is_not_mounted(folder: Path) -> object:
    fd = os.open(folder, os.O_RDONLY)
    unshare(_CLONE_NEWNS)
    run("umount", folder.parent.parent)
    return fd


USES: list[tuple[Callable[[Path], object], str]] = [
    (works_in, "works in a folder on it"),
    (has_as_root, "has its root on it"),
    (has_open, "has a file on it open"),
    (has_open_by_path_only, "has a file on it open"),
    (has_deleted, "has a file on it open"),
    (has_mapped, "has a file on it mapped"),
    (works_in_with_one_thread, "works in a folder on it"),
    (works_in_where_the_disk_is_not_mounted, "has a file on it open"),
]


@pytest.mark.parametrize(("use", "words"), USES, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.guards("nobody_is_on_the_whole_disk")
def test_a_process_on_it_is_waited_for_and_named(
    disk: Disk, rules: Rules, use: Callable[[Path], object], words: str
) -> None:
    fill(disk.path)
    (disk.path / "a" / "deep" / "file").write_bytes(b"x" * mmap.PAGESIZE)
    with program(lambda: use(disk.path / "a" / "deep")) as pid:
        before = disk.tree()
        ended = wipe(disk, rules)
        assert (state(ended), ended.until) == (("running", "InUse"), "device")
        assert f"(pid {pid}) {words}" in said(ended)
        assert ended.pids == (pid,)
        assert disk.tree() == [".tidb-volume", *before]
    assert state(wipe(disk, rules)) == ("done", "")
    assert disk.tree() == CLEAN


@pytest.mark.guards("nobody_is_on_the_whole_disk")
def test_a_program_that_runs_from_it_is_waited_for(disk: Disk, rules: Rules) -> None:
    run("cp", "/bin/sleep", disk.path / "tool")
    tool = subprocess.Popen([disk.path / "tool", "60"])
    assert tool.pid
    try:
        ended = wipe(disk, rules)
        assert state(ended) == ("running", "InUse")
        assert f"(pid {tool.pid}) is a program on it" in said(ended)
    finally:
        tool.kill()
        tool.wait()
    assert state(wipe(disk, rules)) == ("done", "")


def test_a_process_whose_first_thread_has_ended_is_still_seen(disk: Disk, rules: Rules) -> None:
    fill(disk.path)

    script = (
        "import ctypes, os, sys, threading, time\n"
        f"os.open({str(disk.path / 'a' / 'file')!r}, os.O_RDONLY)\n"
        "def stay():\n"
        "    time.sleep(0.2)\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=stay).start()\n"
        "ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)\n"
    )
    with subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        ended = wipe(disk, rules)
        holder.kill()
    assert state(ended) == ("running", "InUse")
    assert f"(pid {holder.pid}) has a file on it open" in said(ended)


def test_one_who_comes_between_the_rename_and_the_first_unlink_undoes_the_rename(
    disk: Disk, rules: Rules
) -> None:
    fill(disk.path)
    before = disk.tree()
    order = order_for(disk, rules)
    api = answered(disk, order)
    held: list[subprocess.Popen[bytes]] = []

    def come(reading: int) -> None:
        if reading == 2:
            held.append(subprocess.Popen(["sleep", "60"], cwd=disk.path))

    api.on_read = come
    ended = obey(disk, order, rules, api)
    for each in held:
        each.kill()
        each.wait()
    assert state(ended) == ("running", "InUse")
    assert ended.work is not None
    assert not ended.work.begun
    assert disk.tree() == [".tidb-volume", *before]


def test_who_may_not_look_does_not_know_and_waits(disk: Disk, rules: Rules) -> None:
    fill(disk.path)
    before = disk.tree()

    def look_without_the_right() -> None:
        drop_ptrace()
        ended = wipe(disk, rules)
        assert (state(ended), ended.until) == (("running", "InUse"), "device"), ended.work
        assert "cannot tell" in said(ended)

    with program(lambda: None):
        assert in_child(look_without_the_right) == 0
    assert disk.tree() == [".tidb-volume", *before]


def test_an_order_for_a_tenancy_does_not_care_who_else_is_on_the_disk(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    (disk.path / "beside").mkdir()
    with program(lambda: works_in(disk.path / "beside")):
        assert state(obey(disk, reclaim(identity_of(disk, rules)), rules)) == ("done", "")
    assert OLD not in disk.tree()


# --- mounts ----------------------------------------------------------------------------------------------


@contextmanager
def elsewhere(script: str) -> Iterator[int]:
    """A process in a mount namespace of its own, once the script has run there."""
    words = ["unshare", "-m", "sh", "-ec", f"{script}\necho ready\nexec sleep 60"]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_copy_of_the_hosts_mounts_is_no_use(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    fill(disk.path)
    host = tmp_path / "host"
    host.mkdir()
    with elsewhere("true"), elsewhere(f"mount --rbind / {host}"), elsewhere(f"mount --rbind {tmp_path} /mnt"):
        assert state(wipe(disk, rules)) == ("done", "")
    assert disk.tree() == CLEAN


COPIES = {
    "on a folder of its own": "mount --bind {disk} {pod}",
    "a part of it": "mount --bind {disk}/a {pod}",
    "below a root of its own, at the same path": (
        "mount -t tmpfs none {pod} && mkdir -p {pod}{disk} && mount --bind {disk} {pod}{disk}"
    ),
    "on a folder of its own, the inherited one unmounted": "mount --bind {disk} {pod} && umount {disk}",
}


@pytest.mark.parametrize("script", COPIES.values(), ids=COPIES)
def test_a_container_that_was_given_the_disk_is_waited_for(
    disk: Disk, rules: Rules, tmp_path: Path, script: str
) -> None:
    fill(disk.path)
    before = disk.tree()
    pod = tmp_path / "pod"
    pod.mkdir()
    with elsewhere(script.format(disk=disk.path, pod=pod)) as pid:
        ended = wipe(disk, rules)
        assert state(ended) == ("running", "InUse")
        assert f"pid {pid}" in said(ended)
        assert str(pod) in said(ended)
        assert disk.tree() == [".tidb-volume", *before]
    assert state(wipe(disk, rules)) == ("done", "")


def test_a_namespace_whose_first_process_is_in_a_chroot_is_seen_whole(
    disk: Disk, rules: Rules, tmp_path: Path
) -> None:
    """A process shows no more of its namespace's mounts than what is below its own root."""
    tenancy, pod, jail = disk.tenancy(), tmp_path / "pod", tmp_path / "jail"
    for each in (pod, jail):
        each.mkdir()

    def be_a_container() -> None:
        unshare(_CLONE_NEWNS)
        run("mount", "--bind", tenancy, pod)
        parent = os.getpid()
        if os.fork() == 0:
            kernel.die_with_parent(parent, signal.SIGKILL)
            signal.pause()
        os.chroot(jail)
        os.chdir("/")

    with program(be_a_container):
        ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
        assert state(ended) == ("running", "InUse")
        assert str(pod) in said(ended)


def test_a_bind_mount_on_the_host_is_waited_for(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    fill(disk.path)
    there = tmp_path / "there"
    there.mkdir()
    for what in (disk.path, disk.path / "a"):
        run("mount", "--bind", what, there)
        ended = wipe(disk, rules)
        run("umount", there)
        assert (state(ended), ended.until) == (("running", "InUse"), "mounts")
    assert state(wipe(disk, rules)) == ("done", "")


# --- what only the kernel has open --------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [True, False], ids=["in /dev", "in another /dev"])
def test_a_loop_device_whose_file_is_on_it_is_waited_for(disk: Disk, rules: Rules, shown: bool) -> None:
    image = disk.path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    words = ["losetup", "-f", "--show", str(image)]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    number = os.stat(loop).st_rdev
    try:
        if not shown:
            os.unlink(loop)
        ended = wipe(disk, rules)
    finally:
        if not shown:
            os.mknod(loop, stat.S_IFBLK | 0o660, number)
        run("losetup", "-d", loop)
    assert state(ended) == ("running", "InUse")
    assert f"{os.path.basename(loop)}, whose file" in said(ended)
    assert not [each for each in os.listdir("/dev") if each.startswith(".tidb-volume")]
    assert image.exists()
    assert state(wipe(disk, rules)) == ("done", "")


@pytest.mark.parametrize("name", ["up", "odd, name: 1"])
@pytest.mark.guards("nobody_is_on_the_whole_disk")
def test_an_overlay_with_a_layer_on_it_is_waited_for(
    disk: Disk, rules: Rules, tmp_path: Path, name: str
) -> None:
    for each in (disk.path / name, disk.path / "work", tmp_path / "low", tmp_path / "merged"):
        each.mkdir()
    escaped = name.replace(",", "\\,").replace(":", "\\:")
    options = f"lowerdir={tmp_path}/low,upperdir={disk.path}/{escaped},workdir={disk.path}/work"
    mounted = subprocess.run(
        ["mount", "-t", "overlay", "-o", options, "overlay", tmp_path / "merged"], check=False
    )
    if mounted.returncode:
        pytest.skip("no overlay on this kernel")
    try:
        ended = wipe(disk, rules)
    finally:
        run("umount", tmp_path / "merged")
    assert state(ended) == ("running", "InUse")
    assert "overlay" in said(ended)
    assert state(wipe(disk, rules)) == ("done", "")
