"""What must hold before the daemon does anything to a disk: one function for one disaster.

Each guard looks at a `Case` and says nothing, or what stands in the way: `Refuse` where the order is wrong,
`Wait` where time or a person removes the obstacle. What is not known stands in the way. A guard says in
`prevents` which disaster it is there for; the list in the docs is printed from these.

When a guard is asked:
  TAKE    when a process takes the order up and no byte is gone, before it moves anything itself
  BEGIN   while no byte is gone: it may still stop the order as if nothing had been
  START   whenever a process takes the order up, also one that goes on after a crash
  ALWAYS  also between two chunks of a running wipe
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Literal, NamedTuple

from disk_daemon import nvme
from disk_daemon.known import ORDER_ID, Broken, Case, Entry, User
from disk_daemon.verdict import Dropped, Refuse, Wait
from tidb_volume import content, identity, names
from tidb_volume.methods import passes
from tidb_volume.value import Content, Presence

Objection = Refuse | Wait | Dropped
Check = Callable[[Case], Objection | None]


class When(IntEnum):
    """Until when a guard is asked; each includes those before it."""

    TAKE = 0
    BEGIN = 1
    START = 2
    ALWAYS = 3


class Guard(NamedTuple):
    """A check, and what it is there for."""

    name: str
    prevents: str
    when: When
    destroying_only: bool
    check: Check


GUARDS: list[Guard] = []
"""In the order in which they are asked; what is wrong comes before what makes it wait."""


def guard(*, prevents: str, when: When, destroying_only: bool = False) -> Callable[[Check], Check]:
    """Register a check. `destroying_only`: it is about orders that delete data, and no others."""

    def register(check: Check) -> Check:
        GUARDS.append(Guard(check.__name__, prevents, when, destroying_only, check))
        return check

    return register


def objection(case: Case, when: When) -> Objection | None:
    """The first objection of all guards that are asked at this point; None: go on."""
    for each in GUARDS:
        if each.when < when or (each.destroying_only and not case.destroys):
            continue
        found = each.check(case)
        if found is not None:
            return found
    return None


# --- is this order still an order -------------------------------------------------------------------


@guard(prevents="beginning, or going on, while the stop button cannot be read", when=When.ALWAYS)
def live_is_readable(case: Case) -> Objection | None:
    """Whatever could not be read says nothing, and nothing is not a permission."""
    if case.live.error:
        return Wait("ApiUnreadable", f"the API server cannot be read: {case.live.error}", "api")
    return None


@guard(prevents="carrying out an order that the controller has replaced or taken away", when=When.ALWAYS)
def order_is_current(case: Case) -> Objection | None:
    """Same object by UID, same order, word for word but for its withdrawal."""
    volume = case.live.volume
    if volume is None or volume.metadata.uid != case.uid or volume.spec.order is None:
        return Dropped()
    now, then = volume.spec.order, case.order
    if now.id != then.id:
        return Dropped()
    if _without_withdrawal(now) != _without_withdrawal(then):
        return Refuse("OrderChanged", f"order {then.id} was changed; write one with a fresh id")
    return None


def _without_withdrawal(order: object) -> dict[str, object]:
    fields = {name: getattr(order, name) for name in order.__struct_fields__}  # type: ignore[attr-defined]
    return {**fields, "withdrawn": False}


METHODS: tuple[str, ...] = ("", "auto", "format", "files", "discard", "zero", "nvme-format")
"""What a device may be wiped by, `overwrite:N` besides."""

BLOCK_METHODS: tuple[str, ...] = ("", "auto", "zero", "discard", "nvme-format")


@guard(prevents="a folder's name out of the API that leads elsewhere (`../x`)", when=When.START)
def order_is_well_formed(case: Case) -> Objection | None:
    """Ids and tenancies become names of folders, so they must look like ids and tenancies."""
    order = case.order
    tenancies = [each for each in (order.ends, order.next) if each]
    if not ORDER_ID.fullmatch(order.id) or not all(map(names.is_tenancy, tenancies)):
        return Refuse("Malformed", f"order {order.id!r} has an id or a tenancy that is none")
    if order.kind == "unmount":
        return None if case.device else Refuse("Malformed", "a folder is the admin's to unmount")
    if not order.next or order.next == order.ends:
        return Refuse("Malformed", f"order {order.id} names no new tenancy")
    if order.whole_disk and not order.answer:
        return Refuse("Malformed", f"order {order.id} is for all that is on the disk, and no person said so")
    return None


@guard(prevents="doing something else than what was asked for", when=When.START)
def method_is_known(case: Case) -> Objection | None:
    """For a folder there is one method: deleting what is in it. A device knows several, by its mode."""
    if case.device:
        raw = case.disk.raw
        known, what = METHODS, "a device with a file system"
        if raw is not None and (raw.wanted or raw.mode) == "Block":
            known, what = BLOCK_METHODS, "a Block volume"
        if case.order.method not in known and not passes(case.order.method):
            said = f"method {case.order.method} is not for {what}; use {', '.join(known[1:])} or overwrite:N"
            return Refuse("UnknownMethod", said)
        return None
    if case.order.kind not in ("reclaim", "prepare"):
        return Refuse("NotForFolders", f"a folder that the admin mounted needs no {case.order.kind}")
    if case.order.method not in ("", "auto", "files"):
        return Refuse("NotForFolders", f"method {case.order.method} is not for a folder; use files")
    return None


@guard(prevents="erasing all of a disk, the system on it too, where one of its partitions is meant",
       when=When.START)  # fmt: skip
def erases_no_other_partition(case: Case) -> Objection | None:
    """A disk's own command knows nothing of partitions, and the kernel takes it through the device of one."""
    seen = case.disk.identity
    if not case.device or case.order.method != "nvme-format" or seen is None or not seen.partition:
        return None
    said = f"nvme-format erases all of the disk, and {case.disk.name} is a partition of it"
    return Refuse("UnknownMethod", f"{said}; use another method (overwrite:N), or list the whole disk")


@guard(prevents="erasing namespaces of others with the one that is meant, on a disk that knows no less",
       when=When.START)  # fmt: skip
def erases_this_namespace_alone(case: Case) -> Objection | None:
    """By what the disk says of itself, on the opened descriptor; one that says nothing is not asked to. In a
    file system in which there is nothing to erase it is not asked any more."""
    if not case.device or case.order.method != "nvme-format":
        return None
    raw, disk = case.disk.raw, case.disk
    if raw is None and (not case.destroys or disk.content is Content.BLANK):
        return None
    why = nvme.refused(raw.nvme if raw is not None else None)
    return (
        Refuse("UnknownMethod", f"nvme-format is not for this disk: {why}; use overwrite:N") if why else None
    )


# --- is it this disk ------------------------------------------------------------------------------------


@guard(prevents="deleting in the folder under a mount point whose mount is missing", when=When.ALWAYS)
def disk_is_there(case: Case) -> Objection | None:
    """An absent disk is not a wiped one; and what is to be never used is never used."""
    presence, said = case.disk.presence, case.disk.message
    if presence in (Presence.NOT_PRESENT, Presence.NOT_MOUNTED):
        return Wait(presence.value, said, "mounts")
    if presence is not Presence.OK:
        return Refuse(presence.value, said)
    return None


@guard(prevents="wiping another disk that now answers to the name", when=When.ALWAYS)
def identity_matches(case: Case) -> Objection | None:
    """The order names the disk that is meant; a name is none (openshift/local-storage-operator #542)."""
    meant, seen = case.order.identity, case.disk.identity
    if meant is None:
        return Refuse("WrongDisk", f"order {case.order.id} names no identity, so any disk would do")
    same = identity.same_hardware if case.device else identity.same_disk
    if seen is None or not same(meant, seen):
        said = f"meant is {identity.words(meant)}, there is {identity.words(seen)}"
        return Refuse("WrongDisk", f"{said}; put the recorded disk back, or accept the new one")
    return None


@guard(prevents="a wipe that fails at its first unlink, on a disk that turned read-only", when=When.START)
def not_read_only(case: Case) -> Objection | None:
    """A file system remounted read-only is how a failing disk looks; a device may be set so by hand."""
    if case.disk.read_only:
        what = "device is" if case.device else "file system is mounted"
        return Refuse("ReadOnly", f"the {what} read-only; look at the kernel log of the node")
    return None


@guard(prevents="taking a journal that cannot be read for an empty one", when=When.START)
def journal_is_readable(case: Case) -> Objection | None:
    """It may hold that this order was done long ago, or that another tenant has the disk."""
    if isinstance(case.journal, Broken):
        return Refuse("JournalBroken", f"{case.journal.why}; look at it, then move it away")
    return None


# --- is nobody there --------------------------------------------------------------------------------------


@guard(prevents="wiping on what was read for another purpose than to begin", when=When.START)
def live_is_whole(case: Case) -> Objection | None:
    """PersistentVolumes that were not read are not absent."""
    if case.live.lean:
        return Wait("ApiUnreadable", "PersistentVolumes have not been read", "api")
    return None


@guard(prevents="wiping before the controller knows that its delete of the PV was the one", when=When.START,
       destroying_only=True)  # fmt: skip
def order_is_committed(case: Case) -> Objection | None:
    """`status.committed` is written after the PV's delete was answered under both preconditions."""
    volume = case.live.volume
    if volume is None or volume.status.committed != case.order.id:
        return Wait("NotCommitted", f"order {case.order.id} is not committed yet", "volume")
    return None


@guard(prevents="deleting data that a PersistentVolume can still hand to a pod", when=When.START)
def no_pv_remains(case: Case) -> Objection | None:
    """By name and by label. One that is Terminating is still there; one that is not was given back."""
    for pv in case.live.pvs:
        if not pv.metadata.deletion_timestamp:
            said = f"PersistentVolume {pv.metadata.name} exists; an order stands on none"
            on = "; bytes of its data are gone already: delete it, and the wipe goes on" if case.begun else ""
            return Refuse("PvExists", f"{said}{on}")
    for pv in case.live.pvs:
        return Wait("PvTerminating", f"PersistentVolume {pv.metadata.name} is still there", "api")
    return None


@guard(prevents="deleting files under a pod that still has them mounted", when=When.START)
def not_in_use(case: Case) -> Objection | None:
    """Any mount at or below the tenancy's folder, in any mount namespace; none known is not none there."""
    if case.device and case.disk.raw is not None and not case.disk.raw.mounted and case.disk.users:
        return _in_use(case.disk.users, "device")
    if case.disk.users_unknown:
        return Wait("InUse", f"cannot tell who uses it: {case.disk.users_unknown}", "device")
    users = [user for user in case.disk.users if case.order.whole_disk or _is_ours(user.root)]
    return _in_use(users) if users else None


@guard(prevents="deleting what a program of the host, or a pod with the whole folder, is writing just now",
       when=When.START, destroying_only=True)  # fmt: skip
def nobody_is_on_the_whole_disk(case: Case) -> Objection | None:
    """Where all on a disk is to go: no process is in it or has a file of it, nothing else stands on it."""
    # A device that is not mounted is held exclusively instead, and its file system is unmounted first.
    if not case.order.whole_disk or case.disk.raw is not None:
        return None
    if case.disk.everyone_unknown:
        return Wait("InUse", f"cannot tell who is on it: {case.disk.everyone_unknown}", "device")
    return _in_use(case.disk.everyone, "device") if case.disk.everyone else None


def _in_use(users: Sequence[User], until: Literal["mounts", "device"] = "mounts") -> Wait:
    more = f" and {len(users) - 1} more" if len(users) > 1 else ""
    pids = tuple(user.pid for user in users if user.pid)
    return Wait("InUse", f"{users[0].who}{more}", until, pids)


def _is_ours(root: str) -> bool:
    return root == f"/{names.FOLDER}" or root.startswith(f"/{names.FOLDER}/")


# --- does anybody hold it --------------------------------------------------------------------------------


@guard(prevents="a breaker that trips and stops nothing", when=When.BEGIN, destroying_only=True)
def breaker_is_closed(case: Case) -> Objection | None:
    """Under the epoch the order was decided in; a fleet that cannot be seen is tripped."""
    fleet = case.live.fleet
    if fleet is None:
        return None  # not_paused says it
    breaker = fleet.status.breaker
    if breaker.tripped or breaker.epoch != case.order.epoch:
        said = breaker.reason or f"epoch {breaker.epoch}, the order is of epoch {case.order.epoch}"
        return Refuse("Breaker", f"the circuit breaker: {said}")
    return None


@guard(prevents="a stop button that does not stop", when=When.ALWAYS)
def not_paused(case: Case) -> Objection | None:
    """No fleet object is a pause: it was deleted, and only a person makes it again."""
    fleet = case.live.fleet
    if fleet is None or fleet.metadata.deletion_timestamp:
        return Wait("FleetMissing", f"there is no TidbVolumeFleet named {names.FLEET}", "api")
    if fleet.spec.paused:
        return Wait("Paused", "the fleet is paused", "api")
    return None


@guard(prevents="wiping what a person holds", when=When.BEGIN, destroying_only=True)
def not_held(case: Case) -> Objection | None:
    """`spec.admin.hold`, for this volume."""
    volume = case.live.volume
    if volume is None or volume.spec.admin.hold:
        return Wait("Held", "held by a person", "volume")
    return None


@guard(prevents="wiping a store that its database still counts on", when=When.BEGIN, destroying_only=True)
def no_gate_stands(case: Case) -> Objection | None:
    """The volume's own gates, and the pool's that were not passed for this very tenancy."""
    volume = case.live.volume
    if volume is None:
        return Wait("Gated", "the volume's gates cannot be seen", "volume")
    passed, wipe = volume.spec.admin.gates_passed, volume.spec.wipe
    of_pool = [gate for gate in wipe.gates if not case.order.ends or passed.get(gate) != case.order.ends]
    standing = sorted({*volume.spec.admin.gates, *of_pool})
    if standing:
        return Wait("Gated", ", ".join(standing), "volume")
    return None


@guard(prevents="deleting what a person has just asked to get back", when=When.BEGIN, destroying_only=True)
def no_restore_is_asked(case: Case) -> Objection | None:
    """An answer counts for the question that stands now, and for no other."""
    volume = case.live.volume
    if volume is None:
        return Wait("RestoreAsked", "the volume's answers cannot be seen", "volume")
    asked, question = volume.spec.admin.restore, volume.status.question
    if asked is not None and question is not None and asked.question == question.id:
        return Wait("RestoreAsked", "a person asked to have it back", "volume")
    return None


def is_asked_back(case: Case) -> bool:
    """Whether a person's answer to the question that stands now is that the data stays somebody's."""
    volume = case.live.volume
    if volume is None or volume.status.question is None:
        return False
    admin = volume.spec.admin
    keep = admin.adopt if admin.adopt is not None and admin.adopt.action == "Keep" else None
    answers = (admin.restore, keep)
    return any(each is not None and each.question == volume.status.question.id for each in answers)


@guard(prevents="ending unknown data on an answer that a person has taken back", when=When.BEGIN)
def answer_stands(case: Case) -> Objection | None:
    """An order that names an answer finds it in `spec.admin`, still given to that very question: wipeNow, or
    adopt: Wipe. To approve of a wipe that the policy asks for is less than to ask for one."""
    if not case.order.answer:
        return None
    volume = case.live.volume
    admin = volume.spec.admin if volume is not None else None
    adopt = admin.adopt if admin is not None else None
    given = [admin.wipe_now.question] if admin is not None and admin.wipe_now is not None else []
    given += [adopt.question] if adopt is not None and adopt.action == "Wipe" else []
    if case.order.answer not in given:
        return Refuse("AnswerGone", f"nobody answers question {case.order.answer} any more")
    return None


@guard(prevents="a second wipe on one answer, by an order out of an older etcd", when=When.BEGIN)
def answer_is_not_spent(case: Case) -> Objection | None:
    """What a person was asked about was wiped; what looks the same by now is something else."""
    answer, journal = case.order.answer, case.journal
    if answer and isinstance(journal, Entry) and any(past.answer == answer for past in journal.done):
        return Refuse("AnswerGone", f"the wipe that question {answer} was about is done")
    return None


@guard(
    prevents="wiping what came to lie on a disk after a person was asked what is to become of it",
    when=When.TAKE,
)
def is_what_was_asked_about(case: Case) -> Objection | None:
    """What an order for the whole disk is to end, word for word. An answer may wait behind a pause for days.

    Put aside by this order, or by one on the same answer, is what that found; something beside it has come
    since.
    """
    order, disk, taken = case.order, case.disk, case.taken
    if not order.whole_disk or case.lies_on_it == order.over:
        return None
    ours = case.orders if taken is not None and taken.answer == order.answer else frozenset()
    trash = {each.order for each in disk.trash}
    since = trash - ours - content.trash_in(order.over)
    if trash & ours and not (since or disk.strays or disk.others or disk.tenancies):
        return None
    said = f"a person was asked about '{order.over}', and there is '{case.lies_on_it}' now"
    return Refuse("HasData", f"{said}; say what is to become of it")


@guard(
    prevents="offering what a claim had as unused, on an etcd that has forgotten the claim", when=When.BEGIN
)
def nobody_had_it(case: Case) -> Objection | None:
    """A tenancy on which the journal has seen a claim is dirty, whatever the API says, and however empty."""
    if case.destroys or case.order.kind != "prepare" or not isinstance(case.journal, Entry):
        return None
    for tenancy in (case.order.ends, case.order.next):
        if any(had.tenancy == tenancy for had in case.journal.had):
            said = f"tenancy {tenancy} should be unused, and the journal has seen a claim on it"
            return Refuse("HasData", f"{said}; say what is to become of it")
    return None


@guard(prevents="wiping what a claim wrote of which an etcd that was set back knows nothing", when=When.BEGIN,
       destroying_only=True)  # fmt: skip
def no_claim_had_it_since(case: Case) -> Objection | None:
    """The last claim that the journal saw on the data is the one that the order ends, or one that the person
    was told of on whose answer it stands."""
    order, entry = case.order, case.journal
    if not isinstance(entry, Entry):
        return None
    last = entry.last_claim(order.ends or entry.handed)
    if last in ("", order.claim_uid, order.had_since):
        return None
    said = f"the journal has seen claim {last} on it, and the order knows nothing of that one"
    return Refuse("HasData", f"{said}; say what is to become of it")


def listing(guards: Iterable[Guard] = GUARDS) -> list[tuple[str, str, str]]:
    """Name, disaster and rule of each guard, for the docs."""
    return [(each.name, each.prevents, (each.check.__doc__ or "").strip()) for each in guards]
