"""What the server notes of who wrote a field: when its value was set, under a name that anybody may use."""

from __future__ import annotations

import time

import pytest

from tests.api.cases import Server
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.units import parse_instant
from volume_controller.act import SAME_S

pytestmark = pytest.mark.api
POLICY = ("spec", "persistentVolumeReclaimPolicy")


def test_a_policy_that_was_patched_under_our_name_is_not_dated_as_the_volume_is(server: Server) -> None:
    ours, thief = (Client(server.api.transport, manager="volume-controller") for _ in range(2))
    pv = server.pv()
    pv["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    ours.create(kinds.PV, pv)

    def apart() -> float:
        who = ours.manager_of(kinds.PV, server.name, *POLICY)
        assert who is not None
        assert who.manager == "volume-controller"
        return abs(parse_instant(who.time) - parse_instant(who.made))

    assert apart() <= SAME_S
    time.sleep(SAME_S + 1.1)
    noted = {"metadata": {"annotations": {names.PROVISIONED_BY: names.PROVISIONER}}}
    thief.merge_patch(kinds.PV, server.name, {**noted, "spec": {POLICY[1]: "Delete"}})
    assert apart() > SAME_S
