"""One disk under two names or on two nodes: who is refused, and who stays."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from tests.unit.life.nodes import identity, survey, volume
from tidb_volume.life import conflict
from tidb_volume.life.conflict import Peer
from tidb_volume.value import DiskReport, Identity, Presence, SeenDisk, Volume, VolumeStatus

change = msgspec.structs.replace

ONE, TWO = identity("S1"), identity("S2")
NEW = volume(seen=ONE)
FIRST = volume(recorded=ONE)


def nobody() -> tuple[Peer, ...]:
    """Its node shows no disk of others."""
    return ()


def of(volume_: Volume) -> Peer:
    found = conflict.peer_of(volume_)
    assert found is not None
    return found


def seen_on(node: str, *disks: Identity) -> list[Peer]:
    shown = [SeenDisk(name=f"sd{n}", device=f"8:{n}", identity=each) for n, each in enumerate(disks)]
    return conflict.peers_in(node, survey(*shown))


@pytest.mark.notices("controller: who else shows a newcomer's disk is not asked", "established elsewhere")
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
    said = conflict.twin(newcomer, peers, nobody)
    assert word in said
    assert bool(said) is bool(word)


def test_two_partitions_of_one_disk_are_two_disks_on_one_node_and_one_on_two() -> None:
    first, second = identity("S1", "1@2048", 40), identity("S1", "2@9999", 60)
    assert not conflict.twin(volume(seen=second), [of(volume(name="w", recorded=first))], nobody)
    assert conflict.twin(volume(seen=second), [of(volume(name="w", node="m", recorded=first))], nobody)
    assert conflict.twin(volume(seen=second), seen_on("m", identity("S1", size=100)), nobody)


PART = identity("S1", "1@2048", 90)
PART_WORDS = "serial=S1 model=M size=90 partition=1@2048"


@pytest.mark.parametrize(
    ("seen", "beside", "words"),
    [
        (
            PART,
            {"recorded": ONE},
            f"a partition of the same disk ({PART_WORDS}) as /data/w of volume w, which",
        ),
        (
            PART,
            {"seen": ONE},
            f"a partition of the same disk ({PART_WORDS}) as /data/w of volume w, and neither",
        ),
        (
            ONE,
            {"recorded": PART},
            "all of the same disk (serial=S1 model=M size=100) as /data/w of volume w, which",
        ),
        (PART, {"recorded": PART}, f"the same disk ({PART_WORDS}) as /data/w of volume w, which"),
        (PART, {"recorded": TWO}, ""),
    ],
)
def test_a_disk_and_a_partition_of_it_are_one_on_their_node_and_the_newcomer_is_refused(
    seen: Identity, beside: dict[str, Identity], words: str
) -> None:
    """Recorded once, it is refused though its mount is missing and the daemon has no number of it."""
    peer = of(volume(name="w", source="/data/w", **beside))
    said = conflict.twin(volume(seen=seen), [peer], nobody)
    assert said.startswith(words)
    assert bool(said) is bool(words)
    both = "; list a disk or partitions of it, not both"
    assert said.endswith(both) is (bool(said) and seen.partition != peer.identity.partition)
    assert said.endswith("had it first") is (bool(said) and not said.endswith(both))
    assert conflict.is_apart(volume(seen=seen), [peer]) is not bool(words)
    assert not conflict.twin(volume(recorded=seen), [peer], nobody), "what is on record stays"


def test_a_backing_file_tells_nothing_on_another_machine() -> None:
    virtual = Identity(virtual="8:1:77", size_bytes=100)
    assert not conflict.twin(volume(seen=virtual), [of(volume(name="w", node="m", recorded=virtual))], nobody)
    assert conflict.twin(volume(seen=virtual), [of(volume(name="w", recorded=virtual))], nobody)


def test_a_disk_in_anothers_place_is_compared_before_a_person_can_accept_it() -> None:
    wrong = volume(recorded=TWO, seen=ONE, presence=Presence.WRONG_DISK)
    assert conflict.twin(wrong, [of(volume(name="w", source="/data/w", recorded=ONE))], nobody)
    assert not conflict.twin(wrong, [of(volume(name="w", source="/data/w", recorded=TWO))], nobody)


def test_a_node_that_shows_many_disks_of_others_is_put_aside_with_all_that_is_new_there() -> None:
    serials = [f"S{n}" for n in range(1, 5)]
    report = survey(*[SeenDisk(name=s, device=s, identity=identity(s)) for s in [*serials, "unlike"]])
    elsewhere = [of(volume(name=s, node="m", recorded=identity(s))) for s in serials]
    fresh = volume(seen=identity("unlike"))
    for count in range(len(elsewhere) + 1):
        raised = conflict.raised("n", report, elsewhere[:count])
        assert len(raised) == count
        said = conflict.twin(fresh, [of(fresh)], lambda raised=raised: raised)
        assert bool(said) is (count >= conflict.MANY)
    assert "node n shows 4 disks that are on record elsewhere (S1, S2, S3)" in said
    assert not conflict.twin(volume(recorded=identity("unlike")), [], lambda: raised)
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
    said = conflict.twin(NEW, peers, lambda: many)
    assert said
    assert conflict.is_apart(NEW, peers) is apart
    assert ("accept-identity" in said) is apart
    assert ("the same disk" in said) is not apart
    assert conflict.is_apart(FIRST, peers), "what is on record is nobody else's"


# --- who shows a disk, fact by fact ---


@pytest.mark.parametrize(
    ("of", "new", "peer"),
    [
        (NEW, ONE, Peer(node="n", identity=ONE, name="/data/nvme0", volume="v")),
        (FIRST, None, Peer(node="n", identity=ONE, name="/data/nvme0", volume="v", established=True)),
        (
            volume(recorded=ONE, seen=TWO),
            None,
            Peer(node="n", identity=ONE, name="/data/nvme0", volume="v", established=True),
        ),
        (
            volume(recorded=ONE, seen=TWO, presence=Presence.WRONG_DISK),
            TWO,
            Peer(node="n", identity=ONE, name="/data/nvme0", volume="v", established=True),
        ),
        (
            volume(seen=TWO, presence=Presence.CONFLICT),
            TWO,
            Peer(node="n", identity=TWO, name="/data/nvme0", volume="v"),
        ),
        (change(NEW, status=VolumeStatus()), None, None),
        (
            change(NEW, status=VolumeStatus(identity=ONE)),
            None,
            Peer(node="n", identity=ONE, name="/data/nvme0", volume="v", established=True),
        ),
        (change(NEW, status=VolumeStatus(disk=DiskReport(presence=Presence.OK))), None, None),
    ],
)
def test_what_a_volume_says_of_a_disk_and_what_of_it_is_new(
    of: Volume, new: Identity | None, peer: Peer | None
) -> None:
    assert conflict.new_identity(of) == new
    assert conflict.peer_of(of) == peer
    assert conflict.is_established(of) is (peer is not None and peer.established)


def test_a_survey_speaks_of_whole_disks_whose_facts_are_known() -> None:
    part = SeenDisk(name="sda1", device="8:1", identity=identity("S1", "1@2048", 50))
    unknown = SeenDisk(name="sdb", device="8:16")
    whole = SeenDisk(name="sda", device="8:0", identity=ONE)
    assert conflict.peers_in("m", survey(part, unknown, whole)) == [Peer(node="m", identity=ONE, name="sda")]


def test_what_is_on_record_elsewhere_is_raised_for_the_disks_that_the_node_shows() -> None:
    report = survey(SeenDisk(name="sda", device="8:0", identity=ONE))
    one, two = (of(volume(name=s, node="m", recorded=identity(s))) for s in ("S1", "S2"))
    assert conflict.raised("n", report, [one, two]) == (one,)
    assert conflict.raised("n", None, [one]) == ()
    assert conflict.raised("n", survey(), [one]) == ()
    assert conflict.raised("n", report, [of(volume(name="w", recorded=TWO)), one]) == (one,)
    assert conflict.raised("n", report, []) == ()
    virtual = Identity(virtual="8:1:77", size_bytes=100)
    backed = survey(SeenDisk(name="loop0", device="7:0", identity=virtual))
    assert conflict.raised("n", backed, [of(volume(recorded=virtual))]) == (), "its own is none of others"


BESIDE = of(volume(name="w", source="/data/w", recorded=ONE))
BESIDE_NEW = of(volume(name="b", source="/data/b", seen=ONE))
BESIDE_LATER = of(volume(name="a", source="/data/c", seen=ONE))
ELSEWHERE = of(volume(name="w", node="m", recorded=ONE))
ELSEWHERE_NEW = of(volume(name="w", node="k", seen=ONE))
ELSEWHERE_LATER = of(volume(name="w", node="l", seen=ONE))
ELSEWHERE_SAME = of(volume(name="w", node="l", source="/data/x", seen=ONE))
(SEEN_ON_A,) = seen_on("a", ONE)
RANKED = [
    (BESIDE, "as /data/w of volume w, which had it first"),
    (BESIDE_NEW, "as /data/b of volume b, and neither had it first"),
    (BESIDE_LATER, "as /data/c of volume a, and neither had it first"),
    (ELSEWHERE, "it is on record as volume w of node m ("),
    (ELSEWHERE_NEW, "volume w of node k shows it too ("),
    (ELSEWHERE_LATER, "volume w of node l shows it too ("),
    (SEEN_ON_A, "node a shows this disk too, as sd0 ("),
]


def test_of_many_who_show_a_disk_the_nearest_and_firmest_is_told() -> None:
    peers = [peer for peer, _ in RANKED]
    for n, (_, words) in enumerate(RANKED):
        for some in (peers[n:], list(reversed(peers[n:]))):
            assert words in conflict.twin(NEW, some, nobody)


def test_of_two_volumes_of_one_node_the_first_by_name_is_told() -> None:
    both = [of(volume(name=n, node="l", source=f"/data/{n}", seen=ONE)) for n in ("x", "a")]
    assert "volume a of node l" in conflict.twin(NEW, both, nobody)
    assert "volume a of node l" in conflict.twin(NEW, both[::-1], nobody)


def test_the_way_out_of_two_disks_with_the_same_facts_is_an_answer_and_of_one_disk_it_is_not() -> None:
    way = f"kubectl tidb-volume accept-identity {NEW.metadata.name}"
    said = conflict.twin(NEW, [ELSEWHERE], nobody)
    assert "remove its entry, then forget it; where they are two disks with the same facts" in said
    assert way in said
    assert way not in conflict.twin(NEW, [BESIDE], nobody)


def test_a_node_is_put_aside_for_its_newcomers_and_is_asked_only_for_those() -> None:
    many = tuple(of(volume(name=s, node="m", recorded=identity(s))) for s in ("T3", "T1", "T4", "T2"))

    def never() -> tuple[Peer, ...]:
        raise AssertionError("a node's survey is compared for its newcomers alone")

    assert "node n shows 4 disks that are on record elsewhere (T1, T2, T3)" in conflict.twin(
        NEW, [], lambda: many
    )
    assert not conflict.twin(NEW, [], lambda: many[:2])
    assert not conflict.twin(FIRST, [ELSEWHERE], never)
    assert conflict.twin(NEW, [ELSEWHERE], never)
