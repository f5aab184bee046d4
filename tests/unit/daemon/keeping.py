"""A keeper for tests, with real processes as its children.

The zygote and its children are real; what they do with a job is written here. The API is a list of what was
asked, and the clock is turned by hand.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import msgspec

from disk_daemon import kernel, zygote
from disk_daemon.children import Child, Children
from disk_daemon.jobs import Ended, Hangs, Job, Message, Record, Surveyed, Tell
from disk_daemon.keeper import Keeper
from disk_daemon.known import User
from disk_daemon.loop import Loop
from tests.unit.daemon.cases import NEXT, OLD, UID, facts
from tidb_volume.value import (
    DiskReport,
    Meta,
    NodeReport,
    Order,
    Presence,
    Source,
    Volume,
    VolumeSpec,
    VolumeStatus,
    Work,
    WorkState,
)

HANGS, CRASHES, WIPES, USED = "/hangs", "/crashes", "/wipes", "/used"
ASKED_BACK = "/asked-back"
"""Its child reads that the data is asked back, and nothing that came since."""
BARRED = "/barred"
"""Its child reads that a person holds it, as long as the file is there whose path follows."""
DROPPED = "/dropped"
"""The server has another order by now."""
SLOW = "/slow"
"""It says how far it is, and then nothing until the file whose path follows is there."""
HELD, BEGUN = "/held", "/begun"
"""A process of an earlier daemon hangs there; its pid follows. With bytes gone by the journal's word."""


def work(job: Job, line: socket.socket) -> None:
    """What a child does here: the disk's path says it."""
    if job.kind == "survey":
        seen_at = kernel.boottime()
        say(line, Surveyed(seen_at=seen_at, report=NodeReport(boot="b", at=int(seen_at * 1000))))
        return
    if job.source.path.startswith(HANGS):
        signal.pause()
    if job.order is not None and job.source.path.startswith(SLOW):
        say(line, Tell(work=Work(order_id=job.order.id, state=WorkState.RUNNING, begun=True, done_files=3)))
        while not os.path.exists(job.source.path.removeprefix(SLOW)):
            time.sleep(0.01)
    holder = job.source.path.removeprefix(HELD).removeprefix(BEGUN)
    if holder.isdigit() and os.path.exists(f"/proc/{holder}"):
        begun = job.source.path.startswith(BEGUN)
        say(line, Hangs(said=f"blkid (pid {holder}) hangs", pids=(int(holder),), begun=begun))
        return
    if job.source.path.startswith(CRASHES):
        os._exit(3)
    made = Ended(
        seen_at=kernel.boottime(),
        facts=facts(device=f"8:{len(job.volume)}"),
        record=Record(handed=OLD, known=True),
    )
    if job.source.path.startswith(USED):
        made = msgspec.structs.replace(made, facts=facts(users=(User(who="loop7 on it", root=""),)))
    if job.order is not None and job.source.path.startswith(ASKED_BACK) and not job.order.withdrawn:
        time.sleep(0.3)
        asked = Work(order_id=job.order.id, state=WorkState.RUNNING, reason="RestoreAsked")
        say(line, msgspec.structs.replace(made, work=asked, until="volume"))
        return
    barred = job.source.path.startswith(BARRED) and os.path.exists(job.source.path.removeprefix(BARRED))
    if job.order is not None and barred:
        held = Work(order_id=job.order.id, state=WorkState.RUNNING, reason="Held", at=str(time.time()))
        say(line, msgspec.structs.replace(made, work=held, until="volume"))
        return
    if job.order is not None and not job.source.path.startswith(DROPPED):
        if job.source.path.startswith(WIPES):
            time.sleep(0.3)
        done = Work(order_id=job.order.id, state=WorkState.DONE)
        made = msgspec.structs.replace(made, work=done, facts=facts(tenancies=(NEXT,), empty=True))
    say(line, made)


def say(line: socket.socket, message: Message) -> None:
    line.send(msgspec.json.encode(message))


class Api:
    """Writes are noted and answered at once; while `down` they fail."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, DiskReport | None, Work | None]] = []
        self.node: NodeReport | None = None
        self.down = False
        self.no_surveys = False

    def live(
        self, volume: str, tenancies: tuple[str, ...], lean: bool, then: Callable[[Any], object]
    ) -> None:
        raise AssertionError("no child here asks")

    def write(
        self, known: Volume, disk: DiskReport | None, work: Work | None, then: Callable[[Any], object]
    ) -> None:
        if self.down:
            then(ConnectionError("down"))
            return
        self.writes.append((known.metadata.name, disk, work))
        then(known)

    def write_node(self, seen: NodeReport, then: Callable[[Any], object]) -> None:
        if self.no_surveys:
            then(ConnectionError("down"))
            return
        self.node = seen
        then(None)


class World:
    """A keeper, its children, and a clock."""

    def __init__(self, does: Callable[[Job, socket.socket], None] = work) -> None:
        self.now = 1000.0
        self.api = Api()
        self.mounts = b""
        self.spawned: list[Job] = []
        self.busiest = 0
        line, pid = zygote.start(does)
        self.loop = Loop(lambda: self.now)
        self.keeper = Keeper(
            self.api, self.loop, clock=lambda: self.now, mount_table=lambda: self.mounts, version="test"
        )
        self.children = Children(line, pid, self.keeper.said, self.keeper.exited)
        self.keeper.use(self.children)
        self._spawn = self.children.spawn
        self.children.spawn = self.spawn  # type: ignore[method-assign]
        self.loop.add(line.fileno(), 1, self.children.reap)

    def spawn(self, job: Job, now: float, patience_s: float) -> Child:
        self.spawned.append(job)
        made = self._spawn(job, now, patience_s)
        orders = [each for each in self.children.all if each.job.kind == "order"]
        self.busiest = max(self.busiest, len(orders))
        return made

    def until(self, what: str, look: Callable[[], object]) -> None:
        """Run the loop until something is so; the hand-turned clock stands still."""
        end, seen = time.monotonic() + 20, False

        def stop() -> float:
            nonlocal seen
            # What was so once counts: the loop's last turn may begin something new.
            seen = seen or bool(look())
            if seen or time.monotonic() > end:
                self.loop.stop()
            return min(self.keeper.next_at(), self.now + 0.02)

        self.loop._running = True
        self.loop.run(stop, self.keeper.on_time)
        assert seen, what

    def idle(self) -> bool:
        return not self.children.all

    def end(self) -> None:
        self.children.end()
        self.loop.close()

    def last(self, name: str) -> tuple[DiskReport | None, Work | None]:
        disk = next((d for n, d, _ in reversed(self.api.writes) if n == name and d), None)
        work_ = next((w for n, _, w in reversed(self.api.writes) if n == name and w), None)
        return disk, work_


def listed(name: str, path: str, given: Order | None = None, **status: Any) -> Volume:
    spec = VolumeSpec(node_name="n", pool="p", source=Source(path=path), order=given)
    committed = given.id if given else ""
    return Volume(
        metadata=Meta(name=name, uid=UID),
        spec=spec,
        status=VolumeStatus(**{"committed": committed, **status}),
    )


def is_done(work: Work | None) -> bool:
    return work is not None and work.state is WorkState.DONE


def presence_of(world: World, name: str) -> Presence | None:
    disk = world.last(name)[0]
    return disk.presence if disk is not None else None


def at_work(world: World) -> list[str]:
    """Whose order has a child."""
    return [each.job.volume for each in world.children.all if each.job.kind == "order"]
