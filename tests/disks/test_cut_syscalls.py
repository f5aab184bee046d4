"""A wipe of a folder is killed before each of its system calls that could change anything, once each.

tests/disks/test_cut.py kills where the code says that it changes something. Here the kernel says it: strace
counts each call of the kinds below, and kills the process as it enters the one of that number. Between
two of these nothing on the disk or in the journal can change, so there is no other moment to be cut at.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from disk_daemon.facts.folder import Rules
from tests.cluster import packages
from tests.cluster.system import ClusterError
from tests.disks.bench import Disk, entry_of, identity_of, obey, reclaim, state

pytestmark = pytest.mark.long

CHANGES = (
    "open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,"
    "mkdir,mkdirat,mknod,mknodat,truncate,ftruncate,fallocate,write,pwrite64,writev,pwritev,pwritev2,sendfile,"
    "copy_file_range,chmod,fchmod,fchmodat,?fchmodat2,chown,fchown,fchownat,setxattr,fsetxattr,removexattr,"
    "fremovexattr,utimensat,ioctl,fsync,fdatasync,syncfs,sync_file_range,sync,mount,umount2,fsmount,move_mount"
)
"""Whatever can change a file system or a device, or have it stored; to open may be to create."""
MOST = 400
FILES = ("one", "two")


@pytest.fixture(scope="module")
def strace() -> str:
    try:
        packages.require({"strace": "strace"})
    except ClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return "strace"


def killed_at(strace: str, number: int, work: Callable[[], object]) -> bool:
    """Run in a process that is killed as it enters its change of that number; False: it made fewer."""
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(ready, 1)
        work()
        os._exit(0)
    os.close(ready)
    words = [strace, "-f", "-o", "/dev/null", "-e", f"trace={CHANGES}"]
    words += ["-e", f"inject={CHANGES}:signal=SIGKILL:when={number}", "-p", str(pid)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        os.close(go)
        status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.mark.timeout(900)
def test_killed_at_any_system_call_the_next_process_comes_to_the_same_end(
    disk: Disk, rules: Rules, strace: str
) -> None:
    disk.tenancy()
    identity, tenancy = identity_of(disk, rules), "a" * 12
    letters = "abcdefghijklmnopqrstuvwxyz"
    for number in range(1, MOST):
        for name in FILES:
            (disk.ours / tenancy / name).write_text("secret")
        following = "z" * 10 + letters[number // 26] + letters[number % 26]
        order = reclaim(identity, id=f"cut-{number}", ends=tenancy, next=following)
        killed = killed_at(strace, number, lambda: obey(disk, order, rules))  # noqa: B023
        ended = obey(disk, order, rules)
        assert state(ended) == ("done", ""), (number, ended.work)
        assert disk.tree() == [".tidb-volume", f".tidb-volume/{following}"], number
        assert entry_of(disk, rules).handed == following
        tenancy = following
        if not killed:
            break
    assert 40 < number < MOST - 1
