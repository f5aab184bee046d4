"""What has come around a disk is told to those who have it: as Events on volume and claim, and as a count."""

from __future__ import annotations

import pytest

from tests.model.apiserver import ApiServer
from tests.unit.life.worlds import BLANK, BOUND, CLAIM, NOW, RELEASED, but, change
from tidb_volume.kube import kinds
from tidb_volume.kube.events import Recorder
from tidb_volume.life import actions
from tidb_volume.life.look import look
from tidb_volume.life.status import compute
from tidb_volume.life.world import World
from tidb_volume.obs.metrics import Metrics
from tidb_volume.value import Presence
from volume_controller.tell import Teller


def told(world: World) -> tuple[list[tuple[str, str, str]], str]:
    """Kind, name and reason of each Event about the status that a world comes to, and the counts."""
    server, metrics = ApiServer(), Metrics()
    recorder = Recorder(server.client(), component="test", host="test")
    action = actions.PatchStatus(status=compute(world, look(world), NOW), why="it changed")
    Teller(recorder, metrics).did(world.volume, action, NOW)
    for _ in range(3):
        recorder.step()
    events = server.documents(kinds.EVENT)
    assert all(each["type"] == "Warning" for each in events)
    about = [
        (each["involvedObject"]["kind"], each["involvedObject"]["name"], each["reason"]) for each in events
    ]
    return sorted(about), metrics.render()[1].decode()


def settled(world: World) -> World:
    """With the status that it comes to written already."""
    status = compute(world, look(world), NOW)
    return change(world, volume=change(world.volume, status=status))


@pytest.mark.parametrize("presence", ["NotPresent", "WrongDisk", "Stuck", "Hindered", "NotMounted"])
def test_the_trouble_of_a_disk_that_a_claim_has_is_told_on_volume_and_claim_once(presence: str) -> None:
    world = but(settled(BOUND), disk={"presence": Presence(presence), "message": "so it is"})
    events, counts = told(world)
    assert events == [
        ("PersistentVolumeClaim", CLAIM.name, "DiskHealthy"),
        ("TidbVolume", BOUND.volume.metadata.name, "DiskHealthy"),
    ]
    assert 'alarms_total{type="DiskHealthy"} 1' in counts
    assert told(settled(world))[0] == []
    other = but(settled(world), disk={"presence": Presence.REFUSED})
    assert len(told(other)[0]) == 2, "another trouble is told as well"


def test_what_a_reason_says_already_is_not_told_twice() -> None:
    for before in (BLANK, RELEASED):
        events, counts = told(but(settled(before), disk={"presence": Presence.STUCK}))
        assert events == [("TidbVolume", BOUND.volume.metadata.name, "Stuck")]
        assert "DiskHealthy" not in counts
