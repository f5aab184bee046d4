"""Giving the data to the one claim that a person named: restore, and adopt: Keep."""

from __future__ import annotations

import msgspec

from tidb_volume import names
from tidb_volume.life import actions, answers, memory, offer, orders
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.units import Instant
from tidb_volume.value import Content, Ref

ASKED_BACK = "a person asked to have it back"


def step(world: World, seen: Seen) -> Plan | None:
    """The step that gives the data to the claim that a person named; None: nobody asks, or it is given."""
    to = answers.gives(world, seen)
    if to is None:
        return None
    if seen.pv is None:
        return _anew(world, seen, to)
    if seen.pv_state != "released":
        return None
    meta, ref = seen.pv.metadata, seen.pv.spec.claim_ref
    if ref is not None and (ref.namespace, ref.name, ref.uid) == (to.namespace, to.name, to.uid):
        return None  # given; Kubernetes has not bound it yet
    return Plan(
        action=actions.SetClaimRef(
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            patch=offer.pointing_at(to),
            why=f"a person gave its data to {to}",
        )
    )


def asked_first(now: Instant, world: World, seen: Seen) -> Plan | None:
    """As `step`, but a PersistentVolume is made on a fresh word of the daemon's: what is on record of
    the disk may come out of a restored etcd, and by now the disk may be another tenant's."""
    if seen.pv is not None or answers.gives(world, seen) is None:
        return step(world, seen)
    return take_back(now, world, seen) if _may_be_made(world, seen) else Plan()


def put_back(now: Instant, world: World, seen: Seen) -> Plan | None:
    """The step that has what a claim's data was put aside into moved back; None: nothing of it is aside.

    A hand made the PersistentVolume again after the commit, and the daemon was cut before it began: the order
    is gone with the commit, and only the disk tells that one had been taken up. What the daemon cannot prove
    to be whole it leaves where it is.
    """
    disk, order, tenancy = seen.disk, seen.order, world.volume.status.tenancy
    if disk is None or not disk.trash or disk.tenancy == tenancy or disk.journal != tenancy:
        return None
    if order is not None and order.withdrawn and seen.undecided:
        return None
    return take_back(now, world, seen)


def take_back(now: Instant, world: World, seen: Seen) -> Plan:
    """Withdraw the order, wait for the daemon's word under the disk's lock, then make the PersistentVolume.

    A word that another leader's order got may come out of a restored etcd: it is asked for anew. So is any
    other word than that it is given back, after a pause: it was another disk, or could not be written to.
    """
    order = seen.order
    if order is None or (memory.given_back(seen) and not seen.mine):
        return _asked(world, seen)
    # By what the daemon has as done, or found something else in the place of, it gives nothing back.
    of_itself = msgspec.structs.replace(seen, order=None)
    if seen.done or (seen.undecided and not order.withdrawn):
        return _asked(world, of_itself)
    if not order.withdrawn:
        return orders.withdraw(order, ASKED_BACK)
    if memory.given_back(seen) and not _is_unwitnessed(world, seen):
        return step(world, seen) or Plan()
    if not (seen.failed or seen.refused):
        return Plan()
    again = memory.not_yet(now, world, seen)
    if again is not None:
        return Plan(again_at=again)
    return _asked(world, of_itself if seen.undecided else seen, attempt=order.attempt + 1)


def _asked(world: World, seen: Seen, attempt: int = 0) -> Plan:
    """A fresh order that is withdrawn from the first, so that the daemon says how the disk stands."""
    plan = orders.go_on(world, seen, ASKED_BACK, attempt)
    if plan.action is None:
        return plan  # the order is gone by a hand, and the disk that tells what it was for is not to be seen
    assert isinstance(plan.action, actions.WriteOrder)
    assert plan.action.order is not None
    return orders.withdraw(plan.action.order, ASKED_BACK)


def _anew(world: World, seen: Seen, to: Ref) -> Plan:
    """The PersistentVolume of a tenancy that is on the disk, made again for one claim: under its old name,
    since a name means one tenancy's data and this is it (docs/decisions/0301)."""
    disk, node, volume = seen.disk, world.node, world.volume
    if not _may_be_made(world, seen) or _is_unwitnessed(world, seen):
        return Plan()
    assert disk is not None, "else NotObserved"
    assert node is not None, "else NodeUnknown"
    manifest = offer.persistent_volume(
        volume.metadata.name,
        volume.spec,
        answers.given_tenancy(world),
        node.metadata.labels[names.HOSTNAME],
        disk.capacity_bytes,
    )
    # Data that we did not put there lies at the mount's own root.
    path = volume.spec.source.path if disk.content is Content.DATA else ""
    return Plan(action=actions.CreatePv(manifest=offer.given(manifest, to, path)))


def _may_be_made(world: World, seen: Seen) -> bool:
    """Whether what is on the disk can be given, once the daemon has said how it stands."""
    disk = seen.disk
    if world.desired is None or seen.trouble not in ("", "Cordoned", "Retired"):
        return False
    assert disk is not None, "else NotObserved"
    if disk.content is Content.TENANCY:
        return not disk.trash and disk.tenancy == answers.given_tenancy(world)
    # Of several tenancies, or of what a wipe has put aside, none is chosen.
    return answers.may_be_given_at_the_root(world)


def _is_unwitnessed(world: World, seen: Seen) -> bool:
    """What lies at the mount's root shows nobody that a claim has it, an etcd that is set back neither. So
    before the claim gets it, the daemon's journal has it as handed over, under the tenancy that the order
    names as its next one; where it has not, it is asked again."""
    assert seen.disk is not None, "else NotObserved"
    return answers.found_at_the_root(world) and not seen.disk.at_root
