"""A controller on a machine whose clock is wrong: whoever leads, a countdown takes as long as it should."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from tests.api.bench import until
from tests.model.apiserver import ApiServer
from tests.model.kube_controllers import make_claim
from tests.unit.test_set_back import Rig
from tidb_volume.kube import kinds, transport
from tidb_volume.units import parse_instant
from tidb_volume.value import Phase, Volume

HOUR = 3600.0


class Behind(ApiServer):
    """An API server that is some seconds behind this machine's clock, which is the wrong one."""

    seconds = 0.0

    def request(self, method: str, path: str, **more: Any) -> transport.Response:
        answer = super().request(method, path, **more)
        date = formatdate(time.time() - self.seconds, usegmt=True)
        return transport.Response(answer.status, answer.body, {**answer.headers, "date": date})


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_the_end_of_a_countdown_is_the_servers(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    monkeypatch.setattr(Behind, "seconds", ahead)
    rig = Rig(Behind, wipe_after="30m")
    try:
        ends = parse_instant(released(rig).status.wipe_at)
        assert ends == pytest.approx(time.time() - ahead + HOUR / 2, abs=60)
    finally:
        rig.close()


def released(rig: Rig) -> Volume:
    """The volume, once its claim is gone and its countdown runs."""
    rig.wait(Phase.AVAILABLE, "OnOffer")
    make_claim(rig.api, "data", "p")
    pv = rig.api.list(kinds.PV)[0][0].metadata.name
    rig.kube.bind("data", pv)
    rig.wait(Phase.BOUND, "Claimed")
    rig.api.delete(kinds.CLAIM, "data", "default")
    return rig.wait(Phase.RELEASED, "Countdown")


def test_a_server_whose_clock_leaps_ahead_ends_no_countdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind before, or ahead now: either way people have not had the wait that they were promised."""
    rig = Rig(Behind, wipe_after="30m")
    try:
        before = released(rig)
        monkeypatch.setattr(Behind, "seconds", -24 * HOUR)
        rig.api.find(kinds.TIDB_VOLUME, before.metadata.name)

        def begun_anew() -> bool:
            touched = {"metadata": {"labels": {"touched": str(time.monotonic_ns())}}}
            after = rig.api.merge_patch(kinds.TIDB_VOLUME, before.metadata.name, touched)
            assert after.status.phase is Phase.RELEASED
            assert after.spec.order is None or after.spec.order.ends != before.status.tenancy
            ends = parse_instant(after.status.wipe_at)
            return ends == pytest.approx(time.time() + 24.5 * HOUR, abs=60)

        until("the countdown begins anew", begun_anew)
    finally:
        rig.close()
