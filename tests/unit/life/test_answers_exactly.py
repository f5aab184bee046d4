"""Which answers count, to whom the data goes, and why an answer is not taken, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    HARDWARE,
    NEXT,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    WIPED,
    but,
    change,
    question,
    with_pv,
    work,
)
from tidb_volume import names
from tidb_volume.life import answers
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.upstream import Claim, PvcSpec
from tidb_volume.value import (
    Admin,
    Adopt,
    Answer,
    Approve,
    Content,
    Identity,
    Owner,
    Presence,
    Question,
    Ref,
    Restore,
    SlimMeta,
    Source,
    WipePolicy,
    WorkState,
)

FORMER = change(CLAIM, uid="")
OTHERS = Ref(namespace="db", name="data-7")
ABROAD = Ref(namespace="other", name="data-0")


def said(**fields: Any) -> World:
    """Released, and a person said this of the question that stands."""
    return but(RELEASED, admin=fields)


def answer(question: str = "q-1") -> Answer:
    return Answer(question=question)


def restore(claim: Ref | None = None, question: str = "q-1") -> Restore:
    return Restore(question=question, claim=claim)


def adopt(action: Any = "Wipe", claim: Ref | None = None, question: str = "q-1") -> Adopt:
    return Adopt(question=question, action=action, claim=claim)


def approve(question: str = "q-1") -> Approve:
    return Approve(question=question)


KEEP = adopt("Keep", OTHERS)


@pytest.mark.parametrize(
    ("world", "wipe_now", "adopt_wipe", "approved"),
    [
        (RELEASED, False, False, False),
        (said(wipe_now=answer()), True, False, True),
        (said(wipe_now=answer("q-0")), False, False, False),
        (but(said(wipe_now=answer()), status={"question": None}), False, False, False),
        (said(adopt=adopt()), False, True, True),
        (said(adopt=adopt(question="q-0")), False, False, False),
        (said(adopt=KEEP), False, False, False),
        (said(approve=approve()), False, False, True),
        (said(approve=approve("q-0")), False, False, False),
        (said(accept_identity=answer(), forget=answer()), False, False, False),
    ],
)
def test_an_answer_counts_for_the_question_that_stands(
    world: World, wipe_now: bool, adopt_wipe: bool, approved: bool
) -> None:
    assert answers.wipe_now(world) is wipe_now
    assert answers.said_now(world) == ("q-1" if wipe_now else "")
    assert answers.adopt_wipe(world) is adopt_wipe
    assert answers.approved(world) is approved


DEVICE = {
    "source": Source(device="/dev/disk/by-id/d"),
    "wipe": WipePolicy(on_release="wipe", method="discard"),
}


@pytest.mark.parametrize(
    ("spec", "method", "taken"),
    [
        ({}, "", ""),
        ({}, "files", "files"),
        (DEVICE, "", ""),
        (DEVICE, "overwrite:3", "overwrite:3"),
        (DEVICE, "discard", "discard"),
        (DEVICE, "format", None),
        (DEVICE, "shred", None),
        ({}, "zero", None),
    ],
)
def test_who_approves_may_ask_for_a_stronger_method_and_for_no_weaker_one(
    spec: dict[str, Any], method: str, taken: str | None
) -> None:
    def asked(question: str) -> World:
        return but(RELEASED, spec=spec, admin={"approve": Approve(question=question, method=method)})

    world = asked("q-1")
    assert answers.approved(world) is (taken is not None)
    assert answers.approved_method(world) == (taken or "")
    kind, planned = ("device with a file system", "discard") if spec else ("path", "files")
    refused = (
        f"not approved: {method} is no method for a {kind}, or weaker than {planned}, which is planned;"
        " approve with a stronger one, or with none for the planned one"
    )
    assert answers.not_taken(world, look(world)) == ("" if taken is not None else refused)
    assert answers.approved_method(asked("q-0")) == ""
    assert answers.not_taken(asked("q-0"), look(asked("q-0"))) == ""


@pytest.mark.parametrize(
    ("admin", "owner", "to"),
    [
        (Admin(), Owner(claim=CLAIM), None),
        (Admin(restore=restore()), Owner(claim=CLAIM), FORMER),
        (Admin(restore=restore()), Owner(), None),
        (Admin(restore=restore()), None, None),
        (Admin(restore=restore(question="q-0")), Owner(claim=CLAIM), None),
        (Admin(restore=restore(OTHERS)), Owner(claim=CLAIM), OTHERS),
        (Admin(restore=restore(change(ABROAD, uid="u"))), None, ABROAD),
        (Admin(adopt=KEEP), Owner(claim=CLAIM), OTHERS),
        (Admin(adopt=adopt("Keep", OTHERS, "q-0")), Owner(claim=CLAIM), None),
        (Admin(adopt=adopt("Wipe", OTHERS)), Owner(claim=CLAIM), None),
        (Admin(adopt=adopt("Keep")), Owner(claim=CLAIM), None),
        (Admin(adopt=KEEP, restore=restore()), Owner(claim=CLAIM), FORMER),
        (Admin(adopt=KEEP, restore=restore(question="q-0")), Owner(claim=CLAIM), OTHERS),
    ],
)
def test_the_claim_that_is_to_get_the_data_is_the_one_that_was_named(
    admin: Admin, owner: Owner | None, to: Ref | None
) -> None:
    world = but(RELEASED, spec={"admin": admin}, status={"owner": owner})
    assert answers.named(world.volume) == to
    assert answers.restores(world) is (admin.restore is not None and admin.restore.question == "q-1")


# --- why it is not given ---

RESTORE = said(restore=restore())
KEPT = but(said(adopt=KEEP), pvs=())
"""Nobody knows whose it is, and a person has it kept for a claim."""
ADOPT_IT = "nobody knows who had it; name the claim that gets it: adopt it with Keep"


def there(volume_name: str, base: World = RESTORE) -> World:
    """The claim that was named is there, and bound to a volume of this name."""
    claim = Claim(
        metadata=SlimMeta(namespace="db", name="data-0", uid="claim-2"), spec=PvcSpec(volume_name=volume_name)
    )
    return but(base, named_claim=claim)


GONE = but(RESTORE, pvs=())
TAKEN_BACK = but(
    COMMITTED, admin={"restore": restore()}, status={"work": work(WorkState.REFUSED, "Withdrawn")}
)
STUCK = {"presence": Presence.STUCK, "message": "m"}
AT_THE_ROOT = {"content": Content.DATA, "content_note": "entries of others: x"}
TAKE_THIS = "adopt with Keep gives what is there"
NOTHING = "not given to db/data-0: nothing that could be is on the disk ({})"
ANOTHERS = f"not given to db/data-0: tenancy {NEXT} is on the disk, and not {OLD}; {TAKE_THIS}"
OURS, ANOTHER = (names.pv_name(RELEASED.volume.metadata.name, each) for each in (OLD, OTHER))
ELSEWHERE = "that claim is bound to {}; scale its user to 0, delete that claim, then answer again"


@pytest.mark.parametrize(
    ("world", "to", "why"),
    [
        (RELEASED, None, ""),
        (but(RELEASED, pvs=()), None, ""),
        (RESTORE, FORMER, ""),
        (there(""), change(FORMER, uid="claim-2"), ""),
        (there(OURS), change(FORMER, uid="claim-2"), ""),
        (there("another"), None, f"not given to db/data-0: {ELSEWHERE.format('another')}"),
        (
            there(OURS, but(KEPT, disk={"tenancy": OTHER})),
            None,
            f"not given to db/data-7: {ELSEWHERE.format(OURS)}",
        ),
        (there(ANOTHER, but(KEPT, disk={"tenancy": OTHER})), change(OTHERS, uid="claim-2"), ""),
        (KEPT, OTHERS, ""),
        (
            said(adopt=KEEP),
            None,
            "not kept for db/data-7: it is known whose data this is; restore it, or leave it to the policy",
        ),
        (said(restore=restore(OTHERS)), OTHERS, ""),
        (
            said(restore=restore(ABROAD)),
            None,
            "not restored to other/data-0: it was db's, and a restore stays in its namespace; give it to a"
            " claim there",
        ),
        (but(RESTORE, status={"owner": None}), None, ADOPT_IT),
        (but(RESTORE, status={"owner": Owner()}), None, ADOPT_IT),
        (but(said(restore=restore(OTHERS)), status={"owner": None}), None, f"not restored: {ADOPT_IT}"),
        (but(KEPT, status={"owner": None}), OTHERS, ""),
        (but(COMMITTED, admin={"restore": restore()}), FORMER, ""),
        (
            but(COMMITTED, admin={"restore": restore()}, status={"work": work(WorkState.RUNNING)}),
            FORMER,
            "",
        ),
        (
            but(
                COMMITTED, admin={"restore": restore()}, status={"work": work(WorkState.RUNNING, begun=True)}
            ),
            None,
            "not restored: the wipe has begun to delete",
        ),
        (
            but(WIPED, admin={"restore": restore()}),
            None,
            "not restored: the data is gone, the wipe is done",
        ),
        (but(WIPED, admin={"restore": restore()}, status={"committed": ""}), FORMER, ANOTHERS),
        (
            but(
                WIPED,
                admin={"restore": restore()},
                status={"committed": "", "work": work(WorkState.RUNNING, begun=True)},
            ),
            FORMER,
            ANOTHERS,
        ),
        # There is no PersistentVolume any more, and none can be made.
        (GONE, FORMER, ""),
        (but(GONE, admin={"cordon": True}), FORMER, ""),
        (but(GONE, admin={"retire": True}), FORMER, ""),
        (but(RESTORE, disk=STUCK), FORMER, ""),
        (
            but(GONE, status={"tenancy": ""}),
            FORMER,
            f"not given to db/data-0: tenancy {OLD} is on the disk, and not a known one; {TAKE_THIS}",
        ),
        (but(GONE, status={"disk": None}), FORMER, ""),
        (but(GONE, disk=STUCK), FORMER, "not given to db/data-0 yet: Stuck (m)"),
        (
            but(GONE, desired=None, left_by_label=True),
            FORMER,
            "not given to db/data-0 yet: no inventory entry lists the disk just now",
        ),
        (
            but(GONE, disk={"trash": ("order-0",)}),
            FORMER,
            "not given to db/data-0: what order order-0 has put aside is on the disk; move it back by hand",
        ),
        (but(GONE, disk={"content": Content.BLANK}), FORMER, NOTHING.format("blank")),
        (but(GONE, disk={"content": Content.DATA, "content_note": "xfs"}), FORMER, NOTHING.format("xfs")),
        (
            but(GONE, disk=AT_THE_ROOT),
            FORMER,
            "not given to db/data-0: what is at the mount's root (entries of others: x) is not known as"
            f" tenancy {OLD}; {TAKE_THIS}",
        ),
        (
            but(GONE, disk=AT_THE_ROOT, spec={"source": Source(device="/dev/x")}),
            FORMER,
            NOTHING.format("entries of others: x") + f"; {answers.NOT_FOR_DEVICES}",
        ),
        (but(KEPT, disk={"tenancy": OTHER}), OTHERS, ""),
        # While it is taken back, the daemon puts it right; once it has answered it does not any more.
        (but(COMMITTED, admin={"restore": restore()}, disk={"tenancy": OTHER}), FORMER, ""),
        (but(TAKEN_BACK, disk={"tenancy": OTHER}), FORMER, ANOTHERS.replace(NEXT, OTHER)),
        (but(TAKEN_BACK, disk={"trash": ("order-1",)}), FORMER, ""),
    ],
)
def test_data_is_given_or_it_is_said_why_not(world: World, to: Ref | None, why: str) -> None:
    seen = look(world)
    assert answers.gives(world, seen) == to
    assert answers.not_taken(world, seen) == why


@pytest.mark.parametrize(
    ("world", "tenancy"),
    [
        (but(RESTORE, disk={"tenancy": OTHER}), OLD),
        (but(KEPT, disk={"tenancy": OTHER}), OTHER),
        (but(KEPT, status={"disk": None}), ""),
        (but(RESTORE, status={"disk": None}), OLD),
    ],
)
def test_a_restore_gives_the_tenancy_on_record_and_keep_the_one_found(world: World, tenancy: str) -> None:
    assert answers.given_tenancy(world) == tenancy


@pytest.mark.parametrize(
    ("world", "found"),
    [
        (but(BLANK, disk={"content_note": "entries of others: a, b"}), True),
        (but(BLANK, disk={"content_note": "2 tenancies; entries of others: a"}), False),
        (BLANK, False),
        (but(BLANK, status={"disk": None}), False),
    ],
)
def test_only_what_is_other_peoples_alone_lies_at_the_root(world: World, found: bool) -> None:
    assert answers.found_at_the_root(world) is found


# --- why it is not wiped ---

UNKNOWN = "not wiped: it is not known whose data this is; to wipe it all the same, adopt it with Wipe"
IS_KEPT = "not wiped: it is known whose data this is, and it is kept; to wipe it all the same, say wipe-now"
RETAINED = with_pv(said(adopt=adopt()), spec={"persistent_volume_reclaim_policy": "Retain"})
ADOPTED = {"question": question("adopt")}


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (said(wipe_now=answer()), ""),
        (said(adopt=adopt()), ""),
        (but(RELEASED, pvs=(), status=ADOPTED), ""),
        (but(said(wipe_now=answer()), pvs=(), status={"question": question("gone")}), UNKNOWN),
        (but(said(wipe_now=answer()), pvs=(), status=ADOPTED), UNKNOWN),
        (but(said(wipe_now=answer()), pvs=(), status={"question": question("identity")}), ""),
        (but(said(wipe_now=answer(), adopt=adopt()), pvs=(), status=ADOPTED), ""),
        (but(said(adopt=adopt()), pvs=(), status=ADOPTED), ""),
        (RETAINED, IS_KEPT),
        (but(RETAINED, admin={"wipe_now": answer()}), ""),
        (but(said(adopt=adopt()), spec={"wipe": WipePolicy(on_release="keep")}), IS_KEPT),
        (but(RETAINED, pvs=()), ""),
        (but(RETAINED, admin={"adopt": adopt(question="q-0")}), ""),
    ],
)
def test_an_answer_that_wipes_nothing_says_which_one_would(world: World, why: str) -> None:
    assert answers.not_taken(world, look(world)) == why


# --- another disk, or one that others show too ---

NEW = Identity(serial="S2", size_bytes=200)
TWIN = {"twin": "volume w of node m shows it too", "apart": True}
BESIDE = {"twin": "the same disk as /data/w"}
WRONG = but(RELEASED, disk={"identity": NEW, "presence": Presence.WRONG_DISK})
NEWCOMER = but(BLANK, status={"identity": None}, disk={"identity": NEW})
SHOWN = "serial=S2 size_bytes=200"
TOO = ", shown by other machines too"


def test_the_facts_of_a_disk_are_told_one_by_one() -> None:
    assert answers.facts(None) == "no facts"
    assert answers.facts(NEW) == SHOWN
    assert answers.facts(Identity()) == ""


@pytest.mark.parametrize(
    ("world", "asked"),
    [
        (RELEASED, ""),
        (WRONG, f" in its place: {SHOWN}"),
        (but(WRONG, around=TWIN), f" in its place: {SHOWN}{TOO}"),
        (but(WRONG, around=BESIDE), f" in its place: {SHOWN}"),
        (but(WRONG, around={"apart": True}), f" in its place: {SHOWN}"),
        (but(WRONG, disk={"identity": None}), ""),
        (but(WRONG, disk={"identity": HARDWARE}), ""),
        (but(WRONG, status={"disk": None}), ""),
        (but(WRONG, status={"identity": None}), f" in its place: {SHOWN}"),
        (NEWCOMER, ""),
        (but(NEWCOMER, around=BESIDE), ""),
        (but(NEWCOMER, around=TWIN), f" on {SHOWN}{TOO}"),
        (but(NEWCOMER, around=TWIN, disk={"presence": Presence.NOT_MOUNTED}), ""),
        (but(NEWCOMER, around=TWIN, status={"identity": HARDWARE}), ""),
        (but(NEWCOMER, around=TWIN, status={"disk": None}), ""),
        (but(NEWCOMER, around=TWIN, disk={"identity": None}), ""),
    ],
)
def test_a_person_is_asked_of_another_disk_or_of_a_newcomer_that_others_show(
    world: World, asked: str
) -> None:
    assert answers.disk_in_question(world) == asked


def accepted(world: World, about: str, question_: str = "q-1", **around: Any) -> World:
    asked: Question | None = question("identity", about)
    return but(world, admin={"accept_identity": answer(question_)}, status={"question": asked}, around=around)


PLACE = f" in its place: {SHOWN}"


@pytest.mark.parametrize(
    ("world", "accepts", "why"),
    [
        (accepted(WRONG, f"{OLD}{PLACE}"), True, ""),
        (accepted(WRONG, PLACE), True, ""),
        (accepted(WRONG, PLACE, "q-0"), False, ""),
        (accepted(WRONG, OLD), False, ""),
        (but(accepted(WRONG, PLACE), status={"question": None}), False, ""),
        (but(accepted(WRONG, PLACE), admin={"accept_identity": None}), False, ""),
        (accepted(RELEASED, OLD), False, ""),
        (accepted(WRONG, f"{PLACE}{TOO}", **TWIN), True, ""),
        (accepted(WRONG, PLACE, **TWIN), False, f"not accepted: {TWIN['twin']}"),
        (accepted(WRONG, PLACE, **BESIDE), False, f"not accepted: {BESIDE['twin']}"),
        (accepted(WRONG, PLACE, "q-0", **BESIDE), False, ""),
        (accepted(NEWCOMER, f" on {SHOWN}{TOO}", **TWIN), True, ""),
        (accepted(WRONG, PLACE, apart=True), True, ""),
    ],
)
def test_a_disk_is_accepted_that_was_asked_about_and_is_nobody_elses(
    world: World, accepts: bool, why: str
) -> None:
    assert answers.accepts_identity(world) is accepts
    assert answers.not_taken(world, look(world)) == why


# --- the record that is to end ---

CLAIMED = "not forgotten: a claim has it; delete the claim first"
LISTED = "not forgotten: the disk is there and an entry lists it; remove the entry, or wipe it"
RESERVED = but(with_pv(RELEASED, phase="Available", spec={"claim_ref": FORMER}), status={"reserved": FORMER})


def absent(presence: Presence, base: World = RELEASED) -> World:
    return but(base, disk={"presence": presence})


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (but(BOUND, status={"question": question()}), CLAIMED),
        (absent(Presence.NOT_PRESENT, but(BOUND, status={"question": question()})), CLAIMED),
        (absent(Presence.NOT_PRESENT, RESERVED), CLAIMED),
        (RELEASED, LISTED),
        (but(RELEASED, desired=None, left_by_label=True), LISTED),
        (but(RELEASED, desired=None), ""),
        (but(RELEASED, node=None), ""),
        (but(RELEASED, status={"disk": None}), LISTED),
        (absent(Presence.NOT_PRESENT), ""),
        (absent(Presence.NOT_MOUNTED), ""),
        (absent(Presence.STUCK), ""),
        (absent(Presence.WRONG_DISK), ""),
        (absent(Presence.CONFLICT), LISTED),
        (absent(Presence.FOREIGN), LISTED),
        (absent(Presence.REFUSED), LISTED),
        (absent(Presence.OCCUPIED), LISTED),
        (but(OFFERED, status={"question": question()}), LISTED),
    ],
)
def test_a_record_ends_only_of_a_disk_that_is_gone_or_not_listed_and_that_no_claim_has(
    world: World, why: str
) -> None:
    seen = look(world)
    for id_, counts in (("q-1", True), ("q-0", False)):
        asked = but(world, admin={"forget": answer(id_)})
        assert answers.forgets(asked, seen) is (counts and not why)
        assert answers.not_taken(asked, seen) == (why if counts else "")


def test_what_may_be_forgotten_hides_no_other_answer_that_is_not_taken() -> None:
    world = but(RESTORE, admin={"forget": answer()}, desired=None, status={"owner": None})
    assert answers.not_taken(world, look(world)) == ADOPT_IT


@pytest.mark.parametrize(
    ("source", "found", "may"),
    [
        (Source(path="/data/d"), Content.DATA, True),
        (Source(path="/data/d"), Content.TENANCY, True),
        (Source(device="/dev/d"), Content.TENANCY, True),
        (Source(device="/dev/d"), Content.DATA, False),
        (Source(device="/dev/d"), None, False),
    ],
)
def test_what_others_have_made_on_a_device_is_kept_for_no_claim_as_it_is(
    source: Source, found: Content | None, may: bool
) -> None:
    world = but(KEPT, spec={"source": source}, disk={"content": found or Content.BLANK})
    if found is None:
        world = but(world, status={"disk": None})
    assert answers.may_be_kept(world.volume) is may
    way_out = "; what others have made on a device is given to no claim as it is; mount it yourself"
    said = answers.not_taken(world, look(world))
    assert (way_out in said) is (bool(source.device) and found is Content.DATA)
