"""`make chaos`: tenants come and go on real nodes while everything around them fails, and no secret gets out.

Each tenant writes a secret of its own over its volume and reads it again and again; each next one searches
all of its volume for any other secret before it writes. Meanwhile programs, machines, etcd and hands go wrong
(storms.py), and once etcd is set back. In the end all is mended, every tenant's pod is started anew and has
to find all that it wrote, every tenant leaves, people answer what is asked, every disk must come on offer
again, and is searched.

The last line is `rounds=… kills=… leaks=… lost=…`; it fails where a secret was found by another, anything of
a tenant's own was gone while its claim was there, a disk did not come to rest, or too little of all this
happened (judge.py). `--self-test` does the damage itself, and fails where any of it goes unnoticed.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.chaos import judge, selftest
from tests.chaos.run import POOLS, Chaos
from tests.chaos.storms import STORMS
from tests.cluster import Cluster
from tests.e2e import deployed
from tests.e2e.lab import Lab


def main() -> int:
    """Exit code 1 where anything of the above went wrong."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long it storms")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="of what goes wrong, and when")
    parser.add_argument("--self-test", action="store_true", help="no storms: whether damage would be noticed")
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
            say("the first tenants write")
            for each in chaos.begin_in_calm():
                say(f"{each.name} of {each.pool} has not written yet")
            if given.self_test:
                return selftest.run(chaos, say)
            say(f"storms for {given.seconds:.0f} s")
            chaos.run(given.seconds)
            for name, times in sorted(chaos.did.items()):
                say(f"{times:5d} times: {name}")
            say("all is mended; tenants come back, leave, every disk comes on offer and is searched")
            stuck = chaos.come_to_rest()
            chaos.judge()
            ran, found = chaos.ran(given.seconds), chaos.judged
            short = judge.floors(ran, POOLS, [storm.name for storm in STORMS], len(chaos.listed))
            told, code = judge.outcome(found, stuck, short)
            for line in told:
                say(line)
            print(
                f"rounds={ran.rounds} tenants={len(chaos.tenants)} wrote={len(ran.wrote)} back={ran.back}"
                f" looks={ran.looks} kills={ran.kills} storms={sum(ran.did.values())}"
                f" restores={ran.restores} searched={ran.searched}"
                f" leaks={len(found.leaks)} lost={len(found.losses)} stuck={len(stuck)} short={len(short)}"
                f" seed={given.seed} seconds={time.monotonic() - begun:.0f}"
            )
            return code


if __name__ == "__main__":
    sys.exit(main())
