"""Two volumes, of one machine or of two, and three disks that get into each other's slots.

Each volume is a life of the model, with objects, controllers and an observer of its own; the disks are the
same, and of one machine the journals and containers too. Asked for beside what each observer asks for:
no disk is on record for both, or in use by both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.life.cluster import NODE, change, desired, pool
from tests.unit.life.machine import Disk
from tests.unit.life.model.whole import STAGES, TURNS, Life
from tidb_volume import names
from tidb_volume.identity import same_hardware
from tidb_volume.life.answers import ELSEWHERE
from tidb_volume.value import Source

SLOTS = {
    "same": (0, 1),
    "swapped": (1, 0),
    "the first in the second's place": (2, 0),
    "the second in the first's place": (1, 2),
    "another in the first's place": (2, 1),
    "another in the second's place": (0, 2),
    "the first under both names": (0, 0),
    "the second under both names": (1, 1),
}
"""Which of the three disks is mounted where each volume looks."""


def _accepts(life: Life) -> None:
    """Nobody says of one disk that other machines show too that it is two."""
    volume = life.cluster.etcd.volume
    question = volume.status.question if volume is not None else None
    if question is not None and question.kind != "twin" and ELSEWHERE not in question.about:
        life.a_person_answers("accept_identity")


ACTS: dict[str, Callable[[Life], None]] = {
    "moves in": lambda life: life.a_tenant_moves_in("db/data-0"),
    "another moves in": lambda life: life.a_tenant_moves_in("db/data-1"),
    "leaves": lambda life: life.a_tenant_leaves("db/data-0"),
    "Retain": lambda life: life.the_policy_is_patched("Retain"),
    "Delete": lambda life: life.the_policy_is_patched("Delete"),
    "accepted": lambda life: _accepts(life),
    "forgotten": lambda life: life.a_person_answers("forget"),
    "adopted": lambda life: life.a_person_has_it_wiped(stale=False, how="adopt"),
    "wiped now": lambda life: life.a_person_has_it_wiped(stale=False, how="wipe_now"),
    "given back": lambda life: life.a_person_gives_it_back("db/data-0", "former", 0),
    "kept": lambda life: life.a_person_gives_it_back("db/data-0", "keep", 0),
    "answers taken back": lambda life: life.a_person_takes_every_answer_back(),
    "claimRef cleared": lambda life: life.a_claim_ref_is_cleared(),
    "deleted by hand": lambda life: life.a_volume_is_deleted_by_hand(force=True),
    "made again": lambda life: life.a_volume_is_made_again_by_hand(cleared=False, last=True, seconds=0),
    "status deleted": lambda life: life.something_is_deleted("status"),
    "volume deleted": lambda life: life.something_is_deleted("volume"),
    "copied": lambda life: life.a_tenancys_folder_is_made_by_hand("recorded", copied=True),
    "dropped": lambda life: life.the_entry_goes_and_comes(there=False),
    "listed": lambda life: life.the_entry_goes_and_comes(there=True),
}
"""What people, claims and hands do to one of the two."""


BEGIN: dict[str, st.SearchStrategy[Any]] = {
    "machines": st.sampled_from([1, 1, 2]),
    "alike": st.booleans(),
    "wipe": st.sampled_from([True, True, False]),
    "stage": st.sampled_from(["new", *STAGES, "adopting"]),
    "slots": st.sampled_from(["same", *SLOTS]),
}
"""How an example may begin: whether both slots are one machine's; whether the spare disk shows the first's
hardware, with another file system; the pool; how far both lives have come; which disk is where then."""


class Pair(RuleBasedStateMachine):
    """Two volumes side by side."""

    @initialize(**BEGIN)
    def begin(self, machines: int, alike: bool, wipe: bool, stage: str, slots: str) -> None:
        self.lives = (Life(), Life())
        first, second = self.lives
        for number, life in enumerate(self.lives):
            source, node = Source(path=f"/data/disk{number}"), f"node-{number + 1}" if machines == 2 else NODE
            entry = desired(
                pool(on_release="wipe" if wipe else "keep", after="0s"),
                source=source,
                node_name=node,
                name=names.volume_name(node, source),
            )
            life.set_up(entry, dirty=False, spare=False)
            life.node.about_to_begin = life.about_to_begin
            life.node.observed = life.a_daemon_has_seen
        self.disks = [*first.disks, Disk(first.disks[0].identity)]
        for number, disk in enumerate(self.disks):
            same = 0 if alike and number == 2 else number
            facts = {"virtual": f"8:{same}"} if machines == 1 else {"virtual": "", "serial": f"S{same}"}
            disk.identity = change(disk.identity, fs_uuid=f"fs-{number}", **facts)
        first.disks, second.disks = list(self.disks), [self.disks[1], self.disks[0], self.disks[2]]
        second.cluster.ids, second.cluster.rv = first.cluster.ids, first.cluster.rv
        if machines == 1:
            second.machine.journals = first.machine.journals
            first.machine.other, second.machine.other = second.machine, first.machine
        first.cluster.neighbour, second.cluster.neighbour = second.cluster, first.cluster
        self.mounted("same")
        for life in self.lives:
            life.come_to(stage, "bound")
        if slots != "same":
            self.mounted(slots)

    def mounted(self, slots: str) -> None:
        for life, number in zip(self.lives, SLOTS[slots], strict=True):
            for daemon in (0, 1):
                life.a_daemon_dies(daemon)
            life.machine.reboot()
            life.machine.slot = self.disks[number]
        for disk in self.disks:
            disk.lock = None
        for life in self.lives:
            life.run_pods()

    @rule(which=st.integers(0, 1), what=st.sampled_from(list(ACTS)))
    def somebody_acts(self, which: int, what: str) -> None:
        ACTS[what](self.lives[which])
        self.look_on()

    @rule(which=st.integers(0, 1), turns=st.lists(st.sampled_from(TURNS), min_size=1, max_size=8))
    def they_work(self, which: int, turns: list[str]) -> None:
        self.lives[which].they_work(turns)
        self.look_on()

    @rule(which=st.integers(0, 1), steps=st.integers(1, 8))
    def a_daemon_works(self, which: int, steps: int) -> None:
        """And stops there, frozen."""
        self.lives[which].a_daemon_works(0, steps)
        self.look_on()

    @rule(slots=st.sampled_from(list(SLOTS)), settle=st.booleans())
    def the_machine_reboots(self, slots: str, settle: bool) -> None:
        self.mounted(slots)
        if settle:
            self.both_are_left_alone()
        self.look_on()

    @rule()
    def another_leads(self) -> None:
        for life in self.lives:
            life.another_leads()

    @rule(seconds=st.sampled_from([1, 30, 3700]))
    def time_passes(self, seconds: int) -> None:
        for life in self.lives:
            life.a_while(seconds)

    @rule()
    def both_are_left_alone(self) -> None:
        for _ in range(3):
            for life in self.lives:
                life.settle()
        self.look_on()
        one, other = (life.cluster.etcd.volume for life in self.lives)
        if one is not None and other is not None and one.status.identity and other.status.identity:
            assert not same_hardware(one.status.identity, other.status.identity), "one disk on record twice"

    @rule(lost=st.sampled_from(["journal lost", "etcd saved", "etcd set back", "machine set back"]))
    def both_lose(self, lost: str) -> None:
        for life in self.lives:
            if lost == "journal lost":
                life.the_journal_is_lost(broken=False)
            elif lost == "etcd saved":
                life.etcd_is_saved()
            elif lost == "etcd set back" and life.saved is not None:
                life.etcd_goes_back(forget=True)
        if lost == "machine set back":
            self.mounted("same")
            for life in self.lives:
                life.the_machine_is_restored_from_a_snapshot()
        self.look_on()

    def look_on(self) -> None:
        """The invariants of each, and who is on which disk."""
        for life in self.lives:
            life.a_stop_button_stops()
            life.what_is_shown_has_words()
        on = [{id(at.disk) for at in life.machine.running.values()} for life in self.lives]
        by_hand = {each for life in self.lives for each in life.careless | life.forged}
        both = on[0] & on[1]
        tenancies = {
            at.tenancy for life in self.lives for at in life.machine.running.values() if id(at.disk) in both
        }
        assert not both or tenancies & by_hand, "two tenants on one disk"

    def teardown(self) -> None:
        if hasattr(self, "lives"):
            self.mounted("same")
            self.both_are_left_alone()
