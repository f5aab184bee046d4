"""Programs of our image, run on a device that is already open.

A child works in the host's mount namespace; mkfs and blkid lie in the container's. So a program is started
in the namespace that the daemon came from and gets the device as a descriptor, `/proc/self/fd/N`, never as a
name. It dies with the child that started it.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess

import msgspec

from disk_daemon import kernel
from disk_daemon.known import Damaged
from disk_daemon.shown import shown

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "BLKID_FILE": "/dev/null"}
_NOTHING, _AMBIVALENT = 2, 8
"""blkid(8): nothing was found; several things that contradict each other were."""

_ENDS_BYTES = 256 << 10
"""So much of head and tail libblkid looks at, where it finds nothing."""


class _Row(msgspec.Struct, frozen=True):
    type: str
    usage: str | None = None


class _Listing(msgspec.Struct, frozen=True):
    """What wipefs(8) prints with -J."""

    signatures: tuple[_Row, ...]


class Found(msgspec.Struct, frozen=True):
    """What libblkid finds on a device. `words` is empty where it surely finds nothing."""

    words: str = ""
    fs_type: str = ""
    """libblkid's TYPE, also of what is no file system."""
    uuid: str = ""
    usage: str = ""
    table: str = ""
    """The kind of partition table, if there is one (PTTYPE)."""
    ambivalent: bool = False


def run(namespace: int, argv: list[str], fd: int, kept: tuple[int, ...] = ()) -> tuple[int, str, str]:
    """Run a program on an open device, named by the word `{}` in argv. namespace: a descriptor, -1: this one.
    kept: descriptors of locks that it holds on to as long as it is there.

    Returns its exit status and what it printed on stdout and stderr. OSError: it could not be started.
    """
    parent = os.getpid()

    def become() -> None:
        kernel.die_with_parent(parent, signal.SIGKILL)
        if namespace >= 0:
            kernel.enter_mounts(namespace)

    done = subprocess.run(
        [f"/proc/self/fd/{fd}" if word == "{}" else word for word in argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        pass_fds=(fd, *kept),
        env=_ENVIRONMENT,
        cwd="/",
        preexec_fn=become,
        check=False,
    )
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    return done.returncode, out, err.strip()


def probe(namespace: int, fd: int, kept: tuple[int, ...] = ()) -> Found:
    """What is on a device, by libblkid's own look at it; udev's data may be stale (kubernetes #59050).
    namespace, kept: as `run` has them.

    What contradicts itself is found all the same: it is not nothing. OSError where nobody can tell.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    seen = found(*run(namespace, ["blkid", "-p", "-D", "-o", "export", "{}"], fd, kept))
    if not seen.words:
        _read_ends(fd)
    return seen


def found(status: int, out: str, err: str) -> Found:
    """What blkid says, from its exit status and what it printed. OSError where that is no answer."""
    # A line feed in a label is shown as ^J; what else may end a line for Python is part of the label.
    facts = dict(line.split("=", 1) for line in out.split("\n") if "=" in line)
    facts.pop("DEVNAME", None)
    if status == _AMBIVALENT:
        return Found(words="several signatures that contradict each other", ambivalent=True)
    if status == _NOTHING and not facts:
        return Found()
    if status != 0 or not facts:
        raise OSError(errno.EIO, f"blkid ended with {status}: {err or 'it said nothing'}")
    kind = facts.get("TYPE", "")
    table = facts.get("PTTYPE", "")
    words = shown(kind or (f"{table} partition table" if table else "a signature"))
    label = facts.get("LABEL", "")
    return Found(
        words=f"{words} (label {shown(label)})" if label else words,
        fs_type=kind,
        uuid=facts.get("UUID", ""),
        usage=facts.get("USAGE", ""),
        table=table,
    )


def damaged(namespace: int, fd: int, kept: tuple[int, ...] = ()) -> tuple[Damaged, ...]:
    """The signatures on a device where `probe` names none, since their checksums are wrong: wipefs lists
    these too, and so writes nothing. OSError where nobody can tell."""
    return listed(*run(namespace, ["wipefs", "-n", "-J", "-O", "TYPE,USAGE", "{}"], fd, kept))


def listed(status: int, out: str, err: str) -> tuple[Damaged, ...]:
    """What wipefs lists, from its exit status and what it printed. OSError where that is no answer."""
    try:
        if status == 0:
            rows = msgspec.json.decode(out, type=_Listing).signatures
            return tuple(Damaged(kind=each.type, usage=each.usage or "") for each in rows)
    except msgspec.DecodeError as error:
        err = str(error)
    raise OSError(errno.EIO, f"wipefs ended with {status}: {err or 'it said nothing'}")


def _read_ends(fd: int) -> None:
    """Read where signatures lie: blkid takes a place that it cannot read for one with nothing on it, and a
    disk that fails would pass for one that no other machine shares. OSError where it can't be read."""
    size = os.lseek(fd, 0, os.SEEK_END)
    for start in (0, max(0, size - _ENDS_BYTES)):
        end = min(size, start + _ENDS_BYTES)
        while start < end:
            # A read ends early before a place that fails, and says so only when it begins there.
            start += len(os.pread(fd, end - start, start)) or end - start


def make_filesystem(namespace: int, fd: int, fs_type: str, uuid: str, kept: tuple[int, ...] = ()) -> None:
    """mkfs, with a UUID of ours and without discards. OSError where it fails, with its own words.

    namespace, kept: as `run` has them.
    """
    argv = {
        "xfs": ["mkfs.xfs", "-q", "-f", "-K", "-m", f"uuid={uuid}", "{}"],
        "ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-U", uuid, "{}"],
    }[fs_type]
    status, _, err = run(namespace, argv, fd, kept)
    if status != 0:
        raise OSError(errno.EIO, f"mkfs.{fs_type} ended with {status}: {err}")
