"""What the kernel says of disks that come and go, as udev hears it: a netlink socket of the same kind.

Only that something has happened is taken from here, never what: the machine is looked at then. So a message
that is lost, or that somebody forged, does no harm; a look comes each minute in any case.
"""

from __future__ import annotations

import errno
import socket

_NETLINK_KOBJECT_UEVENT = 15
_FROM_KERNEL = 1
"""The group of the kernel's own messages; udev sends its to another one."""
_LONGEST = 16 << 10


def opened() -> socket.socket | None:
    """A socket that can be read when something has happened; None where the kernel gives none."""
    try:
        found = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _NETLINK_KOBJECT_UEVENT
        )
        found.bind((0, _FROM_KERNEL))
    except OSError:
        return None
    return found


def disks_moved(messages: socket.socket) -> bool:
    """Read all that there is: whether a block device has come or gone, or may have."""
    moved = False
    while True:
        try:
            moved |= is_of_disk(messages.recv(_LONGEST))
        except BlockingIOError:
            return moved
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            moved = True  # more has happened than there was room for


def is_of_disk(message: bytes) -> bool:
    """Whether a message says that a block device has come or gone (lib/kobject_uevent.c)."""
    fields = message.split(b"\0")
    return b"SUBSYSTEM=block" in fields and (b"ACTION=add" in fields or b"ACTION=remove" in fields)
