"""One run of `make chaos`: tenants begin in calm, it storms, all is mended, and everything is asked."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.chaos import judge
from tests.chaos.judge import Judged
from tests.chaos.storms import CONTROLLER, DAEMON, Ground, Storm, Undo, draw, put_back, thaw_control_plane
from tests.chaos.tenants import Tenant, pick, reports, search
from tests.cluster import ClusterError, Disk, Node
from tests.e2e.lab import NAMESPACE, Lab
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.kube.transport import ApiError, NoAnswer
from tidb_volume.value import Source

TENANTS = 5
PATH_POOL = "chaos-path"
DEVICES = (
    ("chaos-fs", "fsType: ext4", "96M"),
    ("chaos-zero", "fsType: ext4", "96M"),
    ("chaos-raw", "volumeMode: Block", "48M"),
)
POOLS = (PATH_POOL, *(pool for pool, _, _ in DEVICES))
SETTINGS = {"chaos-zero": "wipe: zero, "}
CLEAN_TO_THE_LAST_BYTE = {"chaos-zero", "chaos-raw"}
"""Of these nothing may be left on the disk itself. The other pools' methods promise less (docs/security.md):
that nothing of it is seen through the file system."""
LOOP_MAJOR = 7
EVERY_S = 3.0
"""Between two storms."""
LASTS_S = (1.0, 25.0)
"""For how long what is frozen, killed or off stays so; longer than the controller's lease now and then."""
PATIENCE_S = 8.0
"""How long anybody waits for an answer while it storms."""
LOOKED_S = 30.0
"""In so long a new leader leads, and has heard what each daemon sees."""
SET_BACK_S = 120.0
"""How long the API server may take to answer after etcd was set back."""
BEGIN_S = 180.0
"""For tenants to begin in calm weather."""
REST_S = 600.0
"""For all to come to rest in the end."""


class Listed(NamedTuple):
    """One disk of the inventory. folder: where the admin mounted it; else our daemon does, or nobody."""

    node: Node
    disk: Disk
    pool: str
    folder: str = ""


class Chaos:
    """One run on one cluster."""

    def __init__(self, lab: Lab, of: random.Random, folder: Path) -> None:
        self.lab, self.cluster, self.of, self.folder = lab, lab.cluster, of, folder
        self.listed: dict[str, Listed] = {}
        """By the name of its TidbVolume."""
        self.tenants: list[Tenant] = []
        self.judged = Judged()
        self.deck: list[Storm] = []
        self.undo: list[tuple[float, Undo]] = []
        self.did: Counter[str] = Counter()
        self.kills = self.rounds = self.restores = self.back = self.searched = 0
        self.fstabs: dict[str, dict[str, str]] = {}
        """How each node mounts its disks, but for a storm."""

    def list_disks(self) -> None:
        """Two folders, two devices with a file system and a raw one on each node, a pool for each kind."""
        text = "pools:\n"
        for pool in POOLS:
            text += f"  {pool}: {{{SETTINGS.get(pool, '')}onRelease: wipe, wipeAfter: 0s}}\n"
        text += "nodes:\n"
        for node in self.cluster.nodes:
            text += f"  {node.name}:\n"
            for number in (1, 2):
                mount = f"{self.lab.data}/disk{number}"
                disk, name = self.lab.path_disk(node, mount)
                self.listed[name] = Listed(node, disk, PATH_POOL, mount)
                text += f"  - {{path: {mount}, pool: {PATH_POOL}}}\n"
            for pool, shape, size in DEVICES:
                disk = node.add_disk(pool, size=size, raw=True)
                name = names.volume_name(node.name, Source(device=disk.by_id))
                self.listed[name] = Listed(node, disk, pool)
                text += f"  - {{device: {disk.by_id}, pool: {pool}, {shape}}}\n"
        self.lab.inventory("chaos", text)
        self.fstabs = {node.name: node.fstab for node in self.cluster.nodes}

    def ran(self, seconds: float) -> judge.Ran:
        """What happened, for `judge.floors`."""
        wrote = [each.pool for each in self.tenants if each.wrote]
        return judge.Ran(
            seconds,
            wrote,
            self.did,
            rounds=self.rounds,
            kills=self.kills,
            restores=self.restores,
            looks=self.judged.looks,
            back=self.back,
            searched=self.searched,
        )

    # --- tenants ---

    def begin(self) -> bool:
        """A new tenant, each pool in its turn; whether anybody heard."""
        number = len(self.tenants) + 1
        pool = POOLS[number % len(POOLS)]
        tenant = Tenant(self.cluster, f"t{number}-{self.lab.tag}", pool, block=pool == "chaos-raw")
        self.tenants.append(tenant)
        return self.tried(tenant.begin)

    def begin_in_calm(self) -> list[Tenant]:
        """As many as there may be, one of each kind at least. Those that do not write in time."""
        while len([each for each in self.tenants if each.over is None]) < TENANTS:
            self.begin()
        until = time.monotonic() + BEGIN_S
        asked = [each for each in self.tenants if each.over is None]
        while (waiting := [each for each in asked if not each.wrote]) and time.monotonic() < until:
            self.judge()
            time.sleep(1)
        return waiting

    def judge(self) -> None:
        """Take in what all tenants have reported so far."""
        found = reports(self.cluster.nodes)
        for each in self.tenants:
            said = self.judged.judge(each.name, found.get(each.name, []), each.over)
            each.wrote |= said.wrote
            each.begun = max(each.begun, said.begun)

    # --- while it storms ---

    def run(self, seconds: float) -> None:
        """Storms and tenants, until the time is up; etcd is saved at a third, and set back at two."""
        begun = time.monotonic()
        calm, self.cluster.patience_s = self.cluster.patience_s, PATIENCE_S
        saved, restored = False, False
        while (passed := time.monotonic() - begun) < seconds:
            if not saved and passed > seconds / 3:
                saved = self.tried(lambda: self.cluster.etcd_snapshot(self.folder / "etcd"))
            if saved and not restored and passed > seconds * 2 / 3:
                self.mend()
                restored = self.set_back()
            self.storm()
            for _ in range(3):
                if not self.tenants_go_on():
                    break  # nobody answers: the next storm rather than waiting two more times
            time.sleep(self.of.uniform(0.2, EVERY_S))
        self.mend()
        self.cluster.patience_s = calm

    def storm(self) -> None:
        """One thing goes wrong."""
        chosen = draw(self.deck, self.of)

        def do() -> None:
            undo = chosen.does(Ground(self.cluster, self.of, self.tenants))
            if undo is not None:
                self.undo.append((time.monotonic() + self.of.uniform(*LASTS_S), undo))

        if self.tried(do):
            self.did[chosen.name] += 1
            self.kills += chosen.kills
        else:
            put_back(self.deck, chosen, self.of)

    def mend_what_is_due(self) -> None:
        """End what has lasted long enough."""
        now = time.monotonic()
        due = [undo for until, undo in self.undo if until <= now]
        self.undo = [(until, undo) for until, undo in self.undo if until > now]
        for undo in due:
            if not self._could(undo):
                self.undo.append((now + 2, undo))

    def mend(self) -> None:
        """End all that is wrong, whatever it takes, and wait for the API server."""
        thaw_control_plane(self.cluster)
        until = time.monotonic() + 180
        while self.undo:
            assert time.monotonic() < until, "what was broken cannot be mended"
            self.undo = [(0.0, undo) for _, undo in self.undo]
            self.mend_what_is_due()
        for part in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            self.cluster.start(part)
        for node in self.cluster.nodes:
            # A storm that failed half-way, or met another one, left no word of how to end it.
            if node.running and node.fstab != self.fstabs[node.name]:
                node.power_off()
            node.set_fstab(self.fstabs[node.name])
            node.start(wait=False)
            for program in (DAEMON, CONTROLLER, self.cluster.record.programs["kubelet"]):
                node.thaw(program)
        for node in self.cluster.nodes:
            node.wait_ready(180)

    def set_back(self) -> bool:
        """etcd is restored from its snapshot, and our programs begin anew, as they have to."""
        moment = time.time()
        self.cluster.etcd_restore(self.folder / "etcd")
        words = ("-n", NAMESPACE, "delete", "pod", "--all", "--force", "--wait=false")
        self.cluster.kubectl(*words, timeout=SET_BACK_S)
        path = "jsonpath={range .items[?(@.spec.volumeName)]}{.metadata.namespace} {end}"
        bound = set(self.cluster.kubectl("get", "pvc", "-A", "-o", path, timeout=SET_BACK_S).split())
        for tenant in self.tenants:
            # Its claim is younger than the snapshot, was not bound in it, or had been deleted and is back.
            if tenant.name not in bound or tenant.over is not None:
                tenant.is_over(moment)
                tenant.left = False
        # What the snapshot has on offer may have been used since: nobody claims it before it is taken back.
        for program in ("deployment/volume-controller", "daemonset/disk-daemon"):
            rollout = ("-n", NAMESPACE, "rollout", "status", program, f"--timeout={SET_BACK_S:.0f}s")
            self.cluster.kubectl(*rollout, timeout=SET_BACK_S)
        time.sleep(LOOKED_S)
        self.restores += 1
        return True

    def tenants_go_on(self) -> bool:
        """One begins, one leaves, or one is started anew; whether that could be done."""
        now = time.monotonic()
        for each in self.tenants:
            if each.over is not None and not each.left and each.stays_until < now:
                self.tried(each.end)
        staying = [each for each in self.tenants if each.over is None]
        if len(staying) < TENANTS:
            return self.begin()
        self.tried(self.judge)
        for each in staying:
            if not each.wrote:
                self.tried(each.begin)  # the call before may have been in vain
        tenant = pick(self.of, self.tenants)
        if tenant is None:
            return True
        if self.of.random() < 0.5:
            return self.tried(tenant.restart)
        ended = self.tried(tenant.end)
        self.rounds += ended
        return ended

    def tried(self, does: Callable[[], object]) -> bool:
        """Whether it could be done: in a storm nothing is certain. What has lasted long enough ends before,
        so that nothing lasts for as long as others wait for an answer."""
        self.mend_what_is_due()
        return self._could(does)

    def _could(self, does: Callable[[], object]) -> bool:
        try:
            does()
        except (ClusterError, ApiError, NoAnswer, OSError):
            return False
        return True

    # --- and then ---

    def come_to_rest(self) -> list[str]:
        """All tenants come back to their data, then leave; every disk has to be on offer, and bears no
        secret. What was not so."""
        self.lab.patch("tvf", "fleet", {"spec": {"paused": False}})
        if not any(each.alive for each in self.tenants):
            self.begin_in_calm()
        wrong = self._all_are_back()
        for tenant in self.tenants:
            tenant.end()
        return wrong + self.rest()

    def rest(self) -> list[str]:
        """People answer what is asked, until every disk is on offer; then each is searched."""
        until = time.monotonic() + REST_S
        while (left := self._not_at_rest()) and time.monotonic() < until:
            for name in left:
                self.tried(lambda name=name: self._answer(name))  # type: ignore[misc]
            time.sleep(1)
        wrong = [f"{name} {why}" for name, why in left.items()]
        for name, listed in self.listed.items():
            if name in left:
                continue
            try:
                found = self._secrets(listed)
            except ClusterError as error:
                wrong.append(f"{name} cannot be searched: {error}")
            else:
                self.judged.leaks |= {f"{name} still holds {each}" for each in found}
                self.searched += 1
        return wrong

    def _all_are_back(self) -> list[str]:
        """Every pod is started anew, and has to find all of its own.

        Who has data: one that never ran may wait for a disk about which a person is asked, or have been bound
        by Kubernetes to an offer out of the restored etcd, whose tenancy is no more.
        """
        self.judge()
        waiting = {each.name: each for each in self.tenants if each.alive}
        moments = {}
        for each in waiting.values():
            moments[each.name] = int(time.time())
            each.restart()
        until = time.monotonic() + REST_S
        while waiting and time.monotonic() < until:
            time.sleep(1)
            self.judge()
            back = {name for name, each in waiting.items() if each.begun > moments[name] and self._runs(each)}
            # It has told of its loss, and goes on with what it wrote anew.
            waiting = {
                name: each
                for name, each in waiting.items()
                if name not in back and name not in self.judged.losses
            }
            self.back += len(back)
        return [f"{name}: its pod does not come back" for name in waiting]

    def _runs(self, tenant: Tenant) -> bool:
        path = "jsonpath={.status.containerStatuses[0].state.running.startedAt}"
        words = ("-n", tenant.name, "get", "pod", "db-0", "--ignore-not-found", "-o", path)
        return bool(self.cluster.kubectl(*words))

    def _not_at_rest(self) -> dict[str, str]:
        volumes, _ = self.lab.api.list(kinds.TIDB_VOLUME)
        pvs, _ = self.lab.api.list(kinds.PV, labels=names.LABEL_DISK)
        return judge.not_at_rest(self.listed, volumes, pvs)

    def _answer(self, name: str) -> None:
        """Every owner has left, so all that is asked about may go."""
        for pv in self.lab.pvs(name):
            if pv.spec.persistent_volume_reclaim_policy != "Delete":
                self.lab.set_policy(pv.metadata.name, "Delete")
        volume = self.lab.volume(name)
        if volume is None or volume.status.question is None:
            return
        question = volume.status.question.id
        said = {"question": question, "by": self.lab.api.whoami()}
        answers = {"wipeNow": said, "adopt": {**said, "action": "Wipe"}}
        self.lab.patch("tv", name, {"spec": {"admin": {**answers, "restore": None}}})

    def _secrets(self, listed: Listed) -> set[str]:
        """What the next owner could read, and where the method promises it, whoever reads the disk itself."""
        found: set[str] = set()
        if listed.pool in CLEAN_TO_THE_LAST_BYTE:
            found |= judge.secrets_in(_chunks(listed.disk.image))
        if listed.pool != "chaos-raw":
            folder = listed.folder or self._mounted_on(listed)
            found |= set(search(listed.node, folder))
        return found

    def _mounted_on(self, listed: Listed) -> str:
        """By the device's number: what a daemon mounted by an open descriptor is shown under its name."""
        table = listed.node.exec(["cat", "/proc/self/mountinfo"])
        for words in map(str.split, table.splitlines()):
            if words[2:4] == [f"{LOOP_MAJOR}:{listed.disk.loop}", "/"]:
                return words[4]
        raise ClusterError(f"{listed.disk.device} is mounted nowhere on {listed.node.name}:\n{table}")


def _chunks(image: Path) -> Iterator[bytes]:
    with image.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
