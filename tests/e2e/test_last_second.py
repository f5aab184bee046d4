"""A person's word in the second in which a countdown ends: all of the data is kept, or all of it is wiped.

Never a part, never a wiped disk given to who had it, and never a wait without an end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_devices import Tenant
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.units import parse_instant
from tidb_volume.value import Phase, Volume

pytestmark = pytest.mark.cluster

EARLY_S = {
    "path": (1.5, 0.1, 0.03, 0.0, -0.05, -3.0),
    "ext4": (1.5, 0.03, -0.03),
    "Block": (1.5, 0.03, -0.03),
}
"""Before the end of the countdown, in seconds; the first one is in time."""

End = Callable[[Tenant, Volume], str]
"""How a race has ended; empty: it has not."""


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", EARLY_S)
def test_a_restore_has_all_of_it_or_comes_too_late(lab: Lab, node: Node, mode: str) -> None:
    tenant = Tenant(lab, "restore", node, mode=mode, wipeAfter="3s")
    ends = []
    for early in EARLY_S[mode]:
        secret = f"s3cret{early}"
        old = countdown(tenant, secret)
        at(old, early, lambda old=old: says(tenant, old, "restore"))
        ends.append(ended(tenant, old, restored))
        if ends[-1] == "given back":
            tenant.start()
            tenant.reads(secret)
            again(tenant)
    assert ends[0] == "given back"
    assert mode != "path" or ends[-1] == "wiped"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", EARLY_S)
def test_a_hold_keeps_all_of_it_or_comes_too_late(lab: Lab, node: Node, mode: str) -> None:
    tenant = Tenant(lab, "hold", node, mode=mode, wipeAfter="3s")
    ends = []
    for early in EARLY_S[mode]:
        secret = f"s3cret{early}"
        old = countdown(tenant, secret)
        at(old, early, lambda: hold(tenant, True))
        ends.append(ended(tenant, old, held))
        if ends[-1] == "held":
            never("a wipe of what is held", lambda old=old: held(tenant, old) != "held", 2)
            lab.answer(tenant.volume, "restore")
            tenant.start()
            tenant.reads(secret)
            hold(tenant, False)
            again(tenant)
        else:
            hold(tenant, False)
    assert ends[0] == "held"
    assert mode != "path" or ends[-1] == "wiped"


@pytest.mark.timeout(600)
def test_of_two_people_who_answer_at_once_one_is_heard(lab: Lab, node: Node) -> None:
    """One asks for the data back, the other for the wipe, of the same question."""
    tenant = Tenant(lab, "both", node, mode="path", wipeAfter="1h")
    for late in (-0.02, -0.005, 0.0, 0.005, 0.02):
        secret = f"s3cret{late}"
        old = countdown(tenant, secret)
        other = threading.Timer(1 + late, says, (tenant, old, "restore"))
        other.start()
        time.sleep(1)
        says(tenant, old, "wipeNow")
        other.join()
        if ended(tenant, old, restored) == "given back":
            tenant.start()
            tenant.reads(secret)
            again(tenant)


def test_a_wipe_now_counts_for_the_data_that_was_asked_about_and_for_no_tenant_after(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "once", node, mode="path", wipeAfter="3s")
    old = countdown(tenant, "first")
    at(old, 0.0, lambda: says(tenant, old, "wipeNow"))
    until("its wipe", lambda: wiped(tenant, old), 60, lambda: lab.story(tenant.volume))
    tenant.pool["wipeAfter"] = "1h"
    tenant.lists()
    following = countdown(tenant, "second")
    never("a wipe on the answer before", lambda: changed(tenant, following), 4)
    lab.answer(tenant.volume, "restore")
    tenant.start()
    tenant.reads("second")


# --- what people say --------------------------------------------------------------------------------------


def countdown(tenant: Tenant, secret: str) -> Volume:
    """A tenant who wrote, and went: his data in its countdown."""
    tenant.start()
    tenant.write(secret)
    tenant.end()
    return tenant.lab.wait(tenant.volume, Phase.RELEASED, "Countdown")


def at(old: Volume, early: float, say: Callable[[], None]) -> None:
    """Say it so many seconds before the countdown ends."""
    time.sleep(max(0.0, parse_instant(old.status.wipe_at) - early - time.time()))
    say()


def says(tenant: Tenant, old: Volume, word: str) -> None:
    """The answer to what was asked while it counted down, whatever is asked by now."""
    assert old.status.question is not None
    answer = {"question": old.status.question.id, "by": tenant.lab.api.whoami()}
    patched(tenant, {word: answer})


def hold(tenant: Tenant, on: bool) -> None:
    patched(tenant, {"hold": on})


def patched(tenant: Tenant, admin: dict[str, Any]) -> None:
    tenant.lab.api.merge_patch(kinds.TIDB_VOLUME, tenant.volume, {"spec": {"admin": admin}})


def again(tenant: Tenant) -> None:
    """Let the data go that was given back, and have the disk on offer."""
    lab, old = tenant.lab, tenant.lab.wait(tenant.volume, Phase.BOUND)
    tenant.end()

    def is_wiped() -> bool:
        now = found(tenant)
        waits = now.status.phase is Phase.RELEASED and now.status.reason in ("PolicyRetain", "Countdown")
        if waits and now.status.question is not None:  # what was made again after the commit is Retain
            lab.answer(tenant.volume, "wipeNow")
        return wiped(tenant, old)

    until("its wipe", is_wiped, 60, lambda: lab.story(tenant.volume))


# --- how it ends ------------------------------------------------------------------------------------------


def found(tenant: Tenant) -> Volume:
    now = tenant.lab.volume(tenant.volume)
    assert now is not None
    return now


def changed(tenant: Tenant, old: Volume) -> bool:
    now = found(tenant)
    return now.spec.order != old.spec.order or now.status.committed != old.status.committed


def ended(tenant: Tenant, old: Volume, end: End) -> str:
    return until("it to end", lambda: end(tenant, old), 60, lambda: tenant.lab.story(tenant.volume))


def wiped(tenant: Tenant, old: Volume) -> str:
    """On offer anew, with nothing of before on it."""
    now = found(tenant)
    if now.status.phase is not Phase.AVAILABLE or now.status.tenancy == old.status.tenancy:
        return ""
    if tenant.block:
        assert not tenant.lab.raw_holds(tenant.disk, "s3cret")
    else:
        where = now.spec.source.path or names.device_mount(tenant.volume)
        assert tenant.lab.entries(tenant.node, f"{where}/{names.FOLDER}") == [now.status.tenancy]
        assert tenant.lab.entries(tenant.node, f"{where}/{names.FOLDER}/{now.status.tenancy}") == []
    return "wiped"


def restored(tenant: Tenant, old: Volume) -> str:
    """Given back whole, or too late and wiped."""
    now = found(tenant)
    settled = now.status.reason in ("RestoreAsked", "Reserved") and not now.status.committed
    pvs = [pv for pv in tenant.lab.pvs(tenant.volume) if pv.status.phase == "Available"]
    if settled and pvs:
        assert pvs[0].metadata.name.endswith(old.status.tenancy)
        return "given back"
    return wiped(tenant, old)


def held(tenant: Tenant, old: Volume) -> str:
    """Held as it is, before the commit or after it, or too late and wiped."""
    now = found(tenant)
    order, work = now.spec.order, now.status.work
    for_it = order is not None and order.ends == old.status.tenancy
    begun = for_it and work is not None and order is not None and work.order_id == order.id and work.begun
    if now.status.reason == "Held" and not begun:
        assert now.status.tenancy == old.status.tenancy
        return "held"
    return wiped(tenant, old)
