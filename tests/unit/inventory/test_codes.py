"""Each code: the shortest text that brings it forth, where it points, and that its words help."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import POOLS, decide, node
from tidb_volume import names
from tidb_volume.inventory import codes, expand
from tidb_volume.inventory.check import LIMIT_BYTES
from tidb_volume.inventory.codes import CODES, Severity
from tidb_volume.inventory.marks import Mark
from tidb_volume.upstream import Node

N = "nodes: {node-7: ["
E = "]}\n"
LEVER = "pools: {tikv: {onRelease: wipe, "

ONE_FILE = [
    # code, place, a part of the words, the text
    ("TV001", "3:6", "not YAML", "nodes:\n  node-7: [/data/nvme0\npools: {}\n"),
    ("TV002", "1:8", "U+0000", "nodes: \x00\n"),
    ("TV002", "2:4", "U+0007", "nodes:\n é \x07\n\x07"),
    ("TV003", "", "950001 bytes", "#" * (LIMIT_BYTES + 1)),
    ("TV004", "1:17", "more than 16", "[" * 40 + "]" * 40),
    ("TV005", "1:8", "an anchor", "never: &all [/data/old]\n"),
    ("TV005", "2:14", "an alias", "never: [/a]\ndefaultPool: *all\n"),
    ("TV005", "1:8", "a tag", "never: !!set {/a}\n"),
    ("TV005", "2:10", "a merge key", "pools:\n  tikv: {<<: {wipe: auto}, onRelease: wipe}\n"),
    ("TV005", "1:1", "a directive", "%YAML 1.1\n---\nnever: [/a]\n"),
    ("TV006", "2:1", "second YAML document", "never: [/a]\n---\nnever: [/b]\n"),
    ("TV007", "3:3", "first on line 2", "nodes:\n  node-7: [/a]\n  node-7: [/b]\n"),
    ("TV008", "1:8", "nodes must be a mapping, not a list", "nodes: [/data/nvme0]\n"),
    ("TV008", "1:1", "an inventory must be a mapping, not a string", "/data/nvme0\n"),
    ("TV009", "1:1", "write nodes", "node: {node-7: [/data/nvme0]}\n"),
    ("TV009", "1:16", "write onRelease", "pools: {tikv: {onrelease: wipe}}\n"),
    ("TV011", "2:13", "defaultPool is empty", "never: [/a]\ndefaultPool:\n"),
    ("TV012", "1:9", "neither a node's name nor an IP", "nodes: {node_7: [/data/nvme0]}\n"),
    ("TV012", "1:9", "use a group", 'nodes: {"node-{1..3}": [/data/nvme0]}\n'),
    ("TV012", "1:9", "neither a node's name nor an IP", "nodes: {10.0.0.256: [/data/nvme0]}\n"),
    ("TV013", "1:10", "it is missing", "groups: [{disks: [/data/nvme0]}]\n"),
    ("TV013", "1:11", "would match every node", "groups: [{nodeSelector: {}, disks: [/data/nvme0]}]\n"),
    (
        "TV013",
        "1:26",
        "expressions are not",
        "groups: [{nodeSelector: {hw: [a, b]}, disks: [/data/nvme0]}]\n",
    ),
    ("TV014", "1:31", "first at inv/disks.yaml:1:18", f"{N}/data/nvme0, /data/nvme0{E}"),
    ("TV014", "2:21", "listed twice", f'nodes:\n  node-7: [/data/a, "/data/{{a,b}}"]\n{POOLS}'),
    ("TV015", "1:18", "not an absolute path", f"{N}data/nvme0{E}"),
    ("TV016", "1:18", "a . or .. part", f"{N}/data/../etc{E}"),
    ("TV016", "1:18", "a slash at its end", f"{N}/data/nvme0/{E}"),
    ("TV017", "1:18", "the system's own root", f"{N}/{E}"),
    ("TV017", "1:18", "below the system folder /var/lib/kubelet", f"{N}/var/lib/kubelet/pods{E}"),
    ("TV017", "1:18", "holds the system folder", f"{N}/var/lib{E}"),
    ("TV018", "1:18", "neither a path nor a device", f"{N}{{pool: tikv}}{E}"),
    ("TV018", "1:18", "both a path and a device", f"{N}{{path: /a, device: /dev/disk/by-id/x}}{E}"),
    ("TV019", "1:27", "add serial", f"{N}{{device: /dev/sdb}}{E}"),
    ("TV020", "1:27", "not the name of a whole disk", f"{N}{{device: /data/nvme0}}{E}"),
    ("TV021", "1:18", "is not a range", f'{N}"/data/nvme{{0..x}}"{E}'),
    ("TV030", "1:18", "no defaultPool is set", f"{N}/data/nvme0{E}"),
    ("TV031", "3:38", "there is no pool tikvv", f"{POOLS}{N}{{pool: tikvv, path: /data/nvme0}}{E}"),
    ("TV031", "1:14", "defaultPool: there is no pool", "defaultPool: tikv\n"),
    ("TV032", "1:9", "add onRelease: wipe", "pools: {tikv: {wipe: auto}}\n"),
    ("TV033", "1:9", "cannot name a StorageClass", "pools: {TiKV: {onRelease: wipe}}\n"),
    ("TV034", "1:27", "use one of: wipe, keep", "pools: {tikv: {onRelease: delete}}\n"),
    ("TV034", "1:41", "use one of: xfs, ext4", "pools: {tikv: {onRelease: wipe, fsType: btrfs}}\n"),
    ("TV035", "1:44", "60 is not a duration", "pools: {tikv: {onRelease: wipe, wipeAfter: 60}}\n"),
    (
        "TV036",
        "1:39",
        "format, which cannot clean a path (node-7: /data/nvme0)",
        f"pools: {{tikv: {{onRelease: wipe, wipe: format}}}}\ndefaultPool: tikv\n{N}/data/nvme0{E}",
    ),
    (
        "TV037",
        "1:33",
        "nodelalloc would be ignored on a path (node-7: /data/nvme0)",
        f"pools: {{tikv: {{onRelease: wipe, mountOptions: [nodelalloc]}}}}\n"
        f"defaultPool: tikv\n{N}/data/nvme0{E}",
    ),
    ("TV037", "1:48", "nobody can write to", "pools: {tikv: {onRelease: wipe, mountOptions: [ro]}}\n"),
    ("TV038", "1:42", "is not a label's name", "pools: {tikv: {onRelease: wipe, labels: {-a: b}}}\n"),
    (
        "TV039",
        "1:41",
        "Tikv_Tombstone is not a name",
        "pools: {tikv: {onRelease: wipe, gates: [Tikv_Tombstone]}}\n",
    ),
    (
        "TV040",
        "1:33",
        "orphanedClaims {delete, after: 1h}",
        f"{LEVER}orphanedClaims: {{delete, after: 1h}}}}}}\n",
    ),
    ("TV040", "1:33", "does not obey it yet", "pools: {tikv: {onRelease: wipe, namespaces: [a]}}\n"),
    ("TV041", "1:44", "a path cannot be a Block volume", f"{N}{{volumeMode: Block, path: /data/nvme0}}{E}"),
    ("TV042", "1:9", "does not begin with /", "never: ['*-BOOT*']\n"),
    (
        "TV044",
        "1:44",
        "9999999d is longer than 36500d",
        "pools: {tikv: {onRelease: wipe, wipeAfter: 9999999d}}\n",
    ),
    ("TV045", "2:1", "a tab; use spaces", "nodes:\n\tnode-7: [/data/nvme0]\n"),
    ("TV045", "4:3", "a tab; use spaces", "nodes:\n  node-7:\n  - /data/nvme0\n  \t- /data/nvme1\n"),
    ("TV001", "1:8", "cannot start any token", "nodes:\t@x\n"),
    ("TV046", "1:18", "list each", f"{N}/data/nvme*{E}"),
    ("TV046", "1:18", "is a glob", f"{N}'/data/nvme[0-9]'{E}"),
    ("TV046", "1:18", "is a glob", f"{N}/data/nvme?{E}"),
    ("TV046", "1:27", "a range: /data/nvme{0..9}", f"{N}{{device: /dev/disk/by-id/nvme-*}}{E}"),
    ("TV047", "1:19", "looks like two disks", f"{N} /data/nvme0 /data/nvme1 {E}"),
    ("TV047", "3:5", "a comma between", "nodes:\n  node-7:\n  - /data/nvme0\n    /data/nvme1\n"),
    ("TV047", "1:27", "looks like two disks", f"{N}{{device: /dev/disk/by-id/a /dev/disk/by-id/b}}{E}"),
    ("TV043", "", "101 never globs, at most 100", f"never: [{', '.join(f'/g{n}' for n in range(101))}]\n"),
]


@pytest.mark.parametrize(("code", "place", "part", "text"), ONE_FILE)
def test_a_wrong_text_is_told_its_code_its_place_and_the_way_out(
    code: str, place: str, part: str, text: str
) -> None:
    told = [str(problem) for problem in decide({"inv": text}).refused["inv"]]
    head = f"inv/disks.yaml:{place}" if place else "inv"
    found = [words for words in told if words.startswith(f"{head}  {code}  ")]
    assert found, told
    assert any(part in words for words in found), told


A = {"a": f"{POOLS}nodes: {{node-1: [/data/nvme0]}}"}
ITSELF = "defaultPool: raw\npools: {raw: {onRelease: wipe, wipe: nvme-format}}\n"
WAYS = [
    # code, what was seen in turn, the ConfigMap that is told, a part of the words
    ("TV010", [{"inv": {"disks.yml": "never: []"}}], "inv", "name the key disks.yaml"),
    ("TV050", [A, {**A, "b": "nodes: {node-1: [/data/nvme0]}"}], "b", "listed already at a/disks.yaml:3:18"),
    (
        "TV051",
        [A, {**A, "b": "pools: {tikv: {onRelease: keep}}"}],
        "b",
        "defined otherwise at a/disks.yaml:2:9: onRelease keep here, wipe there",
    ),
    ("TV052", [A, {**A, "b": "defaultPool: raw"}], "b", "tikv at a/disks.yaml:1:14"),
    (
        "TV053",
        [
            {**A, "b": "nodes: {node-2: [{path: /data/x, pool: raw}]}"},
            {
                "a": "defaultPool: tikv\npools: {tikv: {onRelease: wipe}}",
                "b": "nodes: {node-2: [{path: /data/x, pool: raw}]}",
            },
        ],
        "a",
        "pool raw would end here, but node-2: /data/x (b/disks.yaml:1:25) uses it",
    ),
    ("TV054", [{"a": "never: [/data/old]"}, {}], "a", "never: /data/old still holds, though a/disks.yaml"),
    (
        "TV055",
        [{**A, "b": "nodes: {node-2: [/data/x]}"}, {"b": "nodes: {node-2: [/data/x]}"}],
        "a",
        "pool tikv still holds, though a is gone or empty, since node-2: /data/x uses it",
    ),
    ("TV056", [{"a": f"{A['a']}\nnever: [/data]"}], "a", "never: /data at a/disks.yaml:4:9 forbids it"),
    (
        "TV058",
        [{"a": ITSELF + "nodes: {node-1: [{device: /dev/disk/by-id/nvme-S1-part4}]}"}],
        "a",
        "/dev/disk/by-id/nvme-S1-part4 is a partition by its name, and pool raw wipes with nvme-format",
    ),
]


@pytest.mark.parametrize(
    ("entry", "warned"),
    [
        ("{device: /dev/disk/by-id/nvme-S1-part4}", True),
        ("{device: /dev/disk/by-id/nvme-S1-part12}", True),
        ("{device: /dev/disk/by-id/nvme-S1-part12, pool: gone}", False),
        ("{device: /dev/disk/by-id/nvme-S1}", False),
        ("{device: /dev/disk/by-id/nvme-S1-part}", False),
        ("{device: /dev/disk/by-id/nvme-part4-S1}", False),
        ("{device: /dev/disk/by-id/nvme-S1-part4, pool: other}", False),
        ("{path: /data/x-part4, pool: files}", False),
    ],
)
def test_only_a_partition_by_its_name_whose_disk_is_to_erase_itself_is_warned_of(
    entry: str, warned: bool
) -> None:
    text = "pools: {other: {onRelease: wipe, wipe: zero}, files: {onRelease: wipe}}\n"
    decision = decide({"a": ITSELF + f"nodes: {{node-1: [{entry}]}}", "b": text})
    told = [problem.code for problem in decision.warnings.get("a", ())]
    assert told == (["TV058"] if warned else [])


@pytest.mark.parametrize(("code", "rounds", "config_map", "part"), WAYS)
def test_what_several_config_maps_say_together_is_told_too(
    code: str, rounds: list[dict[str, dict[str, str] | str]], config_map: str, part: str
) -> None:
    decision = decide(*rounds)
    told = (*decision.refused.get(config_map, ()), *decision.warnings.get(config_map, ()))
    assert any(problem.code == code and part in str(problem) for problem in told), [*map(str, told)]


LIVE = [
    # code, the text, the nodes
    (
        "TV060",
        "nodes: {node-1: [/data/x], 10.0.0.1: [/data/x]}",
        [node("node-1", "10.0.0.1")],
    ),
    ("TV061", "nodes: {10.0.0.1: [/data/x]}", [node("node-1", "10.0.0.1"), node("node-2", "10.0.0.1")]),
    ("TV062", "nodes: {10.0.0.9: [/data/x]}", [node("node-1", "10.0.0.1")]),
    ("TV063", "nodes: {node-1: [/data/x]}", [node("node-1", hostname="h"), node("node-2", hostname="h")]),
    ("TV064", "groups: [{nodeSelector: {hw: big}, disks: [/data/x]}]", [node("node-1", hw="small")]),
]


@pytest.mark.parametrize(("code", "text", "nodes"), LIVE)
def test_what_depends_on_the_nodes_refuses_no_text(code: str, text: str, nodes: list[Node]) -> None:
    decision = decide({"inv": POOLS + text})
    assert decision.refused == {}
    found = expand.expand(decision.inventory, nodes)
    told = [*(wait.words for wait in found.waiting), *(disk.conflict for disk in found.disks.values())]
    assert any(words.startswith(f"{code} ") and ";" in words for words in told), told


def test_two_disks_that_would_have_one_name_are_in_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """TV065; six hexadecimal digits make it rare, so the name is shortened here."""
    monkeypatch.setattr(names, "volume_name", lambda node_name, source: node_name)
    found = expand.expand(decide({"inv": f"{POOLS}nodes: {{n: [/data/a, /data/b]}}"}).inventory, [])
    (disk,) = found.disks.values()
    assert disk.conflict.startswith("TV065 n: /data/a and /data/b would both be the volume n")


def test_every_code_has_a_test() -> None:
    tested = {code for code, *_ in (*ONE_FILE, *WAYS, *LIVE)} | {"TV022", "TV057", "TV065"}
    assert tested == set(CODES)


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_code_says_what_is_wrong_and_the_way_out_in_one_line_each(code: codes.Code) -> None:
    assert code.what
    assert code.way_out
    assert "\n" not in code.what + code.way_out
    assert code.severity in Severity


def test_a_message_looks_as_people_expect_it() -> None:
    mark = Mark(config_map="inventory", file="tikv.yaml", line=17, column=15)
    problem = codes.LISTED_TWICE.at(mark, whose="node-7", disk="/data/nvme0", first="9:3")
    assert str(problem) == (
        "inventory/tikv.yaml:17:15  TV014  node-7: /data/nvme0 is listed twice, first at 9:3\n"
        "                                  keep one of the two"
    )


def test_a_name_cannot_forge_a_second_line_nor_hide_its_direction() -> None:
    problem = codes.RELATIVE.at(Mark(), whose="n", disk="x\ny.yaml:1:1  TV999\x1b[2J\u202e" + "z" * 500)
    assert "\n" not in problem.what
    assert "\x1b" not in problem.what
    assert "\u202e" not in problem.what
    assert len(problem.what) < 300
