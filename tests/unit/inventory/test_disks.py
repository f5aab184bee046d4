"""What may be listed: ranges, paths, devices, entries, node keys and selectors."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import POOLS, accepted, desired, errors, node
from tidb_volume.inventory import braces, places
from tidb_volume.inventory.model import Kind


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/data/x", ["/data/x"]),
        ("/data/nvme{0..3}", ["/data/nvme0", "/data/nvme1", "/data/nvme2", "/data/nvme3"]),
        ("/d{08..11}", ["/d08", "/d09", "/d10", "/d11"]),
        ("/d{9..11}", ["/d9", "/d10", "/d11"]),
        ("/d{a..c}", ["/da", "/db", "/dc"]),
        ("/{ssd,nvme}/d{0,1}x", ["/ssd/d0x", "/ssd/d1x", "/nvme/d0x", "/nvme/d1x"]),
        ("/d{3..3}", ["/d3"]),
        ("/d{0..255}", [f"/d{n}" for n in range(256)]),
    ],
)
def test_a_range_names_what_a_shell_would_make_of_it(text: str, names: list[str]) -> None:
    assert list(braces.spread(text)) == names


@pytest.mark.parametrize(
    "text",
    [
        "/d{",
        "/d}",
        "/d{}",
        "/d{a}",
        "/d{a,}",
        "/d{,a}",
        "/d{1..}",
        "/d{..1}",
        "/d{3..1}",
        "/d{1..9..2}",
        "/d{a..B}",
        "/d{a..3}",
        "/d{1,{2,3}}",
        "/d{0..256}",
        "/d{0..99}{0..99}",
        "/d{0..999999}",
        "/d{-1..3}",
    ],
)
def test_a_range_that_is_broken_or_too_long_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        braces.spread(text)


@pytest.mark.parametrize(
    "path",
    [
        "/data",
        "/data/nvme0",
        "/mnt",
        "/mnt/disks/ssd0",
        "/var/lib/tikv",
        "/home/tidb/data",
        "/srv/d0",
        "/d a/with space",
        "/数据/盘0",
        "/etcd",
        "/devices/0",
        "/binary",
        "/data/..x",
        "/opt/disk",
    ],
)
def test_a_folder_of_its_own_may_be_listed(path: str) -> None:
    assert places.path_trouble(path) is None


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "TV015"),
        ("data", "TV015"),
        ("~/data", "TV015"),
        ("/data/..", "TV016"),
        ("/./data", "TV016"),
        ("//data", "TV016"),
        ("/data/", "TV016"),
        ("//", "TV016"),
        ("/data\n", "TV016"),
        ("/data\u202etxt", "TV016"),
        ("/" + "d" * 512, "TV016"),
        ("/data/nvme0/.tidb-volume", "TV017"),
        ("/data/nvme0/.tidb-volume/abcdefghijkl", "TV017"),
        ("/", "TV017"),
        ("/var", "TV017"),
        ("/var/lib", "TV017"),
        ("/opt", "TV017"),
        ("/home", "TV017"),
        ("/root/disk", "TV017"),
        ("/dev/disk/by-id/nvme-x", "TV017"),
        ("/var/lib/kubelet/plugins/x", "TV017"),
        *((folder, "TV017") for folder in places.SYSTEM_FOLDERS),
        *((f"{folder}/x", "TV017") for folder in places.SYSTEM_FOLDERS),
    ],
)
def test_what_is_no_folder_of_its_own_is_refused(path: str, code: str) -> None:
    trouble = places.path_trouble(path)
    assert trouble is not None
    assert trouble[0].id == code


@pytest.mark.parametrize(
    ("device", "serial", "code"),
    [
        ("/dev/disk/by-id/nvme-SAMSUNG_S4X0", "", ""),
        ("/dev/disk/by-id/wwn-0x5000c500", "S4X0", ""),
        ("/dev/sdb", "S4X0", ""),
        ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "S4X0", ""),
        ("/dev/sdb", "", "TV019"),
        ("/dev/nvme0n1", "", "TV019"),
        ("/dev/disk/by-uuid/1234", "", "TV019"),
        ("/dev/mapper/vg-lv", "S4X0", "TV020"),
        ("/dev/disk/by-id", "S4X0", "TV020"),
        ("/dev/disk/by-id/a/b", "S4X0", "TV020"),
        ("/dev", "S4X0", "TV020"),
        ("sdb", "S4X0", "TV020"),
        ("/data/sdb", "S4X0", "TV020"),
        ("/dev/disk/by-id/../../sda", "", "TV016"),
        ("/dev/disk/by-id/", "", "TV016"),
        ("/dev/sd\x1bb", "S4X0", "TV016"),
    ],
)
def test_a_device_is_named_by_id_or_comes_with_its_serial(device: str, serial: str, code: str) -> None:
    trouble = places.device_trouble(device, serial)
    assert (trouble[0].id if trouble else "") == code


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{path: /data/x, fsType: xfs}", "TV041"),
        ("{path: /data/x, volumeMode: Block}", "TV041"),
        ("{path: /data/x, serial: S}", "TV041"),
        ("{path: /data/x, mountBy: daemon}", "TV041"),
        ("{device: /dev/disk/by-id/x, volumeMode: Block, fsType: xfs}", "TV041"),
        ("{device: /dev/disk/by-id/x, volumeMode: Block, mountBy: daemon}", "TV041"),
        ('{device: "/dev/sd{b,c}", serial: S}', "TV041"),
        ('{device: /dev/sdb, serial: "a\\u0007b"}', "TV041"),
        ("{device: /dev/disk/by-id/x, mountBy: kubelet}", "TV040"),
        ("{device: /dev/disk/by-id/x, mountBy: me}", "TV034"),
        ("{device: /dev/disk/by-id/x, volumeMode: block}", "TV034"),
        ("{device: /dev/disk/by-id/x, fsType: ''}", "TV011"),
        ("{device: /dev/disk/by-id/x, fsType: vfat}", "TV034"),
        ("{device: /dev/disk/by-id/x, wipe: zero}", "TV009"),
        ("{path: [/data/x]}", "TV008"),
        ("[/data/x]", "TV008"),
        ("{path: /data/x, volumeMode: Filesystem}", ""),
        ("{device: /dev/disk/by-id/x}", ""),
        ("{device: /dev/disk/by-id/x, fsType: ext4, mountBy: daemon}", ""),
        ("{device: /dev/sdb, serial: S4X0, volumeMode: Block}", ""),
        ('{device: "/dev/disk/by-id/nvme-{A,B}", volumeMode: Block}', ""),
    ],
)
def test_an_entry_says_what_fits_together(entry: str, code: str) -> None:
    found = [problem.code for problem in errors(f"{POOLS}nodes: {{n: [{entry}]}}")]
    assert found == ([code] if code else [])


def test_what_an_entry_leaves_out_comes_from_its_pool() -> None:
    found = desired(
        "defaultPool: a\n"
        "pools: {a: {onRelease: wipe, fsType: ext4}, b: {onRelease: keep}}\n"
        "nodes:\n"
        "  n:\n"
        "  - /data/x\n"
        "  - {device: /dev/disk/by-id/1}\n"
        "  - {device: /dev/disk/by-id/2, pool: b}\n"
        "  - {device: /dev/disk/by-id/3, fsType: xfs}\n"
        "  - {device: /dev/disk/by-id/4, volumeMode: Block}\n"
    )
    assert [(str(d.source)[-2:], d.kind, d.pool.name, d.fs_type) for d in found.disks.values()] == [
        ("/1", Kind.FILESYSTEM, "a", "ext4"),
        ("/2", Kind.FILESYSTEM, "b", "xfs"),
        ("/3", Kind.FILESYSTEM, "a", "xfs"),
        ("/4", Kind.BLOCK, "a", ""),
        ("/x", Kind.PATH, "a", ""),
    ]


@pytest.mark.parametrize(
    ("key", "sound"),
    [
        ("node-7", True),
        ("ip-10-0-0-1.ec2.internal", True),
        ("10.0.0.11", True),
        ('"fd00::1"', True),
        ("Node-7", False),
        ("node_7", False),
        ("-n", False),
        ("10.0.0.256", False),
        ("010.0.0.1", False),
        ("10.0.0.0/24", False),
        ('""', False),
        ("n" * 64, True),
        ('"' + "n" * 254 + '"', False),
    ],
)
def test_a_node_is_listed_by_a_name_or_an_address(key: str, sound: bool) -> None:
    assert [problem.code for problem in errors(f"{POOLS}nodes: {{{key}: [/data/x]}}")] == (
        [] if sound else ["TV012"]
    )


def test_one_address_in_two_spellings_is_one_machine() -> None:
    text = POOLS + 'nodes: {"fd00::1": [/data/x], "fd00:0::01": [/data/x]}'
    assert [problem.code for problem in errors(text)] == ["TV014"]


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        ("{hardware: tikv-10x}", ""),
        ("{example.com/kind: a, zone: z1}", ""),
        ("{node-role.kubernetes.io/storage: }", ""),
        ("{hardware: true}", ""),
        ("{a b: c}", "TV013"),
        ("{/a: c}", "TV013"),
        ("{a: 'b c'}", "TV013"),
        ("{matchExpressions: [{key: a}]}", "TV013"),
        ("[hardware]", "TV008"),
    ],
)
def test_a_group_is_chosen_by_labels_that_are_equal(selector: str, code: str) -> None:
    text = f"{POOLS}groups: [{{nodeSelector: {selector}, disks: [/data/x]}}]"
    assert [problem.code for problem in errors(text)] == ([code] if code else [])


def test_one_group_listed_twice_is_told_like_a_disk_listed_twice() -> None:
    group = "{nodeSelector: {b: '2', a: '1'}, disks: [/data/x]}"
    other = "{nodeSelector: {a: '1', b: '2'}, disks: [/data/x, /data/y]}"
    assert [problem.code for problem in errors(f"{POOLS}groups: [{group}, {other}]")] == ["TV014"]


def test_all_errors_of_an_edit_are_told_at_once_in_the_order_of_the_text() -> None:
    found = errors(
        "never: [x]\n"
        "pools: {tikv: {wipe: shred}}\n"
        "nodes:\n"
        "  node_1: [/data/x]\n"
        "  n: [data, /etc, {device: /dev/sdb}]\n"
        "groups: [{disks: [/data/x]}]\n"
    )
    assert [(problem.code, problem.mark.line) for problem in found] == [
        ("TV042", 1),
        ("TV032", 2),
        ("TV034", 2),
        ("TV012", 4),
        ("TV015", 5),
        ("TV017", 5),
        ("TV019", 5),
        ("TV013", 6),
        ("TV030", 6),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "nodes:\n",
        "nodes: {}\n",
        "groups: []\n",
        "never: []\n",
        "pools:\n",
        "nodes: {n: []}\n",
        "nodes: {n: }\n",
    ],
)
def test_nothing_left_is_a_sound_edit(text: str) -> None:
    assert accepted(text).inventory.contents[0].listed == {}


def test_keys_of_a_config_map_that_are_no_inventory_are_nobodys_business() -> None:
    from tests.unit.inventory.build import decide

    decision = decide({"inv": {"README.md": "{{{", "disks.yaml": f"{POOLS}nodes: {{n: [/data/x]}}"}})
    assert decision.refused == {}
    assert [str(disk.source) for disk in desired(f"{POOLS}nodes: {{n: [/data/x]}}", node("n")).disks.values()]
