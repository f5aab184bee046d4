"""A tenant that fills its disk with traps, a disk with names that lie, and an inventory that means harm."""

from __future__ import annotations

import re
import unicodedata

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, until
from tests.e2e.test_offer import listing
from tests.e2e.test_release import Tenant
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.value import Phase, Volume

pytestmark = pytest.mark.cluster


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[2]


TRAPS = r"""
set -e
cd /data
ln -s / root; ln -s /etc/passwd passwd; ln -s ../../../../../../../../{canary} up; ln -s {neighbour} other
ln -s loop loop; ln -s . here
mknod null c 1 3; mknod memory c 1 1; mknod disk b 7 0; mknod nowhere b 250 250; mkfifo fifo
touch "$(printf 'a\nAvailable   clean')" "$(printf '\033[31mred\033[0m\r')" '<img src=x onerror=alert(1)>'
touch -- -rf '*' ' ' '$(touch pwned)' '`reboot`' "$(printf '\377\376\200')" ...
mkdir .tidb-volume trash-order-999 {tenancy} trash-{tenancy}
mkdir closed && touch closed/in && chmod 000 closed
echo mine > plain; i=0; mkdir links; while [ $i -lt 500 ]; do ln plain links/$i; i=$((i+1)); done
cp /bin/busybox set && chmod 6755 set
i=0; while [ $i -lt 150 ]; do mkdir further-and-further-down; cd further-and-further-down; i=$((i+1)); done
touch bottom; cd /data
mkdir many; i=0; while [ $i -lt 20000 ]; do : > many/$i; i=$((i+1)); done
sync
"""


def test_a_volume_full_of_traps_is_wiped_and_harms_nothing_beyond_it(lab: Lab, node: Node) -> None:
    neighbour = Tenant(lab, "neighbour", node)
    neighbour.start()
    neighbour.write("of-the-neighbour")
    canary = f"{lab.data}/canary"
    node.exec(["sh", "-c", f"mkdir {canary} && echo of-the-host > {canary}/file && chmod 640 {canary}/file"])
    tenant = Tenant(lab, "traps", node, wipeAfter="0s")
    tenant.start()
    beside = f"{neighbour.mount}/.tidb-volume"
    old = lab.wait(tenant.volume, Phase.BOUND).status.tenancy
    traps = TRAPS.format(canary=canary.lstrip("/"), neighbour=beside, tenancy=old)
    lab.sh(tenant.namespace, "db-0", traps)
    before = {place: node.exec(["ls", "-laR", place]) for place in (canary, beside)}
    devices = node.exec(["stat", "-c", "%n %a %t:%T", "/dev/null", "/dev/zero"])
    tenant.stop()
    found = lab.wait(tenant.volume, Phase.AVAILABLE, seconds=120, tenancy_not=old)
    assert lab.entries(node, f"{tenant.mount}/.tidb-volume") == [found.status.tenancy]
    assert node.exec(["find", f"{tenant.mount}/.tidb-volume", "-mindepth", "2"]) == ""
    assert {place: node.exec(["ls", "-laR", place]) for place in before} == before
    assert node.exec(["stat", "-c", "%n %a %t:%T", "/dev/null", "/dev/zero"]) == devices
    assert neighbour.read() == "of-the-neighbour"
    assert lab.sh(neighbour.namespace, "db-0", "cat /data/plain").strip() == "of-the-neighbour"
    assert_plain(everything_shown(lab, tenant.volume))


LIES = (
    r"'\033[2J\033[31mAvailable\033[0m' 'x\nNAME NODE Available clean' '\r0wned' '\342\200\256desrever'"
    r" '<img src=x onerror=alert(1)>' '{{.metadata.name}}' '%%s%%n' '\377\376'"
)


def test_names_on_a_disk_that_lie_are_shown_as_what_they_are(lab: Lab, node: Node) -> None:
    """They are told as what a person is asked about, so they reach status, Events, log and CLI."""
    mount, word = f"{lab.data}/lies", f"lies-{lab.tag}"
    _, volume = lab.path_disk(node, mount)
    for one in re.findall(r"'([^']*)'", LIES):
        node.exec(["sh", "-c", f"cd {mount} && mkdir \"$(printf '{one}.')\""])
        lab.inventory(word, listing(word, {node: [mount]}))
        lab.wait(volume, Phase.PENDING, "HasData")
        assert_plain(everything_shown(lab, volume))
        node.exec(["sh", "-c", f"rm -r {mount}/*"])
        lab.inventory(word, "")
        until("the record to go", lambda: lab.volume(volume) is None)


def everything_shown(lab: Lab, volume: str) -> list[str]:
    """What people read of a volume: the API's own words, Events, and the command."""
    found = lab.volume(volume)
    assert found is not None
    status = found.status
    said = [status.message, status.state, status.disk.content_note if status.disk else ""]
    said += [status.question.text] if status.question else []
    assert not any("\n" in each for each in said), said
    shows = (("explain", volume), ("history", volume), ("status",))
    events = ("get", "events", "-A", f"--field-selector=involvedObject.name={volume}", "-o")
    return [
        *said,
        lab.cluster.kubectl(*events, "jsonpath={range .items[*]}{.message}{'\\n'}{end}"),
        lab.cluster.kubectl("get", "tv", volume, "-o", "wide"),
        *(f"{done.stdout}{done.stderr}" for done in (lab.say(*words, exits=(0, 5)) for words in shows)),
    ]


def assert_plain(shown: list[str]) -> None:
    """No control character, no turned direction, and nothing that a page would take for its own."""
    for text in shown:
        odd = [each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs") and each != "\n"]
        assert not odd, (odd, text)
        assert "\nNAME NODE Available clean" not in text


SYSTEM = ("/etc", "/root", "/usr/bin", "/var/lib")
PATHS = (
    *SYSTEM,
    "/",
    "/proc",
    "/sys/fs/cgroup",
    "/dev",
    "/run",
    "//etc",
    "~root",
    '"/data/../etc"',
    '"/data/./x"',
    '"/data/*"',
    '"/data/-rf"',
    '"/data/$(touch /tmp/pwned)"',
    '"/data/`touch /tmp/pwned`"',
    '"/data/x; touch /tmp/pwned"',
    '"/data/{{ .Values.x }}"',
    '"/data/x\\n  - path: /etc"',
    '"/data/\\0"',
    '"/data/\\u202e"',
)
DEVICES = ("/dev/null", "/dev/mem", "/dev/../etc/passwd", "/dev/disk/by-id/../../mem", "/etc/shadow")
OPTIONS = ("rtdev=/dev/sdb", "logdev=/dev/disk/by-id/x", "journal_path=/dev/sdb", "errors=panic", "nobarrier")
LED = ("link", "bind", "root")
"""Below the folder of this run: a link to /etc, a mount of that folder, a mount of the root."""


def test_an_inventory_that_names_what_nobody_may_touch_touches_none_of_it(lab: Lab, node: Node) -> None:
    """Each alone, as one that is refused keeps the whole ConfigMap out of force."""
    steps = "ln -s /etc link; mkdir bind root; mount --bind /etc bind; mount --bind / root"
    node.exec(["sh", "-c", f"mkdir -p {lab.data}; cd {lab.data}; {steps}"])
    try:
        before = looks_of(node)
        for path in (*PATHS, *(f"{lab.data}/{each}" for each in LED)):
            refuses(lab, node, f"{{path: {path}, pool: POOL}}")
        for device in DEVICES:
            refuses(lab, node, f"{{device: {device}, pool: POOL}}")
        for option in OPTIONS:
            entry = "{device: /dev/disk/by-id/none-of-its-name, pool: POOL}"
            refuses(lab, node, entry, f", mountOptions: [{option}]", line=1)
        assert looks_of(node) == before
        made = node.exec(
            ["sh", "-c", "ls -d /tmp/pwned /.tidb-volume /*/.tidb-volume /*/*/.tidb-volume 2>&-; true"]
        )
        ours = {f"{lab.data}/{each}/.tidb-volume" for each in lab.entries(node, lab.data)}
        assert not set(made.split()) - ours
    finally:
        node.exec(["sh", "-c", f"cd {lab.data} && umount bind root && rmdir bind root && rm link"])


def looks_of(node: Node) -> str:
    """Names, owners and modes of what is in the machine's own folders."""
    return node.exec(["sh", "-c", f"stat -c '%n %a %u:%g' {' '.join(SYSTEM)} /etc/*; ls -A /"])


def refuses(lab: Lab, node: Node, entry: str, settings: str = "", line: int = 4) -> None:
    """The entry, or its pool's setting, is refused: by the inventory's reader with its line, or by the daemon
    with a reason."""
    word = f"harm-{lab.tag}"
    text = (
        f"pools: {{{word}: {{onRelease: wipe{settings}}}}}\n"
        f"nodes:\n  {node.name}:\n  - {entry.replace('POOL', word)}\n"
    )
    lab.inventory(word, text)

    def errors() -> str:
        fleet = lab.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET)
        return " ".join(
            line for each in fleet.status.inventories if each.name == word for line in each.errors
        )

    def volumes() -> list[Volume]:
        return [each for each in lab.api.list(kinds.TIDB_VOLUME)[0] if each.spec.pool == word]

    def refused() -> str:
        shown = volumes()
        assert not any(each.spec.order or lab.pvs(each.metadata.name) for each in shown), shown
        return errors() or " ".join(each.status.reason for each in shown if each.status.reason in REASONS)

    why = until(f"{entry} to be refused", refused, 60, lambda: (errors(), volumes()))
    assert why in REASONS or f"disks.yaml:{line}:" in why
    lab.inventory(word, "")
    until("it to be taken out", lambda: not errors() and not volumes(), 60)


REASONS = ("Refused", "NotMounted", "NotPresent", "Foreign", "Occupied")
