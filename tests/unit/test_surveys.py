"""What was seen of a machine that is gone: it is deleted once nobody needs it, and no sooner."""

from __future__ import annotations

import pytest

from tests.model.apiserver import ApiServer
from tests.unit.test_controller_daemons import volume
from tidb_volume.kube import kinds, transport
from tidb_volume.kube.queue import Queue
from tidb_volume.upstream import Node
from tidb_volume.value import VolumeNode
from volume_controller.act import NotLeading
from volume_controller.cluster import Cluster, Key, Topic
from volume_controller.surveys import GONE_S, SurveyKeeper

NODE = "node-7"
SURVEY = Key(Topic.SURVEY, NODE)


class Rig:
    """A machine with a survey, on the model of the API server, and who keeps surveys. Queues hear of it."""

    def __init__(self) -> None:
        self.now, self.leads = 1000.0, True
        self.api = ApiServer().client()
        self.queue: Queue[Key] = Queue()
        self.cluster = Cluster(self.queue, "tidb-volume")
        self.keeper = SurveyKeeper(self.api, self.cluster, lambda: self.leads, lambda: self.now)
        self.node_comes()
        self.surveyed()

    def node_comes(self, *, heard: bool = True) -> None:
        self.node: Node = self.api.create(kinds.NODE, {"metadata": {"name": NODE}})
        if heard:
            self.cluster.nodes.put(self.node)

    def node_goes(self) -> None:
        self.api.delete(kinds.NODE, NODE)
        self.cluster.nodes.remove(self.node)

    def surveyed(self) -> None:
        self.report: VolumeNode = self.api.create(kinds.TIDB_VOLUME_NODE, {"metadata": {"name": NODE}})
        self.cluster.reports.put(self.report)

    @property
    def is_there(self) -> bool:
        return self.api.find(kinds.TIDB_VOLUME_NODE, NODE) is not None

    def heard(self) -> set[Key]:
        """What is to be looked at."""
        found = set()
        while (key := self.queue.get(timeout=0)) is not None:
            found.add(key)
            self.queue.done(key)
        return found


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_survey_of_a_node_that_is_gone_for_an_hour_is_deleted(rig: Rig) -> None:
    assert rig.keeper.look(NODE) == 0
    rig.node_goes()
    assert rig.keeper.look(NODE) == GONE_S
    rig.now += GONE_S - 1
    assert rig.keeper.look(NODE) == 1
    assert rig.is_there
    rig.now += 1
    assert rig.keeper.look(NODE) == 0
    assert not rig.is_there
    assert rig.cluster.reports.get(NODE) is None
    assert rig.keeper.look(NODE) == 0


def test_the_last_line_of_a_volume_that_is_no_more_outlives_its_machine(rig: Rig) -> None:
    closed = {"status": {"closed": ["{}"]}}
    rig.cluster.reports.put(rig.api.merge_patch(kinds.TIDB_VOLUME_NODE, NODE, closed, subresource="status"))
    rig.node_goes()
    rig.keeper.look(NODE)
    rig.now += GONE_S
    assert rig.keeper.look(NODE) == 0
    assert rig.is_there


def test_a_node_that_came_back_meanwhile_is_gone_for_an_hour_anew(rig: Rig) -> None:
    rig.node_goes()
    rig.keeper.look(NODE)
    rig.now += GONE_S - 1
    rig.node_comes()
    assert rig.keeper.look(NODE) == 0
    rig.node_goes()
    assert rig.keeper.look(NODE) == GONE_S


def test_a_machine_that_was_surveyed_anew_after_that_is_given_an_hour_too(rig: Rig) -> None:
    rig.node_goes()
    rig.keeper.look(NODE)
    rig.now += GONE_S
    rig.keeper.look(NODE)
    rig.surveyed()
    assert rig.keeper.look(NODE) == GONE_S


def test_a_survey_is_kept_while_a_volume_of_its_node_is_on_record(rig: Rig) -> None:
    rig.cluster.volumes.put(volume("v", NODE))
    rig.node_goes()
    rig.keeper.look(NODE)
    rig.now += 10 * GONE_S
    assert rig.keeper.look(NODE) == 0
    assert rig.is_there
    rig.cluster.volumes.remove(volume("v", NODE))
    assert SURVEY in rig.heard(), "and is looked at when the last one goes"
    assert rig.keeper.look(NODE) == 0
    assert not rig.is_there


def test_a_node_that_the_watch_does_not_know_yet_is_not_gone(rig: Rig) -> None:
    rig.node_goes()
    rig.keeper.look(NODE)
    rig.now += GONE_S
    rig.node_comes(heard=False)
    assert rig.keeper.look(NODE) > 0
    assert rig.is_there


def test_a_survey_that_was_written_since_it_was_read_is_not_deleted(rig: Rig) -> None:
    rig.node_goes()
    rig.keeper.look(NODE)
    rig.now += GONE_S
    seen = {"status": {"boot": "b"}}
    rig.api.merge_patch(kinds.TIDB_VOLUME_NODE, NODE, seen, subresource="status")
    with pytest.raises(transport.ApiError) as refused:
        rig.keeper.look(NODE)
    assert refused.value.conflict
    assert rig.is_there


def test_a_deposed_leader_deletes_none(rig: Rig) -> None:
    rig.node_goes()
    rig.keeper.look(NODE)
    rig.now += GONE_S
    rig.leads = False
    with pytest.raises(NotLeading):
        rig.keeper.look(NODE)
    assert rig.is_there


def test_it_is_looked_at_when_its_node_goes_or_comes_back_and_at_the_begin_of_a_term(rig: Rig) -> None:
    rig.heard()
    rig.cluster.look_at_all()
    assert SURVEY not in rig.heard()
    rig.node_goes()
    assert SURVEY in rig.heard()
    rig.cluster.look_at_all()
    assert SURVEY in rig.heard()
    rig.node_comes()
    assert SURVEY in rig.heard()
    rig.node_goes()
    rig.heard()
    rig.api.delete(kinds.TIDB_VOLUME_NODE, NODE)
    rig.cluster.reports.remove(rig.report)
    assert SURVEY not in rig.heard()
    rig.surveyed()
    assert SURVEY in rig.heard(), "written by a daemon whose node is not there"
