"""What is broken of devices alone: what a look at one means, what is decided about one, and its witnesses."""

from __future__ import annotations

from typing import Any

from disk_daemon import claims, journal, known, step, step_device, verdict
from disk_daemon.facts import bare
from tests.unit.life import machine
from tests.unit.life.model.breaking import BROKEN, Break, Put, breaks, without
from tidb_volume.life import free, look, memory, release

change = machine.change


def _guard(name: str, **begin: Any) -> None:
    BROKEN[f"device: {name} is not asked"] = Break(lambda put: without(put, name), begin, "device")


_guard("identity_matches", stage="adopting", spare=True, between="swapped")
_guard("nobody_had_it", stage="bound", saved="offered", between="emptied, etcd set back, edited", shape="xfs")
_guard("no_restore_is_asked", stage="committed", between="restore")
_guard("not_paused", stage="committed", between="pause")


@breaks(
    "controller and daemon: who has the device is not asked",
    model="device",
    shape="Block",
    stage="bound",
    between="container stays",
)
def _in_use(put: Put) -> None:
    without(put, "not_in_use")
    real = release.moment

    def moment(world: Any, seen: Any) -> Any:
        found = real(world, seen)
        return None if found is not None and found.word == "InUse" else found

    put(release, "moment", moment)


@breaks(
    "daemon: what is begun on a device is not journalled",
    model="device",
    shape="Block",
    stage="wiping",
    between="daemon dies, restore",
)
def _unjournalled(put: Put) -> None:
    real = journal.noted
    put(journal, "noted", lambda *args, begun, **kwargs: real(*args, begun=False, **kwargs))


@breaks(
    "daemon: a raw device's tenancy is not compared with the journal's",
    model="device",
    shape="Block",
    stage="committed",
    saved="committed",
    between="next tenant, etcd set back",
)
def _any_tenancy(put: Put) -> None:
    real = step_device._block

    def block(case: Any, raw: Any) -> Any:
        entry = case.journal
        if isinstance(entry, known.Entry) and case.order.ends:
            case = change(case, journal=change(entry, handed=case.order.ends))
        return real(case, raw)

    put(step_device, "_block", block)
    put(step, "is_journalled", lambda case: False)


@breaks(
    "daemon: a raw device is not read from end to end before it is offered anew",
    model="device",
    shape="Block",
    sparse=True,
    stage="offered",
    between="withdrawn, and written by hand",
)
def _not_read(put: Put) -> None:
    real = step_device.decide

    def decide(case: Any) -> Any:
        found = real(case)
        if not isinstance(found, verdict.Do):
            return found
        return verdict.Do(tuple(move for move in found.moves if not isinstance(move, verdict.ReadAll)))

    put(step_device, "decide", decide)


@breaks(
    "daemon: a device is made into a raw one without zeroes",
    model="device",
    shape="xfs",
    stage="committed",
    between="another shape",
)
def _not_zeroed(put: Put) -> None:
    real = step_device._make

    def make(*args: Any, **how: Any) -> Any:
        return tuple(move for move in real(*args, **how) if not isinstance(move, verdict.Overwrite))

    put(step_device, "_make", make)
    _not_read(put)
    _looks_zero(put)


def _looks_zero(put: Put) -> None:
    real = bare.block

    def block(*args: Any, **how: Any) -> Any:
        found = real(*args, **how)
        return change(found, empty=True) if found.tenancies and not found.users else found

    put(bare, "block", block)


@breaks(
    "daemon: a raw device looks unused whatever is on it",
    model="device",
    shape="Block",
    stage="offered",
    saved="offered",
    between="used, and etcd set back",
)
def _always_empty(put: Put) -> None:
    _looks_zero(put)


@breaks(
    "daemon: a pod on a raw device is not journalled",
    model="device",
    shape="Block",
    sparse=True,
    stage="offered",
    saved="offered",
    between="seen, and etcd set back",
)
def _not_noted(put: Put) -> None:
    put(claims, "_is_in", lambda root, entry: False)


@breaks(
    "daemon: an edit of the entry changes what a device is taken for",
    model="device",
    shape="Block",
    stage="offered",
    between="another shape",
)
def _by_the_entry(put: Put) -> None:
    put(bare, "mode", lambda job, entry: job.volume_mode)


@breaks(
    "daemon: what a cut mkfs has left is whatever is there",
    model="device",
    shape="xfs",
    stage="wiping",
    frozen=1,
    between="cut, and another's file system",
)
def _any_left(put: Put) -> None:
    put(step_device, "_is_left_by_mkfs", lambda entry, raw: True)


@breaks(
    "controller and daemon: a device with unknown data is taken for a blank one",
    model="device",
    dirty=True,
    stage="new",
)
def _blank(put: Put) -> None:
    put(
        step_device,
        "_is_blank",
        lambda case, entry, raw: case.order.kind == "prepare" and not case.order.ends,
    )
    real = look.is_known

    def is_known(world: Any, *, used: bool = False) -> bool:
        disk = world.volume.status.disk
        return (disk is not None and disk.content == "data" and not disk.journal) or real(world, used=used)

    put(look, "is_known", is_known)


@breaks(
    "daemon: an order for a device that was taken back comes back out of a restored etcd",
    model="device",
    stage="committed",
    saved="committed",
    between="given back, and etcd set back",
)
def _taken_back(put: Put) -> None:
    put(step, "was_taken_back", lambda case: "")


@breaks(
    "controller: what is on offer is not compared with the device",
    model="device",
    stage="bound",
    saved="offered",
    between="etcd set back",
)
def _stays_on_offer(put: Put) -> None:
    put(free, "_still_clean", lambda seen, tenancy: True)
    put(memory, "used_on_offer", lambda seen: False)
