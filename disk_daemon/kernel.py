"""System calls that Python 3.11 lacks, each as thin as it can be.

What keeps the destructive code on its disk is in here: `open_below` (openat2) opens one name below a
directory that is already open, and the kernel itself refuses a symlink, another mount, and a way out. No path
is ever put together from names found on a disk.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import stat
import struct
import time
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_long, c_uint, c_ulong
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = c_long
_libc.renameat2.argtypes = [c_int, c_char_p, c_int, c_char_p, c_uint]
_libc.statx.argtypes = [c_int, c_char_p, c_int, c_uint, c_char_p]
_libc.syncfs.argtypes = [c_int]
_libc.setns.argtypes = [c_int, c_int]
_libc.mount.argtypes = [c_char_p, c_char_p, c_char_p, c_ulong, c_char_p]
_libc.umount2.argtypes = [c_char_p, c_int]
_libc.prctl.argtypes = [c_int, c_ulong, c_ulong, c_ulong, c_ulong]

_OPENAT2 = 437
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}.get(platform.machine(), -1)
_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine(), -1)

# linux/openat2.h
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08
# linux/sched.h, linux/prctl.h, linux/ioprio.h, linux/fs.h
_CLONE_NEWNS = 0x00020000
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 1, 3 << 13
_RENAME_NOREPLACE = 1
# linux/kcmp.h
_KCMP_FILES = 2
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602
_FS_IOC_GETFSUUID = 0x80111500
FS_IMMUTABLE, FS_APPEND = 0x10, 0x20
_FITRIM = 0xC0185879
# linux/mount.h
_MS_NOSUID, _MS_NODEV = 2, 4
_FLAGS = {
    "nosuid": _MS_NOSUID,
    "nodev": _MS_NODEV,
    "noexec": 8,
    "sync": 16,
    "dirsync": 128,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
    "lazytime": 1 << 25,
}
_UMOUNT_NOFOLLOW, _MNT_DETACH = 8, 2
# linux/fcntl.h, linux/stat.h
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _AT_NO_AUTOMOUNT, _AT_STATX_DONT_SYNC = -100, 0x100, 0x800, 0x4000
_STATX_TYPE, _STATX_INO = 0x1, 0x100
_REMEMBERED = _AT_STATX_DONT_SYNC | _AT_NO_AUTOMOUNT
_STATX = struct.Struct("=28xHxxQ88xIIII")
"""Of struct statx: mode, inode, and major and minor of a device node and of the file system."""
_STATX_BYTES = 256

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _failed(what: str | bytes) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


def _open2(directory: int, name: str | bytes, flags: int, resolve: int) -> int:
    how = _OpenHow(flags, 0, resolve)
    path = os.fsencode(name)
    while True:
        fd = _libc.syscall(
            c_long(_OPENAT2), c_int(directory), c_char_p(path), ctypes.byref(how), c_ulong(ctypes.sizeof(how))
        )
        if fd >= 0:
            return int(fd)
        if ctypes.get_errno() not in (errno.EINTR, errno.EAGAIN):
            raise _failed(name)


def open_path(path: str, flags: int = DIRECTORY) -> int:
    """Open an absolute path through no symlink at all. Returns a descriptor; OSError (ELOOP: a symlink)."""
    return _open2(-100, path, flags | os.O_CLOEXEC, _NO_SYMLINKS | _NO_MAGICLINKS)


def open_below(directory: int, name: str | bytes, flags: int = DIRECTORY) -> int:
    """Open `name` in the open `directory`, on the same mount, through no symlink, never above it.

    OSError with EXDEV: a mount lies there, or a way out; ELOOP: a symlink.
    """
    resolve = _NO_SYMLINKS | _NO_MAGICLINKS | _NO_XDEV | _BENEATH
    return _open2(directory, name, flags | os.O_CLOEXEC, resolve)


def rename_new(from_directory: int, name: str, to_directory: int, new_name: str) -> None:
    """Rename, and never over something that is there (EEXIST)."""
    done = _libc.renameat2(
        from_directory, os.fsencode(name), to_directory, os.fsencode(new_name), _RENAME_NOREPLACE
    )
    if done != 0:
        raise _failed(name)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """fsync(2) of a folder: what names are in it is on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(fd: int) -> None:
    """syncfs(2): all of that file system is on the disk; raises what a write-back met (EIO, ENOSPC)."""
    if _libc.syncfs(fd) != 0:
        raise _failed("syncfs")


class Remembered(NamedTuple):
    """What a file is, as its file system has it in memory; named as in os.stat_result."""

    st_mode: int
    st_ino: int
    st_rdev: int
    st_dev: int


def remembered(path: str, directory: int | None = None, *, follow: bool = True) -> Remembered:
    """What a file is, without asking the server or the program behind its file system (statx(2)).

    Kind, inode and device numbers of what somebody has open never change, so what is remembered is true, and
    a dead NFS server or a FUSE that hangs does not keep whoever asks. Raises OSError.
    """
    flags = _REMEMBERED if follow else _REMEMBERED | _AT_SYMLINK_NOFOLLOW
    at = _AT_FDCWD if directory is None else directory
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if _libc.statx(at, path.encode(errors="surrogateescape"), flags, _STATX_TYPE | _STATX_INO, found):
        raise _failed(path)
    mode, inode, of_major, of_minor, major, minor = _STATX.unpack_from(found)
    return Remembered(mode, inode, os.makedev(of_major, of_minor), os.makedev(major, minor))


def share_descriptors(one: int, other: int) -> bool:
    """Whether two threads have one table of open descriptors (kcmp(2)). Numbers are those of our own
    namespace of processes. OSError where it cannot be told (ESRCH: one is gone; EPERM: we may not know)."""
    zero = c_ulong(0)
    same = _libc.syscall(c_long(_KCMP), c_int(one), c_int(other), c_int(_KCMP_FILES), zero, zero)
    if same < 0:
        raise _failed("kcmp")
    return bool(same == 0)


def mount_id(fd: int) -> int:
    """The id of the mount that a descriptor was opened through, as the first field of mountinfo has it."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    raise OSError(errno.ENOSYS, "fdinfo names no mnt_id")


def filesystem_uuid(fd: int) -> str:
    """The UUID of the mounted file system, from the kernel (FS_IOC_GETFSUUID, 6.9), or empty."""
    answer = bytearray(17)
    try:
        fcntl.ioctl(fd, _FS_IOC_GETFSUUID, answer)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP):
            return ""
        raise
    return _uuid(bytes(answer[1:17])) if answer[0] == 16 else ""


def superblock_uuid(head: bytes) -> str:
    """The UUID in the first 4 KiB of an XFS or ext2/3/4 file system, for kernels that have no call for it."""
    if head[:4] == b"XFSB":
        return _uuid(head[32:48])
    if head[1080:1082] == b"\x53\xef":
        return _uuid(head[1128:1144])
    return ""


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    if len(digits) != 32 or not digits.strip("0"):
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def clear_fixed(fd: int) -> int:
    """Take `immutable` and `append only` off the inode behind an open descriptor; those that were set."""
    flags = _inode_flags(fd)
    fixed = flags & (FS_IMMUTABLE | FS_APPEND)
    if fixed:
        _set_inode_flags(fd, flags & ~fixed)
    return fixed


def fix(fd: int, fixed: int) -> None:
    """Set again what `clear_fixed` took off."""
    _set_inode_flags(fd, _inode_flags(fd) | fixed)


def _inode_flags(fd: int) -> int:
    word = bytearray(8)
    try:
        fcntl.ioctl(fd, _FS_IOC_GETFLAGS, word)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
            return 0
        raise
    return int.from_bytes(word[:4], "little")


def _set_inode_flags(fd: int, flags: int) -> None:
    fcntl.ioctl(fd, _FS_IOC_SETFLAGS, flags.to_bytes(4, "little") + bytes(4))


def reopen_inode(directory: int, name: str) -> int | None:
    """A readable descriptor of a regular file, directory or fifo in `directory`; None for all else.

    A device or a socket is never opened: opening some devices already does something.
    """
    pinned = open_below(directory, name, os.O_PATH | os.O_NOFOLLOW)
    try:
        mode = os.fstat(pinned).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISFIFO(mode)):
            return None
        return os.open(f"/proc/self/fd/{pinned}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(pinned)


def enter_mounts_of(pid: int) -> None:
    """Enter the mount namespace of a process, unless it is ours already. Only a single thread can."""
    if is_in_mounts_of(pid):
        return
    fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_mounts(fd)
    finally:
        os.close(fd)


def is_in_mounts_of(pid: int) -> bool:
    """Whether a process is in the same mount namespace as this one."""
    theirs, ours = os.stat(f"/proc/{pid}/ns/mnt"), os.stat("/proc/self/ns/mnt")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def own_mounts() -> int:
    """A descriptor of the mount namespace that this process is in, to come back to it."""
    return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def enter_mounts(namespace: int) -> None:
    """Enter the mount namespace behind a descriptor."""
    if _libc.setns(namespace, _CLONE_NEWNS) != 0:
        raise _failed("setns")


def mount(source: str, target: str, fs_type: str, options: Sequence[str] = ()) -> None:
    """mount(2), without set-user-id programs and device nodes: what a tenant may write is data.

    options: as people write them; what is no flag of mount(2) is the file system's own. OSError, with the
    options in its words, where the kernel does not take them (EINVAL).
    """
    words = (os.fsencode(source), os.fsencode(target), fs_type.encode())
    flags, own = _MS_NOSUID | _MS_NODEV, []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        else:
            own.append(option)
    if _libc.mount(*words, flags, ",".join(own).encode() or None) != 0:
        error = _failed(target)
        if options:
            said = f"{error.strerror}, with mountOptions {', '.join(options)}; the kernel's log may say which"
            raise OSError(error.errno, said, target)
        raise error


def unmount(target: str) -> None:
    """umount2(2), through no symlink and never lazily; OSError with EBUSY while somebody uses it."""
    if _libc.umount2(os.fsencode(target), _UMOUNT_NOFOLLOW) != 0:
        raise _failed(target)


def detach(target: str) -> None:
    """Take a mount out of this namespace at once, whoever uses it."""
    if _libc.umount2(os.fsencode(target), _UMOUNT_NOFOLLOW | _MNT_DETACH) != 0:
        raise _failed(target)


def trim(root: int, start: int, length: int) -> None:
    """FITRIM: tell the disk below a mounted file system what of this range is free. OSError: it can't."""
    fcntl.ioctl(root, _FITRIM, struct.pack("QQQ", start, length, 0))


def die_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send us `signal_number` once our parent is gone. ProcessLookupError: it is already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        raise ProcessLookupError(errno.ESRCH, "the parent ended first")


def name_process(name: str) -> None:
    """The name that ps shows for this process, up to 15 bytes."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _libc.prctl(_PR_SET_NAME, ctypes.addressof(buffer), 0, 0, 0)


def be_idle() -> None:
    """Idle IO priority: other processes' reads and writes come first."""
    if _IOPRIO_SET >= 0:
        _libc.syscall(c_long(_IOPRIO_SET), c_int(_IOPRIO_WHO_PROCESS), c_int(0), c_int(_IOPRIO_IDLE))


def boottime() -> float:
    """Seconds since boot, counted also while the machine sleeps; the same clock in every process."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
