"""Pool settings: values, defaults, what fits which disk, and what this version does not obey yet."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import accepted, errors
from tidb_volume.inventory.model import Kind, PoolSettings
from tidb_volume.inventory.policy import FITTING, fits
from tidb_volume.inventory.settings import PER_MOUNT


def codes_of(settings: str) -> list[str]:
    return [problem.code for problem in errors(f"pools: {{tikv: {{onRelease: wipe, {settings}}}}}")]


def test_a_pool_that_says_only_what_it_must_has_the_documented_defaults() -> None:
    pool = accepted("pools: {tikv: {onRelease: keep}}").inventory.pools["tikv"].settings
    assert pool == PoolSettings(
        name="tikv",
        on_release="keep",
        after="1h",
        wipe="auto",
        fs_type="xfs",
        mount_options=(),
        labels={},
        gates=(),
        mode="",
        node_loss="wait",
        orphaned_claims="off",
        namespaces=(),
    )


def test_a_pool_that_says_everything_is_read_as_written() -> None:
    text = """
pools:
  tikv:
    onRelease: wipe
    wipeAfter: 1h30m
    wipe: zero
    mode: auto
    nodeLoss: wait
    orphanedClaims: off
    labels: {tier: gold, "example.com/rack": r1, empty: }
    gates: [tikv-tombstone, backup]
    fsType: ext4
    mountOptions: [noatime, "data=ordered", discard]
"""
    pool = accepted(text).inventory.pools["tikv"].settings
    assert pool == PoolSettings(
        name="tikv",
        on_release="wipe",
        after="1h30m",
        wipe="zero",
        fs_type="ext4",
        mount_options=("noatime", "data=ordered", "discard"),
        labels={"tier": "gold", "example.com/rack": "r1", "empty": ""},
        gates=("tikv-tombstone", "backup"),
        mode="auto",
    )


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ("wipeAfter: 0s", []),
        ("wipeAfter: 2d12h", []),
        ("wipeAfter: '0'", ["TV035"]),
        ("wipeAfter: -1h", ["TV035"]),
        ("wipeAfter: 1.5h", ["TV035"]),
        ("wipeAfter: 1w", ["TV035"]),
        ("wipeAfter: \u0661h", ["TV035"]),
        ("wipeAfter: 999999999999999999999999h", ["TV035"]),
        ("wipeAfter: 36500d", []),
        ("wipeAfter: 36500d1ms", ["TV044"]),
        ("wipeAfter: 9999999d", ["TV044"]),
        ("wipeAfter: 99999999999999999ms", ["TV044"]),
        ("wipeAfter: ", ["TV011"]),
        ("wipe: files", []),
        ("wipe: format", []),
        ("wipe: discard", []),
        ("wipe: Zero", ["TV034"]),
        ("wipe: overwrite", ["TV034"]),
        ("wipe: overwrite:0", ["TV034"]),
        ("wipe: overwrite:36", ["TV034"]),
        ("wipe: nvme-format", []),
        ("mode: auto", []),
        ("mode: manual", []),
        ("mode: yes", ["TV034"]),
        ("nodeLoss: wait", []),
        ("nodeLoss: release", ["TV034"]),
        ("nodeLoss: {release, after: 30m}", []),
        ("nodeLoss: {release: , after: 30m}", []),
        ("nodeLoss: {release: true, after: 30m}", ["TV008"]),
        ("nodeLoss: {after: 30m}", ["TV008"]),
        ("nodeLoss: {release}", ["TV008"]),
        ("nodeLoss: {release, after: soon}", ["TV035"]),
        ("orphanedClaims: off", []),
        ("orphanedClaims: {delete, after: 1h}", ["TV040"]),
        ("orphanedClaims: on", ["TV034"]),
        ("namespaces: [tenant-b]", ["TV040"]),
        ("namespaces: []", ["TV040"]),
        ("namespaces: [Tenant]", ["TV040", "TV039"]),
        ("labels: {kubernetes.io/hostname: x}", ["TV038"]),
        ("labels: {topology.kubernetes.io/zone: x}", ["TV038"]),
        ("labels: {tidbvolume.io/pool: x}", ["TV038"]),
        ("labels: {mykubernetes.io/a: x}", []),
        ("labels: {a: 'b c'}", ["TV038"]),
        ("labels: {a: [b]}", ["TV008"]),
        ("labels: [a]", ["TV008"]),
        ("gates: tikv", ["TV008"]),
        ("gates: ['']", ["TV011"]),
        ("fsType: zfs", ["TV034"]),
        ("mountOptions: [ro]", ["TV037"]),
        ("mountOptions: [defaults]", ["TV037"]),
        ("mountOptions: [data=writeback]", ["TV037"]),
        ("mountOptions: [data=ordered, data=journal]", []),
        ("mountOptions: [suid, dev]", ["TV037", "TV037"]),
        ("mountOptions: [nodelalloc, noatime]", []),
        ("mountOptions: ['noatime,nodiratime']", ["TV037"]),
        ("mountOptions: ['-o x']", ["TV037"]),
        ("mountOptions: noatime", ["TV008"]),
        ("mountOptions: [rtdev=/dev/disk/by-id/other]", ["TV037"]),
        ("mountOptions: [logdev=/dev/sdb, journal_path=/dev/sdb, journal_dev=0x10]", ["TV037"] * 3),
        ("mountOptions: [rtdev, usrjquota=a.user, grpjquota=a.group]", ["TV037"] * 3),
        ("mountOptions: [errors=panic, errors=remount-ro]", ["TV037"]),
        ("mountOptions: [nobarrier, barrier=0, barrier]", ["TV037", "TV037"]),
        ("mountOptions: [uid=0, resuid=7, resgid=7, sb=32768, norecovery, noload, nouuid]", ["TV037"] * 7),
        ("mountOptions: [nodelaloc]", ["TV037"]),
        ("mountOptions: [commit, noatime=1, logbufs=x, allocsize=64k, logbufs=8, commit=5]", ["TV037"] * 3),
        ("mountBy: kubelet", ["TV009"]),
    ],
)
def test_each_setting_takes_its_own_values_and_no_others(settings: str, codes: list[str]) -> None:
    assert sorted(codes_of(settings)) == sorted(codes)


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("tikv", True),
        ("tidb-b", True),
        ("a.b", True),
        ("9", True),
        ("-a", False),
        ("a_b", False),
        ("A", False),
        ("a" * 63, True),
        ("a" * 64, False),
        ("''", False),
        ("a..b", False),
    ],
)
def test_a_pool_is_named_as_a_storage_class_and_a_label_may_be(name: str, sound: bool) -> None:
    found = [problem.code for problem in errors(f"pools: {{{name}: {{onRelease: wipe}}}}")]
    assert found == ([] if sound else ["TV033"])


ENTRIES = {
    Kind.PATH: "/data/x",
    Kind.FILESYSTEM: "{device: /dev/disk/by-id/x}",
    Kind.BLOCK: "{device: /dev/disk/by-id/x, volumeMode: Block}",
}


@pytest.mark.parametrize("method", ["auto", "files", "format", "discard", "zero"])
@pytest.mark.parametrize("kind", Kind)
def test_a_method_that_cannot_clean_the_disk_is_an_error_at_the_method(kind: Kind, method: str) -> None:
    text = (
        f"pools: {{p: {{onRelease: wipe, wipe: {method}}}}}\nnodes: {{n: [{ENTRIES[kind]}]}}\ndefaultPool: p"
    )
    found = [(problem.code, problem.mark.line) for problem in errors(text)]
    assert found == ([] if method == "auto" or method in FITTING[kind] else [("TV036", 1)])
    assert fits(method, kind) is (found == [])


@pytest.mark.parametrize("option", [*PER_MOUNT, "nodelalloc", "lazytime", "discard", "sync"])
@pytest.mark.parametrize("kind", Kind)
def test_a_path_may_only_have_options_that_a_bind_mount_has_of_its_own(kind: Kind, option: str) -> None:
    text = (
        f"pools: {{p: {{onRelease: wipe, mountOptions: [{option}]}}}}\n"
        f"nodes: {{n: [{ENTRIES[kind]}]}}\ndefaultPool: p"
    )
    ignored = kind is Kind.PATH and option not in PER_MOUNT
    of_ext4 = kind is Kind.FILESYSTEM and option == "nodelalloc"  # the pool's fsType is xfs
    assert [problem.code for problem in errors(text)] == (["TV037"] if ignored or of_ext4 else [])


@pytest.mark.parametrize(
    ("option", "pool", "disk", "sound"),
    [
        ("nodelalloc", "ext4", "", True),
        ("nodelalloc", "xfs", "", False),
        ("nodelalloc", "xfs", "ext4", True),
        ("nodelalloc", "ext4", "xfs", False),
        ("logbsize=256k", "xfs", "", True),
        ("logbsize=256k", "ext4", "", False),
        ("dax=never", "ext4", "", True),
        ("dax=never", "xfs", "", True),
        ("lazytime", "ext4", "", True),
    ],
)
def test_an_option_is_of_the_file_system_that_the_disk_gets(
    option: str, pool: str, disk: str, sound: bool
) -> None:
    made = f", fsType: {disk}" if disk else ""
    text = (
        f"pools: {{p: {{onRelease: wipe, fsType: {pool}, mountOptions: [{option}]}}}}\n"
        f"nodes: {{n: [{{device: /dev/disk/by-id/x{made}}}]}}\ndefaultPool: p"
    )
    found = [
        (problem.code, problem.mark.line, f"none of {disk or pool}" in problem.what)
        for problem in errors(text)
    ]
    assert found == ([] if sound else [("TV037", 1, True)])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("ro", "would hand out a disk that nobody can write to"),
        ("nofail", "is a word of mount(8) and fstab"),
        ("journal_path=/dev/sdb", "names another device or a file, at which no guard has looked"),
        ("rtdev=/dev/disk/by-id/x", "names another device or a file, at which no guard has looked"),
        ("errors=panic", "would stop the whole machine for one disk that fails"),
        ("data=writeback", "may show after a crash what another owner had written"),
        (
            "nobarrier",
            "would let an fsync end before the disk has it, and what was wiped could",
        ),
        ("uid=0", "is none that is known to be harmless"),
    ],
)
def test_why_an_option_is_refused_is_said_at_its_place_with_the_way_out(option: str, says: str) -> None:
    (problem,) = errors(f"pools:\n  p:\n    onRelease: wipe\n    mountOptions: [noatime, {option}]\n")
    assert (problem.code, problem.mark.line, problem.mark.column) == ("TV037", 4, 29)
    assert f"pool p: mount option {option} {says}" in problem.what
    assert problem.way_out.startswith("leave it out")


def test_a_misfit_is_told_once_for_a_pool_and_not_once_for_each_disk() -> None:
    pools = "defaultPool: p\npools: {p: {onRelease: wipe, wipe: zero}}\n"
    text = pools + 'nodes: {n: ["/data/x{0..99}"], m: [/data/y]}'
    assert [problem.code for problem in errors(text)] == ["TV036"]
