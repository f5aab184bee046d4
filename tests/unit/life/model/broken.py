"""The model is only worth what it would find: each of these breaks one thing, and the model must notice.

What is broken is a guard that is not asked, a fact that is believed, or a precondition that is not sent; each
alone, all else being as it is. Where two stand before one disaster, both are broken, and the name says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from disk_daemon import guards, minded, step
from tests.unit.life import cluster, machine, simulate
from tests.unit.life.model.run import run
from tidb_volume.life import look, memory, orders, plan, release
from tidb_volume.value import Content

Put = Callable[[Any, str, Any], None]


class Break(NamedTuple):
    """One thing that is broken."""

    how: Callable[[Put], None]
    begin: dict[str, Any]
    """With what the examples begin: where the disaster is near."""


BROKEN: dict[str, Break] = {}
BATCH = 200
NEAR = {"wipe": True, "after": "0s"}
"""A released disk is wiped at once."""


class Everything(frozenset[str]):
    """Holds whatever is asked for."""

    def __contains__(self, item: object) -> bool:
        return item != ""

    def __or__(self, other: object) -> Everything:
        return self


def examples_until_noticed(name: str, most: int, steps: int) -> tuple[int, str]:
    """After how many examples the model notices what is broken, and by which sentence; empty: not at all."""
    made, seed = 0, 0
    with _broken(name):
        while made < most:
            seed += 1
            ran = run(seed, min(BATCH, most - made), steps, shrink=False, begin=NEAR | BROKEN[name].begin)
            made += ran.examples
            if ran.found:
                return made, ran.found.splitlines()[0]
    return made, ""


@contextmanager
def _broken(name: str) -> Iterator[None]:
    before: list[tuple[Any, str, Any]] = []

    def put(where: Any, what: str, value: Any) -> None:
        before.append((where, what, getattr(where, what)))
        setattr(where, what, value)

    BROKEN[name].how(put)
    try:
        yield
    finally:
        for where, what, value in reversed(before):
            setattr(where, what, value)


def breaks(name: str, **begin: Any) -> Callable[[Callable[[Put], None]], Callable[[Put], None]]:
    def register(how: Callable[[Put], None]) -> Callable[[Put], None]:
        BROKEN[name] = Break(how, begin)
        return how

    return register


# --- the daemon's guards, each left out ---


def _without(put: Put, *left_out: str) -> None:
    put(guards, "GUARDS", [each for each in guards.GUARDS if each.name not in left_out])
    put(step, "FIRST", tuple(each for each in step.FIRST if each.__name__ not in left_out))
    for name in left_out:
        put(guards, name, lambda case: None)


def _guard(name: str, **begin: Any) -> None:
    BROKEN[f"daemon: {name} is not asked"] = Break(lambda put: _without(put, name), begin)


# Those that stand alone before their disaster. Of the rest, `make guards` says which test misses them.
_guard("identity_matches", stage="adopting", spare=True, between="swapped")
_guard("no_pv_remains", stage="committed", between="made again")
_guard("breaker_is_closed", stage="committed", between="breaker")
_guard("not_paused", stage="committed", between="pause")
_guard("not_held", stage="committed", between="hold")
_guard("no_gate_stands", stage="committed", between="gate")
_guard("no_restore_is_asked", stage="committed", between="restore")
_guard("answer_stands", stage="adopting", between="answers taken back")


@breaks("daemon: neither parent nor guard waits for the commit", stage="deleted")
def _uncommitted(put: Put) -> None:
    _without(put, "order_is_committed")
    put(minded, "_is_too_early", lambda minded, order: False)


@breaks("controller and daemon: who has it mounted is not asked", stage="bound", between="container stays")
def _in_use(put: Put) -> None:
    _without(put, "not_in_use")
    real = release.moment

    def moment(world: Any, seen: Any) -> Any:
        found = real(world, seen)
        return None if found is not None and found.word == "InUse" else found

    put(release, "moment", moment)


# --- the daemon's decision and its journal ---


@breaks("daemon: a frozen process goes on with what it read before", stage="committed", between="restore")
def _stale_reading(put: Put) -> None:
    put(machine, "LIVE_FOR_S", float("inf"))


@breaks(
    "daemon: an order that was withdrawn is obeyed once etcd is set back",
    stage="committed",
    saved="committed",
    between="given back, and etcd set back",
)
def _taken_back(put: Put) -> None:
    put(step, "was_taken_back", lambda case: "")


# --- the API's preconditions ---


@breaks("controller: PersistentVolumes are deleted without preconditions", stage="ordered", between="Retain")
def _blind_delete(put: Put) -> None:
    real = cluster.Cluster.delete_pv
    put(cluster.Cluster, "delete_pv", lambda self, name, uid="", rv="": real(self, name))


@breaks("controller: PersistentVolumes are deleted with the UID alone", stage="ordered", between="Retain")
def _uid_alone(put: Put) -> None:
    real = cluster.Cluster.delete_pv
    put(cluster.Cluster, "delete_pv", lambda self, name, uid="", rv="": real(self, name, uid))


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
    put(plan, "_still_clean", lambda seen, tenancy: True)
    put(memory, "used_on_offer", lambda seen: False)


@breaks(
    "controller: a delete for another reason leaves the order standing",
    stage="ordered",
    between="claimRef cleared",
)
def _order_left(put: Put) -> None:
    put(orders, "take_back", lambda world, seen, why: orders.delete(seen.pv, why))
    put(orders, "delete_pv", lambda seen, pv, why: orders.delete(pv, why))


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
_obstacle("PoolKeeps", "wipes what its pool keeps", wipe=False, between="nothing")
_obstacle("Held", "orders the wipe of what is held", between="hold")
_obstacle("Gated", "orders the wipe behind a gate", between="gate")
_obstacle("GoneByHand", "wipes what lost its PersistentVolume by hand", between="deleted by hand")
_obstacle("DroppedReleased", "wipes what no entry lists", between="dropped")
