"""One disk under two names or on two nodes: who is refused, and who stays."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.life.nodes import identity, survey, volume
from tidb_volume.life import conflict
from tidb_volume.life.conflict import Peer
from tidb_volume.value import Identity, Presence, SeenDisk, Volume

ONE, TWO = identity("S1"), identity("S2")
NEW = volume(seen=ONE)
FIRST = volume(recorded=ONE)


def of(volume_: Volume) -> Peer:
    found = conflict.peer_of(volume_)
    assert found is not None
    return found


def seen_on(node: str, *disks: Identity) -> list[Peer]:
    shown = [SeenDisk(name=f"sd{n}", device=f"8:{n}", identity=each) for n, each in enumerate(disks)]
    return conflict.peers_in(node, survey(*shown))


@pytest.mark.parametrize(
    ("newcomer", "peers", "word"),
    [
        (NEW, [], ""),
        (NEW, [of(NEW)], ""),
        (NEW, [of(volume(name="w", source="/data/w", recorded=ONE))], "the same disk"),
        (NEW, [of(volume(name="w", source="/data/w", seen=ONE))], "neither had it first"),
        (NEW, [of(volume(name="w", source="/data/w", recorded=TWO))], ""),
        (NEW, [of(volume(name="w", node="m", recorded=ONE))], "on record as volume w of node m"),
        (NEW, [of(volume(name="w", node="m", seen=ONE))], "volume w of node m shows it too"),
        (NEW, seen_on("m", TWO, ONE), "node m shows this disk too, as sd1"),
        (NEW, seen_on("n", ONE), ""),
        (FIRST, [of(volume(name="w", node="m", recorded=ONE)), *seen_on("m", ONE)], ""),
    ],
    ids=[
        "nobody",
        "itself",
        "established beside it",
        "another newcomer beside it",
        "another disk",
        "established elsewhere",
        "another newcomer elsewhere",
        "only seen elsewhere",
        "seen on its own node",
        "was first itself",
    ],
)
def test_a_newcomer_is_refused_and_who_was_first_stays(
    newcomer: Volume, peers: Sequence[Peer], word: str
) -> None:
    said = conflict.twin(newcomer, peers, ())
    assert word in said
    assert bool(said) is bool(word)


def test_two_partitions_of_one_disk_are_two_disks_on_one_node_and_one_on_two() -> None:
    first, second = identity("S1", "1@2048", 40), identity("S1", "2@9999", 60)
    assert not conflict.twin(volume(seen=second), [of(volume(name="w", recorded=first))], ())
    assert conflict.twin(volume(seen=second), [of(volume(name="w", node="m", recorded=first))], ())
    assert conflict.twin(volume(seen=second), seen_on("m", identity("S1", size=100)), ())


def test_a_backing_file_tells_nothing_on_another_machine() -> None:
    virtual = Identity(virtual="8:1:77", size_bytes=100)
    assert not conflict.twin(volume(seen=virtual), [of(volume(name="w", node="m", recorded=virtual))], ())
    assert conflict.twin(volume(seen=virtual), [of(volume(name="w", recorded=virtual))], ())


def test_a_disk_in_anothers_place_is_compared_before_a_person_can_accept_it() -> None:
    wrong = volume(recorded=TWO, seen=ONE, presence=Presence.WRONG_DISK)
    assert conflict.twin(wrong, [of(volume(name="w", source="/data/w", recorded=ONE))], ())
    assert not conflict.twin(wrong, [of(volume(name="w", source="/data/w", recorded=TWO))], ())


def test_a_node_that_shows_many_disks_of_others_is_put_aside_with_all_that_is_new_there() -> None:
    serials = [f"S{n}" for n in range(1, 5)]
    report = survey(*[SeenDisk(name=s, device=s, identity=identity(s)) for s in [*serials, "unlike"]])
    elsewhere = [of(volume(name=s, node="m", recorded=identity(s))) for s in serials]
    fresh = volume(seen=identity("unlike"))
    for count in range(len(elsewhere) + 1):
        raised = conflict.raised("n", report, elsewhere[:count])
        assert len(raised) == count
        said = conflict.twin(fresh, [of(fresh)], raised)
        assert bool(said) is (count >= conflict.MANY)
    assert "node n shows 4 disks that are on record elsewhere (S1, S2, S3)" in said
    assert not conflict.twin(volume(recorded=identity("unlike")), [], raised)
    newcomers = [of(volume(name=s, node="m", seen=identity(s))) for s in serials]
    assert not conflict.raised("n", report, newcomers), "what is new elsewhere was not first"


def test_what_a_node_has_on_record_itself_is_settled_and_puts_nothing_aside() -> None:
    """Its disks were first, or a person said that they are others: no more need be said of its next ones."""
    serials = [f"S{n}" for n in range(1, 5)]
    report = survey(*[SeenDisk(name=s, device=s, identity=identity(s)) for s in serials])
    elsewhere = [of(volume(name=s, node="m", recorded=identity(s))) for s in serials]
    own = [of(volume(name=f"own-{s}", recorded=identity(s, "1@2048", 50))) for s in serials[:2]]
    raised = conflict.raised("n", report, [*elsewhere, *own])
    assert [peer.volume for peer in raised] == ["S3", "S4"]
    seen = [of(volume(name=f"own-{s}", seen=identity(s))) for s in serials]
    assert len(conflict.raised("n", report, [*elsewhere, *seen])) == 4


@pytest.mark.parametrize(
    ("peers", "apart"),
    [
        ([of(volume(name="w", node="m", recorded=ONE))], True),
        ([of(volume(name="w", node="m", seen=ONE)), *seen_on("k", ONE)], True),
        ([of(volume(name="w", node="m", recorded=ONE)), of(volume(name="x", seen=ONE))], False),
        ([of(volume(name="x", recorded=ONE))], False),
        ([], True),
    ],
)
def test_only_disks_of_different_nodes_can_be_told_apart(peers: list[Peer], apart: bool) -> None:
    many = tuple(of(volume(name=s, node="m", recorded=identity(s))) for s in ("T1", "T2", "T3"))
    said = conflict.twin(NEW, peers, many)
    assert said
    assert conflict.is_apart(NEW, peers) is apart
    assert ("acceptIdentity" in said) is apart
    assert ("the same disk" in said) is not apart
