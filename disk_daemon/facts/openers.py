"""Who has a block device itself in use: what neither a mount of its file system nor O_EXCL shows.

A pod with a Block volume does not hold the device exclusively (tried on kubelet 1.37). What gives it away:
the kubelet bind-mounts the device node, puts a loop device on that node, and the pod opens it, or has it
mapped into its memory and the descriptor closed. All of them are compared by device number; a node may have
any name and lie on any file system, so what /proc/PID/maps says of a mapping (the node's inode, on the file
system that holds the node) does not tell: each mapped file is asked (/proc/PID/map_files).

A descriptor may be sent to somebody who does not read it (SCM_RIGHTS): nothing tells of what it is, so before
a raw device is wiped whoever has such a socket may have it.

Not seen: what only the kernel holds beyond these (files registered with an io_uring, targets).
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Iterator

from disk_daemon.facts import loops, mounts, process
from disk_daemon.facts.folder import Rules
from disk_daemon.kernel import remembered
from disk_daemon.known import User


def users(
    devices: Collection[int],
    tables: Collection[mounts.Table],
    rules: Rules,
    *,
    all_of_them: bool,
    sent_too: bool = False,
    locked: int = 0,
) -> tuple[User, ...]:
    """Bind mounts of a node of one of the devices, loop devices on it, and processes that have it.

    devices: numbers (st_rdev). tables: of all mount namespaces. all_of_them: without it the look ends with
    the first kind that is found, since processes cost a stat for each descriptor on the machine; that one is
    there is known then, but not all who are. sent_too, locked: see `users_of_processes`. To be called in the
    host's mount namespace. Raises OSError where it cannot be told: what may not be looked at may be a user.
    """
    process.check_that_we_may_look()
    found = (*_loops(devices, tables, rules), *_bound(devices, tables, rules))
    if found and not all_of_them:
        return found
    return (*found, *users_of_processes(devices, process.pids(), rules, sent_too=sent_too, locked=locked))


def _loops(devices: Collection[int], tables: Collection[mounts.Table], rules: Rules) -> Iterator[User]:
    for loop, backing in loops.backings(rules.nodes, rules.state, tables):
        if backing.node in devices:
            yield User(who=f"loop device {loop.name} on it", root="")


def _bound(devices: Collection[int], tables: Collection[mounts.Table], rules: Rules) -> Iterator[User]:
    for table in tables:
        if table.pid in rules.hidden:
            continue
        for line in table.lines.split(b"\n"):
            # A bind mount of one node: its root is a path in a file system that holds device nodes.
            if not line or line.split(b" ", 4)[3:4] == [b"/"]:
                continue
            for mount in mounts.parse(line):
                if _leads_to(mount.target, table.pid, devices):
                    yield mounts.user(mount, table.pid)


def _leads_to(target: str, pid: int, devices: Collection[int]) -> bool:
    """Whether a device's node is mounted there, in the namespace of a process (0: our own)."""
    root = f"/proc/{pid}/root" if pid else ""
    try:
        about = remembered(root + target, follow=False)
    except PermissionError:
        raise
    except OSError:
        return False
    return stat.S_ISBLK(about.st_mode) and about.st_rdev in devices


def users_of_processes(
    devices: Collection[int],
    pids: Iterable[str],
    rules: Rules,
    *,
    sent_too: bool = False,
    locked: int = 0,
) -> tuple[User, ...]:
    """Those of some processes that have one of the devices open or mapped; this one is none. sent_too: and
    those that were sent a descriptor which they have not read. locked: that of them which other children of
    the daemon have open for its lock, or to look at it, while they work on another partition: they count for
    the rest alone. OSError as in `users`."""
    own, known = process.own(), set[bytes]()
    found: list[User] = []
    for pid in pids:
        if pid == own or int(pid) in rules.hidden:
            continue
        try:
            # Each such socket is given its moment, and one is enough to wait for.
            how = _how_it_has(pid, devices, known, sent_too=sent_too and not found)
        except PermissionError as error:
            if process.has_nothing(pid):
                continue
            said = f"what {process.name(pid)} has open cannot be seen: {error.strerror}"
            raise PermissionError(error.errno, said) from error
        if how and locked and process.is_ours(pid):
            how = _how_it_has(pid, set(devices) - {locked}, set(), sent_too=False)
        if how:
            found.append(User(who=f"{process.name(pid)} {how}", root="", pid=int(pid)))
    return tuple(found)


def _how_it_has(pid: str, devices: Collection[int], known: set[bytes], *, sent_too: bool) -> str:
    """How a process has one of the devices, for people; empty: it has none of them.

    Threads share memory and, most of them, descriptors. The first one's are asked for all of them, or
    another's where the first has ended before the others. Descriptors come first: who maps the device and
    then closes it has one of both at any moment.
    """
    apart = process.with_a_table_of_their_own(pid)
    for thread in (pid, *apart):
        how = _how_a_thread_has(thread, devices, sent_too=sent_too)
        if how:
            return how
    for thread in (pid, *apart):
        for about in process.mapped(f"/proc/{thread}", known):
            if about.st_rdev in devices and stat.S_ISBLK(about.st_mode):
                return "has it mapped"
        if not process.has_ended(thread):
            break
    return ""


def _how_a_thread_has(thread: str, devices: Collection[int], *, sent_too: bool) -> str:
    folder = f"/proc/{thread}"
    for number, about in process.descriptors(folder):
        if about.st_rdev in devices and stat.S_ISBLK(about.st_mode):
            return "has it open"
        if sent_too and stat.S_ISSOCK(about.st_mode) and process.carries_descriptors(folder, number):
            return "was sent a descriptor that it has not read, maybe of this"
    return ""
