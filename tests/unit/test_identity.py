"""Which disk is it: which facts count, and how much each of them says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidb_volume import identity
from tidb_volume.value import Identity

FULL = Identity(
    eui="e", wwn="w", serial="s", model="m", size_bytes=100, partition="1@2048", virtual="v", fs_uuid="u"
)


def but(**fields: Any) -> Identity:
    return msgspec.structs.replace(FULL, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"eui": "x"},
        {"wwn": "x"},
        {"serial": "x"},
        {"model": "x"},
        {"size_bytes": 200},
        {"partition": "2@4096"},
        {"partition": ""},
        {"virtual": "x"},
    ],
)
def test_one_fact_that_disagrees_makes_it_another_disk(fields: dict[str, Any]) -> None:
    assert identity.same_hardware(FULL, FULL)
    assert not identity.same_hardware(FULL, but(**fields))
    assert not identity.same_hardware(but(**fields), FULL)


@pytest.mark.parametrize(
    ("alone", "enough"),
    [
        ({"eui": "e"}, True),
        ({"wwn": "w"}, True),
        ({"serial": "s"}, True),
        ({"virtual": "v"}, True),
        ({"model": "m", "size_bytes": 100}, False),
        ({"partition": "1@2048"}, False),
    ],
)
def test_one_fact_that_a_disk_alone_has_is_enough_and_others_are_not(
    alone: dict[str, Any], enough: bool
) -> None:
    one = Identity(**alone)
    assert identity.same_hardware(one, one) is enough
    assert identity.has_unique_fact(one) is enough
    assert bool(identity.unique_facts(one)) is enough


def test_a_fact_that_one_side_lacks_says_nothing() -> None:
    assert identity.same_hardware(FULL, but(eui="", wwn="", model="", size_bytes=0))
    assert not identity.same_hardware(Identity(eui="e"), Identity(serial="s"))


def test_a_file_system_counts_where_both_sides_know_it() -> None:
    assert identity.same_disk(FULL, FULL)
    assert identity.same_disk(FULL, but(fs_uuid=""))
    assert identity.same_disk(but(fs_uuid=""), FULL)
    assert not identity.same_disk(FULL, but(fs_uuid="x"))
    assert not identity.same_disk(FULL, but(fs_uuid="", serial="x"))


def test_on_two_machines_a_whole_disk_and_a_part_of_it_are_the_same_hardware() -> None:
    whole, part = but(partition="", virtual=""), but(size_bytes=10, virtual="")
    assert identity.same_on_another_node(whole, part)
    assert identity.same_on_another_node(part, whole)
    assert identity.same_on_another_node(part, but(partition="2@4096", size_bytes=20, virtual=""))
    assert not identity.same_on_another_node(whole, but(partition="", virtual="", size_bytes=200))


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({}, {}, True),
        ({"partition": ""}, {"partition": ""}, True),
        ({"partition": ""}, {"partition": "", "size_bytes": 20}, False),
        ({"partition": ""}, {"size_bytes": 20}, True),
        ({}, {"size_bytes": 20}, False),
        ({}, {"partition": "2@4096"}, False),
        ({"partition": ""}, {"serial": "x"}, False),
        ({"partition": ""}, {"model": "x"}, False),
        ({"partition": ""}, {"virtual": "x"}, False),
    ],
)
def test_on_one_machine_a_disk_and_a_partition_of_it_have_bytes_in_common_and_two_partitions_have_not(
    one: dict[str, Any], other: dict[str, Any], shared: bool
) -> None:
    assert identity.overlap(but(**one), but(**other)) is shared
    assert identity.overlap(but(**other), but(**one)) is shared


def test_what_is_virtual_says_nothing_on_another_machine() -> None:
    assert not identity.same_on_another_node(Identity(virtual="v"), Identity(virtual="v"))
    assert identity.same_on_another_node(FULL, but(virtual="x"))


def test_a_record_is_filed_under_each_fact_of_its_own_the_strongest_first() -> None:
    assert identity.unique_facts(FULL) == ("eui=e", "wwn=w", "serial=s", "virtual=v")
    assert identity.unique_facts(Identity(wwn="w", model="m")) == ("wwn=w",)
    keys = (
        "eui=e partition=1@2048",
        "wwn=w partition=1@2048",
        "serial=s model=m partition=1@2048",
        "virtual=v partition=1@2048",
    )
    assert identity.hardware_keys(FULL) == keys
    assert identity.hardware_key(FULL) == keys[0]
    assert identity.hardware_keys(Identity(model="m")) == (" partition=",)


def test_one_fact_of_several_is_enough_to_tell_a_disk_from_others() -> None:
    assert identity.has_unique_fact(Identity(serial="s", model="m"))
    assert identity.has_unique_fact(Identity()) is False


def test_facts_that_show_no_longer_stay_known_and_new_ones_are_learnt() -> None:
    seen = Identity(eui="new", serial="s", model="m2", fs_uuid="u2")
    assert identity.learned(but(eui="old"), seen) == Identity(
        eui="new", wwn="w", serial="s", model="m2", virtual="v", fs_uuid="u2"
    )


def test_the_words_name_every_fact_that_is_known() -> None:
    assert (
        identity.words(FULL) == "eui=e wwn=w serial=s model=m size=100 partition=1@2048 virtual=v fs_uuid=u"
    )
    assert identity.words(Identity(serial="s")) == "serial=s"
    assert identity.words(None) == "no facts"


@pytest.mark.parametrize(
    ("recorded", "seen", "same"),
    [
        (FULL, FULL, True),
        (FULL, but(serial="x"), True),
        (FULL, but(fs_uuid="x"), False),
        (FULL, but(fs_uuid=""), False),
        (but(fs_uuid=""), but(fs_uuid=""), False),
        (FULL, None, False),
        (None, FULL, False),
        (None, None, False),
    ],
)
def test_a_file_system_is_the_same_by_a_uuid_that_both_sides_know(
    recorded: Identity | None, seen: Identity | None, same: bool
) -> None:
    assert identity.same_file_system(recorded, seen) is same
