"""`make chaos`: tenants come and go on real nodes while everything around them fails, and no secret gets out.

Each tenant writes a secret of its own over its whole volume; each next one searches all of its volume for any
other secret before it writes. Meanwhile programs, machines, etcd and hands go wrong (storms.py), and once
etcd is set back. In the end all is mended, every tenant leaves, people answer what is asked, and every disk
must come on offer again.

The last line is `rounds=… kills=… leaks=… lost=…`; it fails where a secret was read by another, a tenant's
own was gone while its claim was there, or a disk did not come to rest.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.chaos.storms import STORMS, Undo
from tests.chaos.tenants import Judged, Tenant, pick
from tests.cluster import Cluster, ClusterError
from tests.e2e import deployed
from tests.e2e.lab import NAMESPACE, Lab
from tidb_volume.kube import kinds
from tidb_volume.kube.transport import ApiError, NoAnswer
from tidb_volume.value import Phase, Volume

TENANTS = 5
POOLS = ("chaos-path", "chaos-fs", "chaos-raw")
DEVICES = (("chaos-fs", "fsType: ext4", "96M"), ("chaos-raw", "volumeMode: Block", "48M"))
EVERY_S = 3.0
"""Between two storms."""
LASTS_S = (1.0, 25.0)
"""For how long what is frozen, killed or off stays so; longer than the controller's lease now and then."""
PATIENCE_S = 8.0
"""How long anybody waits for an answer while it storms."""
SET_BACK_S = 120.0
"""How long the API server may take to answer after etcd was set back."""
REST_S = 600.0
"""For all to come to rest in the end."""


class Chaos:
    """One run on one cluster."""

    def __init__(self, lab: Lab, of: random.Random, folder: Path) -> None:
        self.lab, self.cluster, self.of, self.folder = lab, lab.cluster, of, folder
        self.tenants: list[Tenant] = []
        self.judged = Judged()
        self.undo: list[tuple[float, Undo]] = []
        self.did: Counter[str] = Counter()
        self.kills = self.rounds = self.restores = 0
        self.numbers = 0
        self.fstabs: dict[str, dict[str, str]] = {}
        """How each node mounts its disks, but for a storm."""

    def list_disks(self) -> None:
        """Two folders, a device with a file system and a raw one on each node, a pool for each kind."""
        text = "pools:\n" + "".join(f"  {pool}: {{onRelease: wipe, wipeAfter: 0s}}\n" for pool in POOLS)
        text += "nodes:\n"
        for node in self.cluster.nodes:
            text += f"  {node.name}:\n"
            for number in (1, 2):
                mount = f"{self.lab.data}/disk{number}"
                self.lab.path_disk(node, mount)
                text += f"  - {{path: {mount}, pool: chaos-path}}\n"
            for pool, shape, size in DEVICES:
                disk = node.add_disk(pool, size=size, raw=True)
                text += f"  - {{device: {disk.by_id}, pool: {pool}, {shape}}}\n"
        self.lab.inventory("chaos", text)
        self.fstabs = {node.name: node.fstab for node in self.cluster.nodes}

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
                self.tenants_go_on()
            time.sleep(self.of.uniform(0.2, EVERY_S))
        self.mend()
        self.cluster.patience_s = calm

    def storm(self) -> None:
        """One thing goes wrong."""
        chosen = self.of.choices(STORMS, [each.weight for each in STORMS])[0]

        def do() -> None:
            undo = chosen.does(self.cluster, self.of)
            if undo is not None:
                self.undo.append((time.monotonic() + self.of.uniform(*LASTS_S), undo))

        if self.tried(do):
            self.did[chosen.name] += 1
            self.kills += chosen.kills

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
            for program in ("disk-daemon", "volume-controller"):
                node.thaw(f"/usr/local/bin/{program}")
        for node in self.cluster.nodes:
            node.wait_ready(180)

    def set_back(self) -> bool:
        """etcd is restored from its snapshot, and our programs begin anew, as they have to."""
        self.cluster.etcd_restore(self.folder / "etcd")
        words = ("-n", NAMESPACE, "delete", "pod", "--all", "--force", "--wait=false")
        self.cluster.kubectl(*words, timeout=SET_BACK_S)
        path = "jsonpath={range .items[?(@.spec.volumeName)]}{.metadata.namespace} {end}"
        bound = set(self.cluster.kubectl("get", "pvc", "-A", "-o", path, timeout=SET_BACK_S).split())
        for tenant in self.tenants:
            # Its claim is younger than the snapshot, was not bound in it, or had been deleted and is back.
            if tenant.name not in bound or tenant.ended:
                tenant.ended = True
                self.tried(tenant.end)
        self.restores += 1
        return True

    def tenants_go_on(self) -> None:
        """One begins, one leaves, or one is started anew."""
        alive = [each for each in self.tenants if not each.ended]
        if len(alive) < TENANTS:
            self.numbers += 1
            pool = self.of.choice(POOLS)
            name = f"t{self.numbers}-{self.lab.tag}"
            tenant = Tenant(self.cluster, name, pool, block=pool == "chaos-raw")
            self.tenants.append(tenant)
            self.tried(tenant.begin)
            return
        for each in alive:
            self.tried(lambda each=each: self.judged.judge(each, self.cluster.nodes))  # type: ignore[misc]
            if not each.wrote:
                self.tried(each.begin)  # the call before may have been in vain
        tenant_or_none = pick(self.of, self.tenants)
        if tenant_or_none is None:
            return
        if self.of.random() < 0.5:
            self.tried(tenant_or_none.restart)
        elif self.tried(tenant_or_none.end):
            self.rounds += 1

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
        """All tenants come back to their data, then leave; every disk has to be on offer. What was not so."""
        wrong = self._all_are_back()
        for tenant in self.tenants:
            tenant.end()
        self.cluster.kubectl("patch", "tvf", "fleet", "--type=merge", '--patch={"spec":{"paused":false}}')
        until = time.monotonic() + REST_S
        while (left := self._not_on_offer()) and time.monotonic() < until:
            for volume in left:
                self.tried(lambda volume=volume: self._answer(volume))  # type: ignore[misc]
            time.sleep(1)
        return wrong + [f"{each.metadata.name}: {each.status.state} {each.status.reason}" for each in left]

    def _all_are_back(self) -> list[str]:
        """Who has data. One that never ran may wait for a disk about which a person is asked, or have been
        bound by Kubernetes to an offer out of the restored etcd, whose tenancy is no more."""
        until = time.monotonic() + REST_S
        alive = [each for each in self.tenants if each.wrote and not each.ended]
        while time.monotonic() < until:
            for each in alive:
                self.judged.judge(each, self.cluster.nodes)
            waiting = [each.name for each in alive if not self._runs(each)]
            if not waiting:
                return []
            time.sleep(1)
        return [f"{name}: its pod does not run" for name in waiting]

    def _runs(self, tenant: Tenant) -> bool:
        path = "jsonpath={.status.containerStatuses[0].state.running.startedAt}"
        words = ("-n", tenant.name, "get", "pod", "db-0", "--ignore-not-found", "-o", path)
        return bool(self.cluster.kubectl(*words))

    def _not_on_offer(self) -> list[Volume]:
        volumes, _ = self.lab.api.list(kinds.TIDB_VOLUME)
        listed = 4 * len(self.cluster.nodes)
        assert len(volumes) <= listed
        return [each for each in volumes if each.status.phase is not Phase.AVAILABLE]

    def _answer(self, volume: Volume) -> None:
        """Every owner has left, so all that is asked about may go."""
        name, question = volume.metadata.name, volume.status.question
        for pv in self.lab.pvs(name):
            if pv.spec.persistent_volume_reclaim_policy != "Delete":
                self.lab.set_policy(pv.metadata.name, "Delete")
        if question is None:
            return
        answers = {"wipeNow": {"question": question.id}, "adopt": {"question": question.id, "action": "Wipe"}}
        self.lab.patch("tv", name, {"spec": {"admin": {**answers, "restore": None}}})


def main() -> int:
    """Exit code 1 where a secret got out, data was lost, or a disk did not come to rest."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long it storms")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="of what goes wrong, and when")
    given = parser.parse_args()
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)

    say(f"seed {given.seed}: a cluster of three nodes")
    with (
        tempfile.TemporaryDirectory(prefix="tidb-volume-chaos-") as folder,
        Cluster.up(f"chaos-{os.getpid()}", nodes=3, path_disks=0) as cluster,
    ):
        deployed.deploy(cluster, say)
        with closing(Lab(cluster)) as lab:
            chaos = Chaos(lab, random.Random(given.seed), Path(folder))
            chaos.list_disks()
            say(f"storms for {given.seconds:.0f} s")
            chaos.run(given.seconds)
            for name, times in sorted(chaos.did.items()):
                say(f"{times:5d} times: {name}")
            say("all is mended; tenants come back, leave, and every disk comes on offer")
            wrong = chaos.come_to_rest()
            for tenant in chaos.tenants:
                chaos.judged.judge(tenant, cluster.nodes)
            found = chaos.judged
            for each in (
                *sorted(found.leaks),
                *(f"{name} lost its data" for name in sorted(found.losses)),
                *wrong,
            ):
                say(each)
            print(
                f"rounds={chaos.rounds} tenants={len(chaos.tenants)} kills={chaos.kills}"
                f" restores={chaos.restores} leaks={len(found.leaks)} lost={len(found.losses)}"
                f" stuck={len(wrong)} seed={given.seed} seconds={time.monotonic() - begun:.0f}"
            )
            return int(bool(found.leaks or found.losses or wrong))


if __name__ == "__main__":
    sys.exit(main())
