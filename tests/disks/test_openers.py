"""Who has a raw device in use is seen in every way there is, and what cannot be seen is never nobody."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon.facts import loops, openers, process
from disk_daemon.facts.folder import Rules
from tests.disks.bench import Api, RawDisk, drop_ptrace, facts_of, identity_of, in_child, obey, volume_with
from tests.disks.device import prepare, state
from tests.disks.hung import FILE, hung
from tests.disks.test_whole_disk import program
from tidb_volume.value import Presence

BLOCK: dict[str, Any] = {"volume_mode": "Block"}
BOTH = pytest.mark.parametrize("job", [{}, BLOCK], ids=["filesystem", "block"])
_CLONE_FILES = 0x00000400
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


def has_mapped(node: str) -> object:
    """Python's own mmap keeps a descriptor; a program need not."""
    fd = os.open(node, os.O_RDWR)
    address = _libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    assert address != ctypes.c_void_p(-1).value
    os.close(fd)
    return address


def prepared(raw: RawDisk, rules: Rules, job: dict[str, Any]) -> tuple[str, str, str]:
    ended = obey(raw, prepare(identity_of(raw, rules)), rules, job=job)
    assert ended.work is not None
    return (*state(ended), ended.work.message)


@BOTH
@pytest.mark.guards("not_in_use")
def test_a_device_that_is_only_mapped_is_waited_for(raw: RawDisk, rules: Rules, job: dict[str, Any]) -> None:
    """No descriptor is open, and nobody holds it exclusively."""
    with program(lambda: has_mapped(raw.loop)) as pid:
        os.close(os.open(raw.loop, os.O_RDWR | os.O_EXCL))
        *what, said = prepared(raw, rules, job)
        assert what == ["running", "InUse"]
        assert f"(pid {pid}) has it mapped" in said
        assert f"(pid {pid})" in facts_of(raw, rules, **job).users[0].who
    assert prepared(raw, rules, job) == ("done", "", "")


def test_a_mapping_of_a_node_on_an_ordinary_file_system_is_seen(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    """/proc/PID/maps names that file system and the node's inode there, and no device."""
    node = tmp_path / "any-name"
    os.mknod(node, 0o60600, os.stat(raw.loop).st_rdev)
    with program(lambda: has_mapped(str(node))) as pid:
        node.unlink()
        assert f"(pid {pid}) has it mapped" in prepared(raw, rules, BLOCK)[2]


def test_a_process_whose_first_thread_has_ended_is_still_seen(raw: RawDisk, rules: Rules) -> None:
    script = (
        "import ctypes, os, threading, time\n"
        f"os.open({raw.loop!r}, os.O_RDONLY)\n"
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
        said = prepared(raw, rules, BLOCK)[2]
        holder.kill()
    assert f"(pid {holder.pid}) has it open" in said


def has_in_one_thread(node: str) -> object:
    """Which anybody may do: a table of descriptors that no other thread has."""
    there = threading.Event()

    def work() -> None:
        assert _libc.unshare(_CLONE_FILES) == 0
        os.open(node, os.O_RDWR)
        there.set()
        signal.sigwait({signal.SIGUSR2})

    threading.Thread(target=work, daemon=True).start()
    assert there.wait(10)
    return None


def has_on_its_way(node: str) -> object:
    """In the queue of a socket, and nowhere else."""
    here, there = socket.socketpair()
    fd = os.open(node, os.O_RDWR)
    socket.send_fds(here, [b"x"], [fd])
    os.close(fd)
    return here, there


def has_sent_to_who_has_not_accepted(node: str) -> object:
    listening, here = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listening.bind("\0" + os.urandom(8).hex())
    listening.listen()
    here.connect(listening.getsockname())
    fd = os.open(node, os.O_RDWR)
    socket.send_fds(here, [b"x"], [fd])
    os.close(fd)
    return listening, here


HIDDEN: list[tuple[Callable[[str], object], str]] = [
    (has_in_one_thread, "has it open"),
    (has_on_its_way, "was sent a descriptor that it has not read"),
    (has_sent_to_who_has_not_accepted, "was sent a descriptor that it has not read"),
]


@pytest.mark.parametrize(("use", "words"), HIDDEN, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.guards("not_in_use")
def test_who_hides_a_descriptor_is_waited_for(
    raw: RawDisk, rules: Rules, use: Callable[[str], object], words: str
) -> None:
    with program(lambda: use(raw.loop)) as pid:
        *what, said = prepared(raw, rules, BLOCK)
        assert what == ["running", "InUse"]
        assert f"(pid {pid}) {words}" in said
    assert prepared(raw, rules, BLOCK) == ("done", "", "")


# --- what cannot be seen ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.guards("not_in_use")
def test_who_may_not_look_does_not_know_and_waits(raw: RawDisk, rules: Rules, job: dict[str, Any]) -> None:
    identity = identity_of(raw, rules)

    def look_without_the_right() -> None:
        drop_ptrace()
        seen = facts_of(raw, rules, **job)
        assert (seen.presence, "CAP_SYS_PTRACE" in seen.users_unknown) == (Presence.OK, True)
        ended = obey(raw, prepare(identity), rules, Api(volume_with(raw, prepare(identity))), job=job)
        assert (state(ended), ended.until) == (("running", "InUse"), "device")
        assert ended.work is not None
        assert "cannot tell" in ended.work.message

    assert in_child(look_without_the_right) == 0


def without_the_right(look: Callable[[], object]) -> None:
    """Run where other processes of root are closed to us, as a security module closes single ones."""

    def work() -> None:
        drop_ptrace()
        look()

    assert in_child(work) == 0


def test_a_process_that_is_closed_to_us_may_have_the_device(raw: RawDisk, rules: Rules) -> None:
    device = {os.stat(raw.loop).st_rdev}

    def look() -> None:
        with pytest.raises(PermissionError, match=f"pid {pid}"):
            openers.users_of_processes(device, [str(pid)], rules)

    with program(lambda: None) as pid:
        without_the_right(look)


def test_threads_of_the_kernel_and_what_has_ended_have_nothing(raw: RawDisk, rules: Rules) -> None:
    ended = os.fork()
    if ended == 0:
        os._exit(0)
    os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    pids = [str(ended), str(gone), *_kernel_threads()]

    def look() -> None:
        assert openers.users_of_processes({os.stat(raw.loop).st_rdev}, pids, rules) == ()
        assert all(process.has_nothing(pid) for pid in pids)
        assert not process.has_nothing("self")

    without_the_right(look)
    os.waitpid(ended, 0)


def _kernel_threads() -> list[str]:
    """kthreadd and its first children, where they are shown."""
    kthreadd = Path("/proc/2")
    if not kthreadd.exists() or (kthreadd / "comm").read_text() != "kthreadd\n":
        return []
    return ["2", *(kthreadd / "task" / "2" / "children").read_text().split()[:5]]


# --- loop devices on it -----------------------------------------------------------------------------------


def test_a_loop_device_on_it_is_seen_though_dev_has_no_node_of_it(raw: RawDisk, rules: Rules) -> None:
    words = ["losetup", "-f", "--show", raw.loop]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    os.rename(loop, f"{loop}.away")
    try:
        assert f"loop device {loop[5:]} on it" in prepared(raw, rules, BLOCK)[2]
    finally:
        os.rename(f"{loop}.away", loop)
        subprocess.run(["losetup", "-d", loop], check=True)
    assert [each.name for each in Path(rules.nodes).iterdir()] == []


def fake_loop(sys: Path, number: str) -> Path:
    backing = sys / "block" / "loop7" / "loop" / "backing_file"
    backing.parent.mkdir(parents=True)
    backing.write_text("/somewhere\n")
    (sys / "block" / "loop7" / "dev").write_text(f"{number}\n")
    return backing


def test_a_loop_device_that_cannot_be_asked_may_lie_on_anything(
    own_mounts: None, rules: Rules, tmp_path: Path
) -> None:
    backing = fake_loop(tmp_path / "sys", "7:1048000")
    with pytest.raises(OSError, match="what loop7 lies on cannot be seen"):
        list(loops.backings(rules.nodes, rules.state, (), tmp_path / "sys"))
    backing.unlink()
    assert list(loops.backings(rules.nodes, rules.state, (), tmp_path / "sys")) == []


@BOTH
def test_where_a_loop_device_cannot_be_asked_the_order_waits(
    raw: RawDisk, rules: Rules, job: dict[str, Any]
) -> None:
    words = ["losetup", "-f", "--show", raw.loop]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    os.rename(loop, f"{loop}.away")
    nowhere = msgspec.structs.replace(rules, nodes=str(raw.image / "nodes"))
    try:
        seen = facts_of(raw, nowhere, **job)
        assert f"what {loop[5:]} lies on cannot be seen" in seen.users_unknown
        what = prepared(raw, nowhere, job)
        assert what[:2] == ("running", "InUse")
        assert "cannot tell" in what[2]
    finally:
        os.rename(f"{loop}.away", loop)
        subprocess.run(["losetup", "-d", loop], check=True)


def test_a_server_that_no_longer_answers_keeps_nobody_from_looking(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    """Somebody on the machine has a file of it open; what that is, the kernel knows without the server."""
    with hung(tmp_path / "dead") as pid:
        seen = [os.path.basename(os.readlink(link)) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert FILE in seen
        assert prepared(raw, rules, BLOCK) == ("done", "", "")


def test_whoever_has_a_file_on_a_dead_server_and_the_device_is_seen(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    with hung(tmp_path / "dead"), program(lambda: os.open(raw.loop, os.O_RDWR)) as pid:
        assert f"(pid {pid}) has it open" in prepared(raw, rules, BLOCK)[2]
