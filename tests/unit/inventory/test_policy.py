"""Which wipe is in force for a disk."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import desired
from tidb_volume.inventory.model import Kind
from tidb_volume.inventory.policy import (
    AUTO,
    FITTING,
    STRENGTH,
    effective_method,
    in_words,
    may_replace,
    stricter,
    wipe_policy,
)
from tidb_volume.value import WipePolicy


@pytest.mark.parametrize(
    ("method", "kind", "effective"),
    [
        ("auto", Kind.PATH, "files"),
        ("auto", Kind.FILESYSTEM, "auto"),
        ("auto", Kind.BLOCK, "zero"),
        ("discard", Kind.BLOCK, "discard"),
        ("overwrite:3", Kind.FILESYSTEM, "overwrite:3"),
    ],
)
def test_auto_is_made_definite_where_the_kind_of_disk_alone_decides_it(
    method: str, kind: Kind, effective: str
) -> None:
    assert effective_method(method, kind) == effective


def test_a_disks_policy_is_its_pools_with_auto_made_definite() -> None:
    found = desired(
        "pools: {p: {onRelease: wipe, wipeAfter: 5m, gates: [b, a]}, q: {onRelease: keep, wipe: zero}}\n"
        "nodes: {n: [{path: /data/a, pool: p}, {device: /dev/disk/by-id/b, pool: q}]}"
    )
    device, path = sorted(found.disks.values(), key=lambda disk: str(disk.source.path))
    assert wipe_policy(path) == WipePolicy(on_release="wipe", after="5m", method="files", gates=("a", "b"))
    assert wipe_policy(device) == WipePolicy(on_release="keep", after="1h", method="zero")


@pytest.mark.parametrize(
    ("then", "now", "stricter_one"),
    [
        (WipePolicy(after="1h"), WipePolicy(after="30m"), WipePolicy(after="1h")),
        (WipePolicy(after="90s"), WipePolicy(after="1m"), WipePolicy(after="90s")),
        (WipePolicy(after="2h"), WipePolicy(after="1d"), WipePolicy(after="1d")),
        (WipePolicy(method="zero"), WipePolicy(method="format"), WipePolicy(method="zero")),
        (WipePolicy(method="format"), WipePolicy(method="discard"), WipePolicy(method="discard")),
        (WipePolicy(method="overwrite:3"), WipePolicy(method="zero"), WipePolicy(method="overwrite:3")),
        (
            WipePolicy(method="overwrite:3"),
            WipePolicy(method="overwrite:12"),
            WipePolicy(method="overwrite:12"),
        ),
        (
            WipePolicy(method="nvme-format"),
            WipePolicy(method="overwrite:35"),
            WipePolicy(method="nvme-format"),
        ),
        (WipePolicy(method="auto"), WipePolicy(method="format"), WipePolicy(method="format")),
        (WipePolicy(method="format"), WipePolicy(method="auto"), WipePolicy(method="format")),
        (WipePolicy(method="zero"), WipePolicy(method="auto"), WipePolicy(method="zero")),
        (WipePolicy(gates=("b",)), WipePolicy(gates=("a",)), WipePolicy(gates=("a", "b"))),
        # onRelease is not weighed: the pool's word of today gates the wipe, the PV's policy is the user's.
        (WipePolicy(on_release="wipe"), WipePolicy(on_release="keep"), WipePolicy(on_release="keep")),
        (WipePolicy(on_release="keep"), WipePolicy(on_release="wipe"), WipePolicy(on_release="wipe")),
    ],
)
def test_the_stricter_of_then_and_now_holds_while_somebody_has_the_disk(
    then: WipePolicy, now: WipePolicy, stricter_one: WipePolicy
) -> None:
    assert stricter(then, now) == stricter_one
    assert stricter(stricter_one, now) == stricter_one


def test_the_methods_that_fit_each_kind_of_disk_weakest_first() -> None:
    assert FITTING == {
        Kind.PATH: ("files",),
        Kind.FILESYSTEM: ("format", "discard", "zero", "overwrite", "nvme-format"),
        Kind.BLOCK: ("discard", "zero", "overwrite", "nvme-format"),
    }
    assert STRENGTH == ("auto", "files", "format", "discard", "zero", "overwrite", "nvme-format")
    assert AUTO == {Kind.PATH: ("files",), Kind.FILESYSTEM: ("format", "files"), Kind.BLOCK: ("zero",)}


def test_a_method_in_words_says_what_auto_leaves_open() -> None:
    assert in_words("auto") == "auto (format, or files where that is held)"
    assert in_words("overwrite:3") == "overwrite:3"
    assert not in_words("")


def test_the_gates_of_then_and_now_stand_in_the_order_of_their_names() -> None:
    then, now = WipePolicy(gates=("h", "b", "f", "d")), WipePolicy(gates=("a", "g", "c", "e"))
    assert stricter(then, now).gates == ("a", "b", "c", "d", "e", "f", "g", "h")


def test_a_method_without_a_count_is_weaker_than_with_one() -> None:
    assert stricter(WipePolicy(method="overwrite"), WipePolicy(method="overwrite:1")).method == "overwrite:1"


def test_every_method_that_fits_somewhere_has_a_strength() -> None:
    assert {method for methods in FITTING.values() for method in methods} | {"auto"} == set(STRENGTH)
    for methods in FITTING.values():
        assert list(methods) == sorted(methods, key=STRENGTH.index)


@pytest.mark.parametrize(
    ("method", "planned", "kind", "may"),
    [
        ("files", "files", Kind.PATH, True),
        ("zero", "files", Kind.PATH, False),
        ("zero", "format", Kind.FILESYSTEM, True),
        ("zero", "zero", Kind.BLOCK, True),
        ("discard", "zero", Kind.BLOCK, False),
        ("format", "discard", Kind.BLOCK, False),
        ("overwrite:3", "zero", Kind.BLOCK, True),
        ("overwrite:1", "zero", Kind.BLOCK, True),
        ("overwrite:2", "overwrite:3", Kind.BLOCK, False),
        ("overwrite:99", "zero", Kind.BLOCK, False),
        ("overwrite", "zero", Kind.BLOCK, False),
        ("auto", "format", Kind.FILESYSTEM, False),
        ("auto", "auto", Kind.FILESYSTEM, False),
        ("files", "auto", Kind.FILESYSTEM, False),
        ("format", "auto", Kind.FILESYSTEM, True),
        ("shred", "format", Kind.FILESYSTEM, False),
    ],
)
def test_a_person_may_ask_for_a_method_that_fits_and_is_no_weaker(
    method: str, planned: str, kind: Kind, may: bool
) -> None:
    assert may_replace(method, planned, kind) is may
