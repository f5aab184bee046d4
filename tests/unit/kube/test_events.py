"""Events are counted up, bounded in rate, and never in the way."""

from __future__ import annotations

import threading

import pytest

from tests.model.apiserver import ApiServer
from tests.model.documents import Document
from tests.model.faults import Fault, Faulty, broken, lost
from tidb_volume import upstream, value
from tidb_volume.kube import events, kinds
from tidb_volume.kube.client import Client
from tidb_volume.kube.events import HELD_BACK, WINDOW_S, Recorder, Said, Tally

DISK = value.Volume(
    metadata=value.Meta(name="disk-1", uid="u1"),
    spec=value.VolumeSpec(node_name="n", pool="p", source=value.Source(path="/data/a")),
)
WHOM = events.about(kinds.TIDB_VOLUME, DISK)
WALL = 1_700_000_000.0


class Rig:
    def __init__(self, **options: float) -> None:
        self.server = ApiServer()
        self.faulty = Faulty(self.server)
        self.now = 0.0
        self.recorder = Recorder(
            Client(self.faulty, manager="test"),
            component="volume-controller",
            host="pod-1",
            clock=lambda: self.now,
            wall=lambda: WALL + self.now,
            tally=Tally(**options),  # type: ignore[arg-type]
        )

    def say(self, message: str = "begun", reason: str = "WipeBegun") -> None:
        self.recorder.say(WHOM, reason, message)

    def sent(self) -> list[Document]:
        return self.server.documents(kinds.EVENT)

    def drain(self) -> None:
        while self.recorder.step() == 0.0:
            pass


def test_an_event_names_its_object_and_its_speaker() -> None:
    rig = Rig()
    rig.recorder.say(WHOM, "WipeFailed", "the disk is gone", warning=True)
    rig.drain()
    (event,) = rig.sent()
    assert event["metadata"]["namespace"] == "default"
    assert event["metadata"]["name"].startswith("disk-1.")
    assert event["involvedObject"] == {
        "apiVersion": "tidbvolume.io/v1alpha1",
        "kind": "TidbVolume",
        "name": "disk-1",
        "uid": "u1",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "WipeFailed", "the disk is gone")
    assert event["source"] == {"component": "volume-controller", "host": "pod-1"}
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2023-11-14T22:13:20Z"


def test_an_event_on_a_namespaced_object_is_in_its_namespace() -> None:
    rig = Rig()
    claim = upstream.Claim(metadata=value.SlimMeta(name="data", namespace="tenant-b", uid="u2"))
    rig.recorder.say(events.about(kinds.CLAIM, claim), "Released", "…")
    rig.drain()
    assert rig.sent()[0]["metadata"]["namespace"] == "tenant-b"


def test_the_same_words_within_an_hour_are_one_event_with_a_count() -> None:
    rig = Rig()
    for _ in range(3):
        rig.say()
        rig.drain()
        rig.now += 60
    (event,) = rig.sent()
    assert event["count"] == 3
    assert event["lastTimestamp"] == "2023-11-14T22:15:20Z"
    assert event["firstTimestamp"] == "2023-11-14T22:13:20Z"


def test_other_words_are_another_event_and_so_are_the_same_words_an_hour_later() -> None:
    rig = Rig()
    rig.say()
    rig.say("ended")
    rig.say(reason="Other")
    rig.drain()
    rig.now += WINDOW_S
    rig.say()
    rig.drain()
    assert len(rig.sent()) == 4
    assert {event["count"] for event in rig.sent()} == {1}


def test_what_is_said_in_a_burst_goes_out_as_one_write() -> None:
    rig = Rig()
    for _ in range(100):
        rig.say()
    rig.drain()
    assert [event["count"] for event in rig.sent()] == [100]
    assert len(rig.faulty.calls) == 1


def test_beyond_the_burst_events_wait_and_their_counts_are_not_lost() -> None:
    rig = Rig(per_second=1.0, burst=2)
    for n in range(4):
        rig.say(f"n{n}")
    rig.drain()
    assert len(rig.sent()) == 2
    assert rig.recorder.step() == pytest.approx(1.0)
    rig.say("n3")
    rig.now += 2
    rig.drain()
    assert sorted(event["count"] for event in rig.sent()) == [1, 1, 1, 2]


def test_an_event_that_the_server_forgot_is_made_again_with_its_count() -> None:
    rig = Rig()
    rig.say()
    rig.drain()
    api = rig.server.client()
    api.delete(kinds.EVENT, rig.sent()[0]["metadata"]["name"], "default")
    rig.say()
    rig.drain()
    assert [event["count"] for event in rig.sent()] == [2]


def test_an_answer_that_was_lost_does_not_make_a_second_event() -> None:
    rig = Rig()
    rig.faulty.faults.append(Fault(lambda _: True, lost(), after=True))
    rig.say()
    assert rig.recorder.step() == 1.0
    rig.drain()
    assert [event["count"] for event in rig.sent()] == [1]


def test_what_cannot_be_sent_is_given_up_and_counted() -> None:
    rig = Rig()
    rig.faulty.faults.append(Fault(lambda _: True, broken(), times=100))
    rig.say()
    rig.drain()
    assert rig.sent() == []
    assert rig.recorder.dropped == 1
    rig.faulty.faults.clear()
    rig.say()
    rig.drain()
    assert [event["count"] for event in rig.sent()] == [2]


def test_too_many_different_words_are_dropped_and_counted() -> None:
    tally = Tally()
    for n in range(HELD_BACK + 5):
        tally.say(Said(WHOM, "Reason", f"n{n}"), 0.0)
    assert tally.dropped == 5
    tally.say(Said(WHOM, "Reason", "n1"), 0.0)
    assert tally.dropped == 5


def test_a_long_message_is_cut_to_what_the_server_takes() -> None:
    rig = Rig()
    rig.say("x" * 5000)
    rig.drain()
    assert len(rig.sent()[0]["message"]) == 1024


def test_a_thread_sends_and_ends() -> None:
    rig = Rig()
    thread = threading.Thread(target=rig.recorder.run)
    thread.start()
    rig.say()
    while not rig.sent():
        assert thread.is_alive()
    rig.recorder.close()
    thread.join(10)
    assert not thread.is_alive()
