"""Every message that an inventory can bring forth: code, severity, what is wrong, the way out.

A code never changes its meaning and is never given out twice, so that a runbook or a CI rule may rely on it.
The words stand here alone: the object's status, the Event, the CLI and the docs all print these. Values that
come from a text are escaped and shortened on the way in, so that no name can forge a second line.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from tidb_volume.inventory.marks import Mark
from tidb_volume.value import Value

_LONGEST = 240


class Severity(StrEnum):
    """An error refuses the ConfigMap that it stands in; a warning does not."""

    ERROR = "error"
    WARNING = "warning"
    CONFLICT = "conflict"
    """Depends on the nodes that exist: makes the volumes concerned Conflict (or wait) and nothing else."""


def shown(value: str) -> str:
    """A value as it may be printed: one line, no control or direction characters, at most 240 long."""
    safe = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in value[: _LONGEST + 1])
    return safe if len(safe) <= _LONGEST else safe[: _LONGEST - 1] + "…"


class Problem(Value):
    """One message at one place."""

    code: str
    severity: Severity
    mark: Mark
    what: str
    way_out: str

    def __str__(self) -> str:
        head = f"{self.mark}  {self.code}  "
        return f"{head}{self.what}\n{' ' * len(head)}{self.way_out}"


def by_place(problem: Problem) -> tuple[str, str, int, int, str]:
    """The order in which problems are told: as the text runs."""
    mark = problem.mark
    return mark.config_map, mark.file, mark.line, mark.column, problem.code


MOST_PROBLEMS = 1000
"""So many are told of one ConfigMap; a text with more is looked at again once these are mended."""


class EnoughError(Exception):
    """A text has so many problems, or so many disks, that no more are looked for."""


class Notes(list[Problem]):
    """Problems as they are found. One more than `MOST_PROBLEMS` raises EnoughError, and is remembered."""

    more = False

    def append(self, problem: Problem) -> None:
        """Note one problem."""
        if len(self) >= MOST_PROBLEMS:
            self.more = True
            raise EnoughError
        super().append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Note several problems."""
        for problem in problems:
            self.append(problem)

    def told(self, config_map: str) -> tuple[Problem, ...]:
        """Each of them once, as the text runs, and that there were more."""
        found = sorted({(each.mark, each.code, each.what): each for each in self}.values(), key=by_place)
        if self.more:
            mark = Mark(config_map=config_map)
            hint = "mend those that are told here first"
            limit = str(MOST_PROBLEMS)
            found.append(
                TOO_MANY.at(mark, count=f"More than {limit}", what="problems", limit=limit, hint=hint)
            )
        return tuple(found)


class Code(Value):
    """A message code. `what` and `way_out` are templates over the fields that `at` is given."""

    id: str
    severity: Severity
    title: str
    what: str
    way_out: str

    def at(self, mark: Mark, **fields: str) -> Problem:
        """This message, at a place."""
        safe = {name: shown(value) for name, value in fields.items()}
        return Problem(
            code=self.id,
            severity=self.severity,
            mark=mark,
            what=self.what.format_map(safe),
            way_out=self.way_out.format_map(safe),
        )

    def words(self, **fields: str) -> str:
        """Code, what is wrong and the way out in one line, for an object's status."""
        problem = self.at(Mark(), **fields)
        return f"{problem.code} {problem.what}; {problem.way_out}"


CODES: dict[str, Code] = {}


def _code(number: int, title: str, what: str, way_out: str, severity: Severity = Severity.ERROR) -> Code:
    code = Code(id=f"TV{number:03d}", severity=severity, title=title, what=what, way_out=way_out)
    if code.id in CODES:
        raise ValueError(f"{code.id} is given out twice")
    CODES[code.id] = code
    return code


# --- the text ------------------------------------------------------------------------------------

SYNTAX = _code(
    1, "not YAML", "this is not YAML: {problem}", "mend it here; quote what holds {{ }} [ ] , # or a colon"
)
NOT_TEXT = _code(
    2,
    "not text",
    "not readable as text: {problem}",
    "write it as UTF-8 without control characters",
)
TOO_LARGE = _code(
    3,
    "too large",
    "too large: {size}, at most {limit}",
    "list equal machines as a group, or split it into several ConfigMaps",
)
TOO_DEEP = _code(
    4,
    "nested too deep",
    "more than {limit} lists or mappings inside each other",
    "nothing in an inventory needs that; look for a bracket too many",
)
YAML_TRICK = _code(
    5,
    "anchor, alias, tag or directive",
    "{what} is not allowed here",
    "write the value out; a list of equal machines is a group",
)
TWO_DOCUMENTS = _code(
    6,
    "second document",
    "a second YAML document begins here",
    "put it into a file of its own (another key of the ConfigMap)",
)
DUPLICATE_KEY = _code(
    7,
    "duplicate key",
    "{key} is here twice, first on line {line}",
    "join the two; YAML would drop one silently",
)
WRONG_TYPE = _code(8, "wrong type", "{what} must be {wanted}, not {got}", "write it as in: {example}")
UNKNOWN_KEY = _code(9, "unknown key", "{what} has no key {key}", "{hint}")
FILE_NAME = _code(10, "file name", "{file} would be overlooked: files end in .yaml", "name the key {wanted}")
EMPTY = _code(11, "nothing written", "{what} is empty", "write a value, or remove the line")
BINARY = _code(
    22,
    "not text, in binaryData",
    "{file} is in binaryData, where kubectl puts a file that is not UTF-8, and cannot be read there",
    "save it as UTF-8 and apply it again; iconv -f UTF-8 FILE says where it is not",
)

# --- nodes and disks ------------------------------------------------------------------------------

NODE_KEY = _code(
    12,
    "not a node",
    "{key} is neither a node's name nor an IP address",
    "write it as kubectl get nodes -o wide shows it; for many equal machines use a group with a nodeSelector",
)
SELECTOR = _code(
    13,
    "bad nodeSelector",
    "nodeSelector: {problem}",
    "write labels that kubectl get nodes --show-labels shows, as in {{hardware: tikv-10x}}",
)
LISTED_TWICE = _code(
    14, "disk listed twice", "{whose}: {disk} is listed twice, first at {first}", "keep one of the two"
)
RELATIVE = _code(
    15,
    "not an absolute path",
    "{whose}: {disk} is not an absolute path",
    "write the folder on which the disk is mounted, from the root, as in /data/nvme0",
)
NOT_PLAIN = _code(
    16,
    "path not in plain form",
    "{whose}: {disk} holds {problem}",
    "write the path as findmnt shows it, as in /data/nvme0",
)
SYSTEM_FOLDER = _code(
    17,
    "system folder",
    "{whose}: {disk} {relation}",
    "mount the disk on a folder of its own, such as /data/nvme0, and list that; a disk that is not mounted is"
    " listed as {{device: /dev/disk/by-id/NAME}}",
)
PATH_OR_DEVICE = _code(
    18,
    "neither path nor device, or both",
    "{whose}: an entry names {problem}",
    "write {{path: /data/nvme0}} or {{device: /dev/disk/by-id/NAME}}",
)
UNSTABLE = _code(
    19,
    "unstable device name",
    "{whose}: {disk} may be another disk after a reboot",
    "name it /dev/disk/by-id/…, or add serial: so that the right disk is known",
)
NOT_A_DEVICE = _code(
    20,
    "not a device name",
    "{whose}: {disk} is not the name of a whole disk",
    "name it /dev/disk/by-id/…, as ls -l /dev/disk/by-id shows it",
)
BRACES = _code(
    21,
    "bad range",
    "{whose}: {disk}: {problem}",
    "write a range as {{0..9}}, {{00..11}} or {{a..f}}, a choice as {{a,b}}",
)

# --- pools ----------------------------------------------------------------------------------------

NO_POOL = _code(
    30,
    "no pool",
    "{whose}: {disk} has no pool, and no defaultPool is set",
    "add defaultPool: NAME to the file, or pool: NAME to the entry",
)
UNKNOWN_POOL = _code(
    31, "unknown pool", "{whose}: there is no pool {pool}", "define it below pools:, or use one of: {known}"
)
NO_ON_RELEASE = _code(
    32,
    "onRelease missing",
    "pool {pool} does not say what becomes of a released disk",
    "add onRelease: wipe, or onRelease: keep to wipe only when a person says so",
)
POOL_NAME = _code(
    33,
    "bad pool name",
    "{pool} cannot name a StorageClass",
    "use at most 63 of a-z, 0-9, - and ., with a letter or digit at both ends",
)
BAD_VALUE = _code(34, "value not allowed", "{what} cannot be {value}", "use one of: {allowed}")
BAD_DURATION = _code(
    35,
    "not a duration",
    "{what}: {value} is not a duration",
    "write a number and ms, s, m, h or d, as in 90s, 1h30m or 2d",
)
METHOD = _code(
    36,
    "wipe method does not fit",
    "pool {pool} wipes with {method}, which cannot clean a {kind} ({whose}: {disk})",
    "use auto or one of: {allowed}; or put that disk into another pool",
)
MOUNT_OPTION = _code(
    37,
    "mount option",
    "pool {pool}: mount option {option} {problem}",
    "{hint}",
)
LABEL = _code(
    38, "bad label", "{what}: {problem}", "see kubectl explain pv.metadata.labels; own prefixes are free"
)
NAME = _code(
    39,
    "bad name",
    "{what}: {value} is not a name",
    "use at most 63 of a-z, 0-9 and -, with a letter or digit at both ends",
)
NOT_YET = _code(40, "not obeyed yet", "{what}: this version does not obey it yet", "{hint}")
TOGETHER = _code(41, "settings that exclude each other", "{whose}: {disk}: {problem}", "{hint}")
GLOB = _code(
    42,
    "bad never glob",
    "never: {glob} {problem}",
    "write an absolute glob, as in /dev/disk/by-id/*-BOOT* or /data/old*",
)
TOO_MANY = _code(43, "too many", "{count} {what}, at most {limit}", "{hint}")
TOO_LONG = _code(
    44,
    "duration too long",
    "{what}: {value} is longer than {limit}",
    "write a shorter one; a pool with onRelease: keep is wiped only when a person says so",
)
TAB = _code(45, "tab", "a line begins with a tab; use spaces", "put spaces in its place")
GLOBBED = _code(
    46,
    "a glob for a disk",
    "{whose}: {disk} is a glob, and what it would match differs from day to day",
    "list each disk, or write a range: /data/nvme{{0..9}}",
)
TWO_IN_ONE = _code(
    47,
    "comma forgotten",
    "{whose}: {disk} looks like two disks in one",
    "put a comma between them, or each on a line of its own that begins with -",
)

# --- several ConfigMaps ---------------------------------------------------------------------------

LISTED_ELSEWHERE = _code(
    50,
    "disk listed in another ConfigMap",
    "{whose}: {disk} is listed already at {first}",
    "remove it there first, or here",
)
POOL_DIFFERS = _code(
    51,
    "pool defined twice",
    "pool {pool} is defined otherwise at {first}: {settings}",
    "define it in one place, or the same in both",
)
DEFAULT_DIFFERS = _code(
    52,
    "two default pools",
    "defaultPool is {pool} here and {other} at {first}",
    "there is one for the whole fleet; name the pool at the entries instead",
)
POOL_USED = _code(
    53,
    "pool still used",
    "{what} would end here, but {user} uses it",
    "move or remove those disks first, or keep the pool here",
)
KEPT_GLOB = _code(
    54,
    "never glob kept",
    "never: {glob} still holds, though {file} is missing or empty",
    "to end it, apply {file} without it (never: [] is enough); or list it in another file",
    Severity.WARNING,
)
KEPT_POOL = _code(
    55,
    "pool kept",
    "{what} still holds, though {config_map} is gone or empty, since {user} uses it",
    "define it in a ConfigMap that is there",
    Severity.WARNING,
)
FORBIDDEN = _code(
    56,
    "listed and forbidden",
    "{whose}: {disk} is listed, but never: {glob} at {first} forbids it; it is not used",
    "remove one of the two",
    Severity.WARNING,
)
SAME_CONFIG_MAP = _code(
    57,
    "two ConfigMaps of one name",
    "ConfigMap {name} is here twice, first at {first}: the one that is applied last takes the other's place",
    "give one of them another name, or put their files into one ConfigMap",
)

PARTITION = _code(
    58,
    "a partition whose disk is to erase itself",
    "{whose}: {disk} is a partition by its name, and pool {pool} wipes with {method}, which erases all of its"
    " disk; no such order is carried out",
    "list the whole disk, or put the partition into a pool with another method, as overwrite:1",
    Severity.WARNING,
)

# --- what depends on the nodes that exist ---------------------------------------------------------

LIVE_TWICE = _code(
    60,
    "two entries give a node the same disk",
    "{node}: {disk} is listed through {one} and through {two}",
    "keep one of the two",
    Severity.CONFLICT,
)
IP_OF_TWO = _code(
    61,
    "an IP that two nodes have",
    "{ip} is the address of {nodes}",
    "list the disks by the node's name",
    Severity.CONFLICT,
)
IP_OF_NONE = _code(
    62,
    "an IP that no node has",
    "no node has the address {ip}; its disks wait",
    "nothing, if the machine has yet to join; else correct the address",
    Severity.CONFLICT,
)
HOSTNAME = _code(
    63,
    "one hostname label on two nodes",
    "{nodes} all carry the label kubernetes.io/hostname={hostname}; nothing is offered there",
    "give each node a hostname label of its own",
    Severity.CONFLICT,
)
NO_MATCH = _code(
    64,
    "a group that matches no node",
    "{group} matches no node",
    "nothing, if the machines have yet to join; else correct the labels",
    Severity.CONFLICT,
)
SAME_NAME = _code(
    65,
    "two disks with one volume name",
    "{node}: {one} and {two} would both be the volume {name}",
    "mount one of them elsewhere",
    Severity.CONFLICT,
)
