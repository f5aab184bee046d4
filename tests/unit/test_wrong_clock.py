"""A controller on a machine whose clock is wrong: whoever leads, a countdown takes as long as it should."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from tests.model.apiserver import ApiServer
from tests.model.kube_controllers import make_claim
from tests.unit.test_set_back import Rig
from tidb_volume.kube import kinds, transport
from tidb_volume.units import parse_instant
from tidb_volume.value import Phase

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
        rig.wait(Phase.AVAILABLE, "OnOffer")
        make_claim(rig.api, "data", "p")
        pv = rig.api.list(kinds.PV)[0][0].metadata.name
        rig.kube.bind("data", pv)
        rig.wait(Phase.BOUND, "Claimed")
        rig.api.delete(kinds.CLAIM, "data", "default")
        released = rig.wait(Phase.RELEASED, "Countdown")
        ends = parse_instant(released.status.wipe_at)
        assert ends == pytest.approx(time.time() - ahead + HOUR / 2, abs=60)
    finally:
        rig.close()
