"""What to do about one order: decided from what is seen now, and from nothing that this process remembers.

So a crash costs nothing: whoever comes next looks at the disk, the journal and the API and finds what is
left to do. Each row of the tables in tests/unit/daemon/test_step.py is one such state of affairs.

For a folder (`source.path`) a wipe leaves this trail, and each step can be told from the next by it:

    .tidb-volume/T                 the journal notes the order             -> Aside
    .tidb-volume/trash-ORDER/T     put aside; the way back is a rename     -> Recheck, Note(begun)
    .tidb-volume/trash-ORDER.T     the same, where there is no room for a folder more
    .tidb-volume/trash-ORDER/...   begun; there is only the way on         -> Erase
    .tidb-volume/                  all gone, the journal says begun        -> Make
    .tidb-volume/NEXT              made, empty, not journalled             -> Finish
    .tidb-volume/NEXT              journalled as done and handed over      -> nothing
"""

from __future__ import annotations

from disk_daemon import guards
from disk_daemon.guards import When
from disk_daemon.known import Case, Entry, Trash
from disk_daemon.verdict import (
    AlreadyDone,
    Aside,
    AsideAll,
    Do,
    Erase,
    Finish,
    GiveBack,
    Make,
    Move,
    Note,
    Recheck,
    Refuse,
    Remove,
    Verdict,
    Verify,
)
from tidb_volume import content
from tidb_volume.value import Content

FIRST = (
    guards.live_is_readable,
    guards.order_is_current,
    guards.order_is_well_formed,
    guards.disk_is_there,
    guards.identity_matches,
    guards.journal_is_readable,
)
"""Without these nothing else can be told, not even whether the order was done."""


def decide(case: Case) -> Verdict:
    """The next thing to do about an order, under the disk's lock.

    Pure; the same case gives the same verdict. A withdrawn order is answered before what could make it wait:
    giving back is no destruction, and a person waits for it.
    """
    for check in FIRST:
        objection = check(case)
        if objection is not None:
            return objection
    if _was_done(case):
        return _once_more(case)
    stale = was_taken_back(case)
    if stale:
        return _has_data(case, stale)
    if is_withdrawn(case) and not goes_on(case):
        return take_back(case)
    if guards.is_asked_back(case) and _is_unproven(case):
        return _unproven(case)
    objection = guards.objection(case, When.START if case.begun else When.TAKE)
    if objection is not None:
        return objection
    return _wipe(case) if case.destroys else _prepare(case)


def _entry(case: Case) -> Entry | None:
    return case.journal if isinstance(case.journal, Entry) else None


def _has_data(case: Case, said: str) -> Refuse:
    journal = _entry(case)
    handed = journal.handed if journal else ""
    seen = f"on the disk: {_shown(case)}; in the journal: {handed or 'nothing'}"
    return Refuse("HasData", f"{said} ({seen}); say what is to become of it, or clear the disk by hand")


def _shown(case: Case) -> str:
    disk = case.disk
    parts = [f"tenancy {each}" for each in disk.tenancies]
    parts += [f"trash of order {each.order}" for each in disk.trash]
    parts += [f"'{each}'" for each in (*disk.others, *disk.strays)]
    return ", ".join(parts) or "nothing"


# --- done before ---------------------------------------------------------------------------------------


def _was_done(case: Case) -> bool:
    return is_journalled(case) or case.order.next in case.disk.tenancies


def is_journalled(case: Case) -> bool:
    """The journal has the order as done: by its id, or by the tenancy that it begins: none comes twice.
    Orders are forgotten sooner than tenancies, and an etcd may be set back by more of them than are kept."""
    journal, order = _entry(case), case.order
    return journal is not None and (
        order.next in journal.past
        or any(past.id == order.id or past.next == order.next for past in journal.done)
    )


def _once_more(case: Case) -> Verdict:
    """Never a second time: it is said to be done while nobody has used what it made, else it is refused.

    A tenancy's id is never used twice, so an order with a fresh id for the same next tenancy is the same
    act: a new leader asks that way.
    """
    disk, order, journal = case.disk, case.order, _entry(case)
    had = guards.nobody_had_it(case)
    if had is not None:
        return had
    since = belied(case)
    if since:
        return _has_data(case, f"order {order.id} was done, and {since}")
    if not order.offer:
        if disk.content is Content.BLANK:
            return AlreadyDone()
        return _has_data(case, f"order {order.id} was done, and there is something on the disk since")
    if disk.content is not Content.TENANCY or disk.tenancies != (order.next,) or not disk.empty:
        return _has_data(case, f"order {order.id} was done, and tenancy {order.next} is not as it was left")
    in_use = guards.not_in_use(case)
    if in_use is not None:
        return _has_data(case, f"order {order.id} was done, and tenancy {order.next} is in use")
    known = journal is not None and journal.handed == order.next
    return AlreadyDone() if known else Do((Finish(),))


def belied(case: Case) -> str:
    """What the journal knows that came after an order was done, for people; empty: nothing did.

    An empty folder proves nothing against it, which a hand may have made: by an old order, read in an etcd
    that was set back, the disk would be said to be the next tenancy's, and the one that has it now past. What
    lay on all of the disk is handed over until the wipe that is to end it is done.
    """
    order, journal = case.order, _entry(case)
    if journal is None:
        return ""
    if order.next in journal.past:
        return f"tenancy {order.next} has ended since"
    if journal.handed not in ("", order.ends, order.next) and not case.begun:
        return f"tenancy {journal.handed} was handed over since"
    if any(had.tenancy == order.next for had in journal.had):
        return f"a claim was seen on tenancy {order.next}"
    return ""


# --- taken back ------------------------------------------------------------------------------------------


def is_withdrawn(case: Case) -> bool:
    """Whether the controller takes the order back."""
    volume = case.live.volume
    return volume is not None and volume.spec.order is not None and volume.spec.order.withdrawn


def was_taken_back(case: Case) -> str:
    """Why the order is older than what the journal knows, for people; empty: it is not.

    An etcd that was restored from before the withdrawal shows the order as if nothing had been, and a
    controller that reads it there writes another. Meanwhile a claim may have written.
    """
    order, journal = case.order, _entry(case)
    if journal is None or is_withdrawn(case):
        return ""
    if order.id in journal.taken_back:
        return f"order {order.id} was withdrawn once, and does not come back"
    given = any((each.tenancy, each.claim_uid) == (order.ends, order.claim_uid) for each in journal.given)
    if given and order.kind == "reclaim" and not order.answer:
        return f"tenancy {order.ends} was given back to claim {order.claim_uid or 'unknown'} by a person"
    return ""


def goes_on(case: Case) -> bool:
    """Whether an order that is withdrawn is brought to its end all the same, since bytes are gone. One that
    goes on with another's wipe and was never committed is not: nobody would commit what is taken back."""
    return case.begun and not (case.destroys and guards.order_is_committed(case) is not None)


def take_back(case: Case) -> Refuse | GiveBack:
    """The answer to an order that is withdrawn, where nothing is done about it."""
    if case.begun:
        return Refuse("Withdrawn", "the order was withdrawn, and bytes were gone before it was written")
    return _unproven(case) if _is_unproven(case) else GiveBack()


def _is_unproven(case: Case) -> bool:
    return case.maybe_begun and not case.begun


def _unproven(case: Case) -> Refuse:
    """Neither to be given back nor, as somebody wants it back, to be wiped: he is asked."""
    said = "it is asked back, but nobody can prove that no byte is gone"
    return _has_data(case, f"{said}: the journal of the node does not know the trash on the disk")


# --- a free disk: nothing is destroyed --------------------------------------------------------------------


def _prepare(case: Case) -> Verdict:
    """First use of a blank disk, or a fresh offer of one that was handed over and never used."""
    order, disk, journal = case.order, case.disk, _entry(case)
    if disk.content is Content.BLANK:
        if not order.ends and journal is not None and journal.handed:
            # As a claim leaves it that has all of the disk, and an etcd that has forgotten that claim.
            said = f"the disk is blank, and tenancy {journal.handed} should be on it"
            return _has_data(case, said)
        if not order.ends:
            return Do((Note(begun=False), *_ending(case)))
        if case.begun:
            return Do((Note(begun=True), *_ending(case)))
        return _has_data(case, f"the order ends tenancy {order.ends}, which is not there")
    if not order.ends:
        return _has_data(case, "the disk is not blank")
    if disk.content is not Content.TENANCY or disk.tenancies != (order.ends,):
        return _has_data(case, f"the order ends tenancy {order.ends}, and there is something else")
    if not disk.empty:
        return _has_data(case, f"tenancy {order.ends} should be unused, and is not empty")
    if journal is None or (journal.handed != order.ends and not case.begun):
        return _has_data(case, f"tenancy {order.ends} should be unused, and the journal does not know it")
    return Do((Note(begun=True), Remove(order.ends), *_ending(case)))


def _ending(case: Case) -> tuple[Move, ...]:
    return (Make(), Finish()) if case.order.offer else (Finish(),)


# --- a wipe ------------------------------------------------------------------------------------------


def _wipe(case: Case) -> Verdict:
    """What is to go must be what the order ends; all three witnesses must agree on it."""
    order, disk = case.order, case.disk
    if not order.ends and not order.whole_disk:
        return _has_data(case, f"order {order.id} ends no tenancy")
    strange = [each for each in disk.tenancies if each != order.ends]
    if strange:
        return _has_data(case, f"the order ends tenancy {order.ends or 'none'}, and {strange[0]} is there")
    unknown = [each for each in disk.trash if not (order.whole_disk or is_of_this_wipe(case, each))]
    if unknown:
        return _has_data(case, f"the trash of order {unknown[0].order} is not of this wipe")
    if disk.others and not order.whole_disk:
        return _has_data(case, f"'{disk.others[0]}' lies among our folders")
    if not order.whole_disk and not _journal_agrees(case):
        return _has_data(case, f"the journal does not know tenancy {order.ends} as the one handed over")

    came = _came_since(case)
    if came:
        return _has_data(case, f"'{came}' has come while all that was there was being wiped")
    stands = order.ends in disk.tenancies or (order.whole_disk and bool(disk.strays or disk.others))
    if not (stands or disk.trash or case.begun or _is_all_gone(case)) and order.ends:
        return _has_data(case, f"the order ends tenancy {order.ends}, which is not there")
    trash = sorted({each.order for each in disk.trash} | ({order.id} if stands else set()))
    aside: Move = AsideAll() if order.whole_disk else Aside(order.ends)
    moves: list[Move] = [Note(begun=case.begun)]
    if stands:
        moves.append(aside)
    moves += [Recheck(), Note(begun=True), *map(Erase, trash), Verify(), *_ending(case)]
    return Do(tuple(moves))


def _is_all_gone(case: Case) -> bool:
    """The claim that had all of the disk, and whose tenancy ends by the journal too, has left nothing."""
    journal = _entry(case)
    return journal is not None and journal.at_root and journal.handed == case.order.ends


def _came_since(case: Case) -> str:
    """What lies on the disk beside what a begun wipe of all of it has put aside, and nobody was asked about:
    the first of it; empty: nothing does. fsck may fill lost+found from that after a crash."""
    disk, over = case.disk, case.order.over
    if not case.order.whole_disk or case.lies_on_it == over:
        return ""
    known = case.orders | content.trash_in(over)
    trash = (each.name for each in disk.trash if each.order not in known)
    return next(iter((*disk.tenancies, *disk.by_hand, *disk.others, *trash)), "")


def is_of_this_wipe(case: Case, trash: Trash) -> bool:
    """Put aside by this order, by one that it goes on with, or holding nothing but the tenancy it ends."""
    if case.order.whole_disk:
        return trash.order in case.orders
    return all(entry == case.order.ends for entry in trash.entries)


def _journal_agrees(case: Case) -> bool:
    """A journal that was lost contradicts nothing: then the disk's own folder is the witness."""
    journal = _entry(case)
    if journal is None or journal.handed == case.order.ends or case.taken is not None:
        return True
    return journal.order is not None and journal.order.next == case.order.ends
