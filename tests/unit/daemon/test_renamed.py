"""The same disk by another name: each rule keeps it where it is, and what nobody can have moves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from disk_daemon import renamed
from disk_daemon.known import Facts, Live, Raw, User
from disk_daemon.renamed import Renamed
from tests.unit.daemon.cases import OLD, facts, order, pv, volume
from tidb_volume.value import Presence

NOW = 1000.0
NEWS = renamed.FRESH_S
GONE = Live(read_at=NOW)
POD = User(who="pod x", root=f"/.tidb-volume/{OLD}")
NAME = "/dev/disk/by-id/old"
BACK = f"; nothing is moved; if an edit gave the disk this name, take it back: list {NAME} again"


def disk(raw: Raw | None, **fields: Any) -> Facts:
    return facts(raw=raw, **fields)


MOUNTED = disk(Raw(mode="Filesystem", mounted=True))
PLAIN: dict[str, Any] = {"old": "v1", "source": NAME, "live": GONE, "now": NOW, "disk": MOUNTED}


def live(**unlike: Any) -> dict[str, Any]:
    return {"live": msgspec.structs.replace(GONE, **unlike)}


def on_disk(**unlike: Any) -> dict[str, Any]:
    return {"disk": msgspec.structs.replace(MOUNTED, **unlike)}


UNREAD = "whether volume v1 still has the disk cannot be read: "
TABLE: list[tuple[str, dict[str, Any], Presence, str]] = [
    # rule, what is unlike a disk that nobody has any more, the answer
    ("the_api_is_read", live(error="refused"), Presence.CONFLICT, f"{UNREAD}refused"),
    ("the_api_is_read", live(lean=True), Presence.CONFLICT, f"{UNREAD}it answers too slowly"),
    (
        "the_api_is_read",
        live(read_at=NOW - NEWS - 0.01),
        Presence.CONFLICT,
        f"{UNREAD}it answers too slowly",
    ),
    (
        "no_volume_has_it",
        live(volume=volume(order())),
        Presence.CONFLICT,
        f"volume v1 of node n has the disk as {NAME} until it ends",
    ),
    (
        "no_pv_leads_there",
        live(pvs=(pv("v1-x"), pv())),
        Presence.CONFLICT,
        f"PersistentVolume v1-x leads to the disk as {NAME}",
    ),
    (
        "no_pv_leads_there",
        live(pvs=(pv("v1-x", terminating=True),)),
        Presence.CONFLICT,
        f"PersistentVolume v1-x leads to the disk as {NAME}",
    ),
    (
        "nobody_has_it_mounted",
        on_disk(users=(POD,), users_unknown="EIO"),
        Presence.CONFLICT,
        "pod x has the disk, which was v1's",
    ),
    (
        "nobody_has_it_mounted",
        on_disk(users_unknown="EIO"),
        Presence.CONFLICT,
        "who has the disk, which was v1's, cannot be told: EIO",
    ),
    *(
        (
            "is_what_was_made",
            {"disk": disk(raw, tenancies=tenancies)},
            Presence.CONFLICT,
            "what the journal has of v1 is not what is on the disk",
        )
        for raw, tenancies in (
            (None, (OLD,)),
            (Raw(mode="Filesystem"), (OLD,)),
            (Raw(mode="Block"), ()),
        )
    ),
]


@pytest.mark.parametrize(
    ("rule", "unlike", "presence", "said"),
    [pytest.param(*row, marks=pytest.mark.guards(row[0])) for row in TABLE],
)
def test_a_rule_keeps_it_where_it_is_and_says_why_and_the_way_out(
    rule: str, unlike: dict[str, Any], presence: Presence, said: str
) -> None:
    given = Renamed(**{**PLAIN, **unlike})
    assert renamed.RULES.unfit(given) == (presence, said + BACK)
    assert [each.name for each in renamed.RULES if each.check(given)] == [rule]


@pytest.mark.parametrize(
    "unlike",
    [
        {},
        live(read_at=NOW - NEWS),
        {"disk": disk(Raw(mode="Filesystem", mountable=True), tenancies=())},
        {"disk": disk(Raw(mode="Block", mountable=True), tenancies=())},
        {"disk": disk(Raw(mode="Block"), tenancies=(OLD,))},
    ],
)
def test_what_nobody_has_any_more_moves(unlike: dict[str, Any]) -> None:
    assert renamed.RULES.unfit(Renamed(**{**PLAIN, **unlike})) is None


def test_of_all_that_is_wrong_the_first_in_the_table_is_told() -> None:
    assert [each.name for each in renamed.RULES] == list(dict.fromkeys(name for name, _, _, _ in TABLE))
    bad = Live(read_at=NOW, error="refused", volume=volume(order()), pvs=(pv(),))
    found = renamed.RULES.unfit(Renamed(**{**PLAIN, "live": bad, "disk": disk(None, users=(POD,))}))
    assert found is not None
    assert found.said == f"{UNREAD}refused{BACK}"


def test_every_rule_says_which_disaster_it_prevents_and_is_still_a_function() -> None:
    for each in renamed.RULES:
        assert each.prevents
        assert each.check.__doc__
    assert renamed.no_volume_has_it(Renamed(**PLAIN)) is None
