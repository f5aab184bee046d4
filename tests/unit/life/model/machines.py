"""A machine with two daemons, whose children stop before any change, and with disks that come and go."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from disk_daemon.known import Broken, Entry
from tests.unit.life.machine import Daemon
from tests.unit.life.model.controllers import Controllers
from tidb_volume.identity import hardware_key


class Machines(Controllers):
    """What happens on the node."""

    @rule(number=st.integers(0, 1))
    def daemon_obeys(self, number: int) -> None:
        self.node.obey(self.daemons[number])

    @rule(number=st.integers(0, 1), steps=st.integers(1, 12))
    def a_daemon_works(self, number: int, steps: int) -> None:
        daemon = self.daemons[number]
        self.node.begin(daemon)
        for _ in range(steps):
            if not self.node.advance(daemon):
                return

    @rule(number=st.integers(0, 1), steps=st.integers(1, 9))
    def a_disk_says_no_for_once(self, number: int, steps: int) -> None:
        """That which is worked on, or that of the journal: the child's next system call fails."""
        daemon = self.daemons[number]
        self.node.begin(daemon)
        for _ in range(steps):
            self.node.advance(daemon)
        if daemon.child is not None:
            daemon.child.fail("EIO")
            self.node.advance(daemon)

    @rule(number=st.integers(0, 1))
    def a_daemon_looks(self, number: int) -> None:
        self.node.observe(self.daemons[number])

    @precondition(lambda self: self.daemons[0].letters or self.daemons[1].letters)
    @rule(number=st.integers(0, 1), last=st.booleans())
    def a_daemon_writes(self, number: int, last: bool) -> None:
        letters = self.daemons[number].letters or self.daemons[1 - number].letters
        if letters:
            self.node.write(letters.pop(-1 if last else 0))

    @rule(number=st.integers(0, 1))
    def a_daemon_dies(self, number: int) -> None:
        child = self.daemons[number].child
        if child is not None:
            child.steps.close()
        self.daemons[number] = Daemon()

    @rule(how=st.sampled_from(["same", "unmounted", "swapped"]), steps=st.integers(0, 12))
    def the_machine_reboots(self, how: str, steps: int = 0) -> None:
        """steps: so far its daemon comes with the order that it finds."""
        for number in (0, 1):
            self.a_daemon_dies(number)
        self.machine.reboot()
        self.machine.mounted = how != "unmounted"
        self.machine.slot = self.disks[1] if how == "swapped" else self.disks[0]
        for disk in self.disks:
            disk.lock = None
        self.run_pods()
        if steps:
            self.a_daemon_works(0, steps)

    @rule(which=st.integers(0, 1))
    def a_disk_is_formatted_by_hand(self, which: int) -> None:
        """mkfs refuses a disk that anybody has mounted, so it happens with nobody there."""
        disk = self.disks[which]
        if disk.lock is None and all(at.disk is not disk for at in self.machine.running.values()):
            disk.reformat(f"fs-{next(self.cluster.ids)}")

    @rule(broken=st.booleans())
    def the_journal_is_lost(self, broken: bool) -> None:
        self.witnessed.clear()
        if not broken:
            self.no_journal_knows_what_was_given()
        damaged = {hardware_key(disk.identity): Broken(why="damaged") for disk in self.disks}
        self.machine.journals.clear()
        self.machine.journals.update(damaged if broken else {})

    @rule()
    def the_machine_is_installed_anew(self) -> None:
        """The disks stay; the daemon's records were on the one that did not."""
        self.the_machine_reboots("same")
        self.the_journal_is_lost(broken=False)

    @rule()
    def the_machine_is_restored_from_a_snapshot(self) -> None:
        """Of the disk that it runs from, with the daemon's records; its other disks are as they were."""
        self.the_machine_reboots("same")
        self.machine.journals.clear()
        self.machine.journals.update(self.saved_journals)
        for entry in self.machine.journals.values():
            if isinstance(entry, Entry) and entry.order is not None and not entry.order.begun:
                self.unproven.add(entry.order.ends)
        self.witnessed.clear()
        self.no_journal_knows_what_was_given()

    def no_journal_knows_what_was_given(self) -> None:
        self.unwitnessed |= {tenancy for tenancy, _ in self.granted}

    @rule(there=st.booleans())
    def the_daemons_reach_the_api(self, there: bool) -> None:
        self.node.unreadable = "" if there else "no route to host"

    @rule(hangs=st.booleans())
    def the_kubelet_hangs(self, hangs: bool) -> None:
        """What it should stop goes on, also when the pod is gone from the API."""
        self.node.kubelet_hangs = hangs

    @rule(busy=st.booleans())
    def a_node_is_not_ready(self, busy: bool) -> None:
        self.cluster.node_is(ready=not busy)

    @rule(out=st.booleans())
    def a_node_is_out_of_service(self, out: bool) -> None:
        """So somebody says: the machine may well run on, with all that is on it. A leader is told of its
        return before it can be lost once more."""
        was, self.lost_at = self.lost_at, (self.lost_at or self.cluster.now) if out else None
        self.cluster.out_of_service(out)
        if was is not None and not out:
            self.leader_sees_and_acts(2)

    @rule(ready=st.booleans())
    def the_kubelet_says_of_the_daemon(self, ready: bool) -> None:
        """Readiness comes late: the daemon itself may be at work all the same."""
        self.cluster.daemon_is(ready=ready)
