"""What is said at three in the morning: what, why, and the way out."""

from __future__ import annotations

import json
import re

import pytest

from tidb_volume import words
from tidb_volume.value import Source

FACTS = {
    "volume": "node-1-disk",
    "node": "node-1",
    "source": "/data/disk0",
    "pool": "tikv",
    "pv": "node-1-disk-aaaaaaaaaaaa",
    "claim": "db/data-0",
    "note": "a note",
    "when": "12:00",
}
ENDS_BY_ITSELF = {
    "Preparing",
    "OnOffer",
    "Claimed",
    "Ordered",
    "TakingBack",
    "Wiping",
    "WaitsFor",
}


@pytest.mark.parametrize("word", words.REASONS)
def test_every_reason_can_be_said(word: str) -> None:
    said = words.say(word, **FACTS)
    assert "{volume}" not in said
    assert not re.search(r"\{\w+\}", said)


@pytest.mark.parametrize("word", sorted(set(words.REASONS) - ENDS_BY_ITSELF))
def test_what_does_not_end_by_itself_names_the_way_out(word: str) -> None:
    assert words.REASONS[word].way_out


@pytest.mark.parametrize("word", words.REASONS)
def test_a_patch_that_is_to_be_copied_is_json(word: str) -> None:
    for patch in re.findall(r"-p '([^']*)'", words.say(word, **FACTS)):
        assert "spec" in json.loads(patch)


def test_a_device_that_is_not_mounted_is_nothing_for_a_person_to_mount() -> None:
    facts = {**FACTS, "note": " (EUCLEAN)"}
    device = words.say("NotMounted", **{**facts, "source": Source(device="/dev/disk/by-id/x")})
    assert "/dev/disk/by-id/x" in device
    assert "(EUCLEAN)" in device
    assert "mount the disk there" not in device
    folder = words.say("NotMounted", **{**facts, "source": Source(path="/data/disk0")})
    assert folder.endswith("; mount the disk there")
    stuck = words.say("Stuck", **{**facts, "source": Source(device="/dev/disk/by-id/x")})
    assert stuck == words.say("Stuck", **facts), "the same for both"


def test_a_reason_that_keeps_data_says_that_nothing_is_wiped() -> None:
    for word in ("GoneByHand", "HasData", "WipeRefused", "DroppedReleased", "PolicyRetain", "FleetMissing"):
        assert re.search(
            r"not wiped|nor wiped|neither wiped|nothing is wiped|stays", words.REASONS[word].text
        )
