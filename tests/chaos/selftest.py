"""`make chaos ARGS=--self-test`: damage is done by hand on the real cluster; each has to be noticed.

What a run says of itself is worth as much as what it would notice: a part of a folder gone and a part of a
raw device zeroed below a running pod, another's secret in a volume and in names on it, a record gone, and a
secret on disks that are on offer.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.chaos import judge
from tests.chaos.run import POOLS, Chaos, Listed
from tests.chaos.tenants import Tenant
from tests.cluster import Node
from tidb_volume import names
from tidb_volume.kube import kinds

NOTICE_S = 120.0


def run(chaos: Chaos, say: Callable[[str], None]) -> int:
    """Exit code 1 where any damage goes unnoticed."""
    noticed: dict[str, bool] = {}
    tenants = {each.pool: each for each in reversed(chaos.tenants) if each.wrote}
    missing = set(POOLS) - set(tenants)
    assert not missing, f"no tenant of {missing} has written"

    node, folder, _ = _volume(chaos, tenants["chaos-path"])
    node.exec(["rm", f"{folder}/small-17"])
    _, _, raw = _volume(chaos, tenants["chaos-raw"])
    _dd(raw, "if=/dev/zero", "seek=20", "count=1")
    node, folder, _ = _volume(chaos, tenants["chaos-fs"])
    node.exec(["touch", f"{folder}/of.S3CRET-a-name"])
    node.exec(["ln", "-s", "S3CRET-a-target", f"{folder}/planted"])
    tenants["chaos-fs"].restart()
    until = time.monotonic() + NOTICE_S

    def found() -> dict[str, bool]:
        chaos.judge()
        leaks = " ".join(chaos.judged.leaks)
        return {
            "a file gone below a running pod": tenants["chaos-path"].name in chaos.judged.losses,
            "zeroes on a raw device below a running pod": tenants["chaos-raw"].name in chaos.judged.losses,
            "a secret in a name": "S3CRET-a-name" in leaks,
            "a secret in a link": "S3CRET-a-target" in leaks,
        }

    while not all((noticed := found()).values()) and time.monotonic() < until:
        time.sleep(1)
    noticed["nothing of those that were left alone"] = not (
        {each.name for each in chaos.tenants} - {tenants["chaos-path"].name, tenants["chaos-raw"].name}
    ) & set(chaos.judged.losses)

    for tenant in chaos.tenants:
        tenant.end()
    stuck = chaos.rest()
    noticed["disks come to rest"] = not stuck
    noticed["they are clean then"] = not any("still holds" in each for each in chaos.judged.leaks)

    for listed in chaos.listed.values():
        if listed.pool == "chaos-raw":
            listed.node.exec(
                [
                    "sh",
                    "-c",
                    f"echo S3CRET-on-offer | dd of={listed.disk.device} bs=512 seek=50001 conv=fsync",
                ]
            )
        elif listed.folder:
            listed.node.exec(["mkdir", f"{listed.folder}/.tidb-volume/S3CRET-on-offer"])
    chaos.judged.leaks.clear()
    chaos.rest()
    planted = [each for each in chaos.listed.values() if each.pool == "chaos-raw" or each.folder]
    noticed["secrets on disks on offer"] = len(chaos.judged.leaks) == len(planted)

    volumes, _ = chaos.lab.api.list(kinds.TIDB_VOLUME)
    pvs, _ = chaos.lab.api.list(kinds.PV, labels=names.LABEL_DISK)
    noticed["a record gone"] = bool(judge.not_at_rest(chaos.listed, volumes[1:], pvs))

    for what, seen in noticed.items():
        say(f"{'noticed' if seen else 'NOT NOTICED'}: {what}")
    for line in (*stuck, *sorted(chaos.judged.leaks), *chaos.judged.losses.values()):
        say(line)
    print(f"checked={len(noticed)} noticed={sum(noticed.values())}")
    return int(not all(noticed.values()))


def _volume(chaos: Chaos, tenant: Tenant) -> tuple[Node, str, Listed]:
    """The node, the path and the disk of a tenant's volume."""
    pvs, _ = chaos.lab.api.list(kinds.PV, labels=names.LABEL_DISK)
    for pv in pvs:
        if pv.spec.claim_ref is not None and pv.spec.claim_ref.namespace == tenant.name:
            assert pv.spec.local is not None
            listed = chaos.listed[pv.metadata.labels[names.LABEL_DISK]]
            return listed.node, pv.spec.local.path, listed
    raise AssertionError(f"{tenant.name} has no volume")


def _dd(listed: Listed, *words: str) -> None:
    where = (f"of={listed.disk.device}", "bs=1M", "conv=notrunc,fsync")
    listed.node.exec(["dd", *words, *where])
