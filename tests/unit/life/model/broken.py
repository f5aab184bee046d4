"""The model is only worth what it would find: each of these breaks one thing, and the model must notice.

What is broken is a guard that is not asked, a fact that is believed, or a precondition that is not sent; each
alone, all else being as it is. Where two stand before one disaster, both are broken, and the name says so.
"""

from __future__ import annotations

import fcntl
from typing import Any

from disk_daemon import claims, journal, minded, step
from disk_daemon.known import Case, Facts
from disk_daemon.wipe import frame
from tests.unit.life import cluster, machine, simulate
from tests.unit.life.model.breaking import (
    BROKEN,
    Break,
    Put,
    breaks,
    broken,
    examples_until_noticed,
    record,
    recorded,
    without,
)
from tidb_volume.kube.client import Client
from tidb_volume.life import answers, conflict, free, look, lost, memory, orders, plan, release
from tidb_volume.units import Instant
from tidb_volume.value import Content

__all__ = ["BROKEN", "broken", "examples_until_noticed", "record", "recorded"]


class Everything(frozenset[str]):
    """Holds whatever is asked for."""

    def __contains__(self, item: object) -> bool:
        return item != ""

    def __or__(self, other: object) -> Everything:
        return self


# --- the daemon's guards, each left out ---


def _guard(name: str, **begin: Any) -> None:
    BROKEN[f"daemon: {name} is not asked"] = Break(lambda put: without(put, name), begin)


# Those that stand alone before their disaster. Of the rest, `make guards` says which test misses them.
_guard("identity_matches", stage="adopting", spare=True, between="swapped")
_guard("no_pv_remains", stage="committed", between="made again")
_guard("breaker_is_closed", stage="committed", between="breaker")
_guard("not_paused", stage="committed", between="pause")
_guard("not_held", stage="committed", between="hold")
_guard("no_gate_stands", stage="committed", between="gate")
_guard("no_restore_is_asked", stage="committed", between="restore")
_guard("answer_stands", stage="adopting", between="answers taken back")
_guard("is_what_was_asked_about", stage="adopting", between="something put on it")
_guard("nobody_had_it", stage="bound", saved="offered", between="emptied, etcd set back, edited", wipe=True)


@breaks(
    "controller and daemon: who had it since is not asked",
    stage="released",
    saved="released",
    between="given to one that is forgotten",
    wipe=True,
)
def _had_since(put: Put) -> None:
    without(put, "no_claim_had_it_since")
    put(release, "had_since", lambda seen: "")


@breaks("daemon: neither parent nor guard waits for the commit", stage="deleted")
def _uncommitted(put: Put) -> None:
    without(put, "order_is_committed")
    put(minded, "_is_too_early", lambda minded, order: False)


@breaks("controller and daemon: who has it mounted is not asked", stage="bound", between="container stays")
def _in_use(put: Put) -> None:
    without(put, "not_in_use")
    real = release.moment

    def moment(world: Any, seen: Any) -> Any:
        found = real(world, seen)
        return None if found is not None and found.word == "InUse" else found

    put(release, "moment", moment)


# --- the daemon's decision and its journal ---


@breaks("daemon: a frozen process goes on with what it read before", stage="committed", between="restore")
def _stale_reading(put: Put) -> None:
    put(machine, "LIVE_FOR_S", float("inf"))
    put(frame.Carrier, "_is_good", lambda self: True)


@breaks(
    "daemon: an order that was withdrawn is obeyed once etcd is set back",
    stage="committed",
    saved="committed",
    between="given back, and etcd set back",
)
def _taken_back(put: Put) -> None:
    put(step, "was_taken_back", lambda case: "")


@breaks(
    "daemon: an order that was done is carried out once more",
    "the next tenancy, which is on the disk and is none that the order ends",
    stage="committed",
    saved="committed",
    between="next tenant, etcd set back",
)
def _done_again(put: Put) -> None:
    put(step, "_was_done", lambda case: False)


@breaks(
    "daemon: another tenancy on the disk is not looked at",
    stage="committed",
    saved="committed",
    between="two tenants later, etcd set back",
)
def _any_tenancy(put: Put) -> None:
    put(step, "_journal_agrees", lambda case: True)
    real = step._wipe

    def wipe(case: Any) -> Any:
        ends = case.disk.tenancies[0] if case.disk.tenancies else case.order.ends
        return real(machine.change(case, order=machine.change(case.order, ends=ends)))

    put(step, "_wipe", wipe)


@breaks(
    "daemon: an order that was done ends whatever tenancy there is",
    stage="committed",
    saved="committed",
    between="next tenant, etcd set back",
)
def _done_again_on_any(put: Put) -> None:
    _done_again(put)
    _any_tenancy(put)


@breaks(
    "daemon: a tenancy that is not empty is taken for unused",
    stage="offered",
    saved="offered",
    between="used, and etcd set back",
)
def _not_empty(put: Put) -> None:
    put(Facts, "empty", property(lambda self: True))


@breaks(
    "daemon: the beginning of a wipe is not journalled",
    stage="wiping",
    frozen=1,
    between="daemon dies, restore",
)
def _unjournalled(put: Put) -> None:
    real = journal.noted

    def noted(*args: Any, begun: bool, **kwargs: Any) -> Any:
        return real(*args, begun=False, **kwargs)

    put(journal, "noted", noted)


@breaks(
    "daemon: a withdrawn order is given back though bytes are gone",
    stage="wiping",
    frozen=1,
    between="daemon dies, restore",
)
def _given_back(put: Put) -> None:
    put(Case, "begun", property(lambda self: False))
    put(Case, "maybe_begun", property(lambda self: False))


@breaks(
    "daemon: claims that were seen are not journalled",
    stage="bound",
    saved="offered",
    between="emptied, and etcd set back",
)
def _not_noted(put: Put) -> None:
    put(claims, "news", lambda job, facts, known: None)


@breaks("daemon: a wipe does not hold the disk's lock", stage="committed", between="both daemons, restore")
def _no_lock(put: Put) -> None:
    put(fcntl, "flock", lambda fd, operation: None)
    put(machine.Disk, "lock", property(lambda self: None, lambda self, value: None))


@breaks("controller: an open breaker is not looked at", stage="wiping", between="breaker")
def _breaker_open(put: Put) -> None:
    put(release, "tripped", lambda world: None)


# --- the API's preconditions ---


@breaks("controller: PersistentVolumes are deleted without preconditions", stage="ordered", between="Retain")
def _blind_delete(put: Put) -> None:
    real, delete = cluster.Cluster.delete_pv, Client.delete
    put(cluster.Cluster, "delete_pv", lambda self, name, uid="", rv="": real(self, name))
    put(Client, "delete", lambda self, kind, name, **holds: delete(self, kind, name))


@breaks("controller: PersistentVolumes are deleted with the UID alone", stage="ordered", between="Retain")
def _uid_alone(put: Put) -> None:
    real, delete = cluster.Cluster.delete_pv, Client.delete
    put(cluster.Cluster, "delete_pv", lambda self, name, uid="", rv="": real(self, name, uid))
    put(Client, "delete", lambda self, kind, name, uid="", **holds: delete(self, kind, name, uid=uid))


@breaks(
    "controller: volumes are written without the resourceVersion",
    stage="released",
    between="counted, then held",
    then="stale leader",
)
def _blind_write(put: Put) -> None:
    real, patch = cluster.Cluster.change_volume, Client.merge_patch
    put(Client, "merge_patch", lambda self, *args, resource_version="", **how: patch(self, *args, **how))
    put(cluster.Cluster, "change_volume", lambda self, uid="", rv="", **fields: real(self, uid, "", **fields))


@breaks(
    "controller: a claimRef is set without preconditions",
    stage="released",
    wipe=False,
    between="asked back, then bound",
    then="stale leader",
)
def _blind_claim_ref(put: Put) -> None:
    real = cluster.Cluster.change_pv
    put(
        cluster.Cluster,
        "change_pv",
        lambda self, name, uid="", rv="", **fields: real(self, name, "", "", **fields),
    )


# --- the planner ---


def _mine(put: Put, **fields: Any) -> None:
    real = simulate.Controller.world

    def world(self: Any, volume: Any) -> Any:
        found = real(self, volume)
        return machine.change(found, mine=machine.change(found.mine, **fields))

    put(simulate.Controller, "world", world)


@breaks(
    "controller: whoever deleted the PersistentVolume, it is taken for the commit",
    stage="ordered",
    between="deleted by hand",
)
def _anyone_commits(put: Put) -> None:
    _mine(put, deleted=Everything())


@breaks("controller: a done under another leader's order counts")
def _any_order_counts(put: Put) -> None:
    _mine(put, orders=Everything())


@breaks("controller: commits before the PersistentVolume is deleted", stage="released")
def _early_commit(put: Put) -> None:
    real = memory._committed

    def committed(world: Any, seen: Any, anew: bool) -> Any:
        order = seen.order
        if order is not None and order.kind == "reclaim" and seen.mine and not anew:
            return order.id
        return real(world, seen, anew)

    put(memory, "_committed", committed)


@breaks(
    "controller: an answer to another question counts", stage="released", wipe=False, between="stale answer"
)
def _any_answer(put: Put) -> None:
    put(answers, "counts", lambda volume, answer: volume.status.question is not None and answer is not None)


@breaks(
    "controller: offers what the disk's journal does not know", stage="committed", between="written by hand"
)
def _offer_without_journal(put: Put) -> None:
    put(look, "_agrees", lambda disk, tenancy: disk is not None)


@breaks("controller: what lies in a tenancy's folder is clean")
def _is_known(put: Put) -> None:
    def is_known(world: Any, *, used: bool = False) -> bool:
        disk = world.volume.status.disk
        return disk is not None and disk.presence == "OK" and disk.content in (Content.BLANK, Content.TENANCY)

    put(look, "is_known", is_known)


@breaks(
    "controller: what is on offer is not compared with the disk",
    stage="bound",
    saved="offered",
    between="etcd set back",
)
def _stays_on_offer(put: Put) -> None:
    put(free, "_still_clean", lambda seen, tenancy: True)
    put(memory, "used_on_offer", lambda seen: False)


@breaks("controller: dirt is not remembered", "the journal, which has seen the claim")
def _not_dirty(put: Put) -> None:
    real = memory.remember
    put(
        memory,
        "remember",
        lambda world, seen, now: machine.change(real(world, seen, now), dirty=False),
    )


@breaks(
    "controller and daemon: neither dirt nor who had it is remembered",
    stage="bound",
    between="emptied, claimRef cleared",
)
def _nobody_remembers(put: Put) -> None:
    _not_dirty(put)
    _not_noted(put)


@breaks(
    "controller: a second PersistentVolume on offer is left there",
    stage="committed",
    between="made again beside another",
)
def _second(put: Put) -> None:
    put(plan, "_second_offer", lambda world, seen: None)


@breaks(
    "controller: a delete for another reason leaves the order standing",
    stage="ordered",
    between="claimRef cleared",
)
def _order_left(put: Put) -> None:
    put(orders, "take_back", lambda world, seen, why: orders.delete(seen.pv, why))
    put(orders, "delete_pv", lambda seen, pv, why: orders.delete(pv, why))


@breaks(
    "controller: data is given back while the daemon may still begin",
    stage="committed",
    frozen=5,
    between="restore",
    then="leader and daemon",
)
def _given_early(put: Put) -> None:
    put(memory, "given_back", lambda seen: seen.order is not None and seen.order.withdrawn)


@breaks(
    "controller: data is given back though some of it is gone",
    "the disk, which does not show the tenancy any more",
    stage="wiping",
    frozen=1,
    between="daemon dies, restore",
)
def _given_late(put: Put) -> None:
    real = answers.gives

    def gives(world: Any, seen: Any) -> Any:
        return real(world, machine.change(seen, work=seen.work and machine.change(seen.work, begun=False)))

    put(answers, "gives", gives)
    put(memory, "given_back", lambda seen: seen.order is not None and seen.order.withdrawn and seen.refused)


def _obstacle(word: str, name: str, **begin: Any) -> None:
    def left_out(put: Put) -> None:
        real, barred = release.decision, release.bars_committed

        def decision(world: Any, seen: Any) -> Any:
            found = real(world, seen)
            return None if found is not None and found.word == word else found

        def bars_committed(world: Any, seen: Any) -> Any:
            found = barred(world, seen)
            return None if found is not None and found.word == word else found

        put(release, "decision", decision)
        put(release, "bars_committed", bars_committed)

    BROKEN[f"controller: {name}"] = Break(left_out, {"stage": "released", **begin})


_obstacle("PolicyRetain", "wipes what the policy retains", between="Retain")
_obstacle("PoolKeeps", "wipes what its pool keeps", between="pool keeps")
_obstacle("Held", "orders the wipe of what is held", between="hold")
_obstacle("Gated", "orders the wipe behind a gate", between="gate")
_obstacle("RestoreAsked", "orders the wipe of what is asked back", between="asked back in vain")
_obstacle("Reserved", "wipes what is reserved for a claim", between="given to one that leaves")
_obstacle("GoneByHand", "wipes what lost its PersistentVolume by hand", between="deleted by hand")
_obstacle("DroppedReleased", "wipes what no entry lists", between="dropped")
_obstacle("RecordLost", "wipes under a record made anew", between="volume deleted")


@breaks("controller: the countdown is not waited for", stage="released", after="1h")
def _no_countdown(put: Put) -> None:
    put(release, "countdown_ends", lambda world, seen, now: now)


# --- two volumes of one machine ---


@breaks(
    "daemon: neither which disk nor whose tenancy it is is looked at",
    model="pair",
    machines=1,
    wipe=True,
    stage="committed",
    slots="swapped",
)
def _any_disk(put: Put) -> None:
    without(put, "identity_matches")
    _any_tenancy(put)


@breaks(
    "controller: who else shows a newcomer's disk is not asked",
    model="pair",
    stage="new",
    slots="the first under both names",
)
def _no_twin(put: Put) -> None:
    for module in (conflict, simulate):
        put(module, "twin", lambda volume, peers, raised: "")


# --- a device, with a file system of ours or as Block ---

from tests.unit.life.model import broken_devices as broken_devices  # noqa: E402 - the last of the table

# --- a lost node ---


@breaks("controller: a claim of a lost node is let go at once", stage="bound", between="node lost")
def _at_once(put: Put) -> None:
    put(lost, "ends", lambda world: Instant(0.0))


@breaks("controller: a node that is back lets its claims go", stage="bound", between="node back")
def _back(put: Put) -> None:
    put(lost, "is_lost", lambda world: True)
    real = lost.since
    put(lost, "since", lambda *given: given[0].volume.status.lost_since or real(*given))
    put(simulate, "is_out_of_service", lambda node: True)
