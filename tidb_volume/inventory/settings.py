"""A pool's settings: their names, values and defaults, and which of them this version does not obey yet.

A setting that is read and then ignored is a promise broken in silence, so what is not built is refused, from
one visible table (`NOT_YET`); building it lifts its line. Such a setting is still checked for its form, so
that a text written for the next version is told everything that is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from tidb_volume import methods, mount_options, units
from tidb_volume.inventory import codes, policy, take
from tidb_volume.inventory.codes import Problem
from tidb_volume.inventory.marks import Mark, Pairs, Scalar, Tree
from tidb_volume.inventory.model import Kind, Pool, PoolSettings, Use
from tidb_volume.inventory.places import odd_character
from tidb_volume.value import OnRelease, Value


class Setting(Value):
    """One key of a pool, as the docs show it."""

    key: str
    attribute: str
    values: str
    default: str
    holds_for: str


SETTINGS = (
    Setting(
        key="onRelease",
        attribute="on_release",
        values="`wipe`, `keep`",
        default="none, it must be said",
        holds_for="all",
    ),
    Setting(
        key="wipeAfter",
        attribute="after",
        values="a duration: `0s`, `90s`, `1h30m`, `2d`; at most `36500d`",
        default="`1h`",
        holds_for="all",
    ),
    Setting(
        key="wipe",
        attribute="wipe",
        values=(
            "`auto`; path: `files`; device: `format` (with a file system), `discard`, `zero`, `overwrite:N`"
            f" (N from 1 to {methods.MOST_PASSES}), `nvme-format`"
        ),
        default="`auto`",
        holds_for="as named",
    ),
    Setting(key="mode", attribute="mode", values="`auto`, `manual`", default="the fleet's", holds_for="all"),
    Setting(
        key="nodeLoss",
        attribute="node_loss",
        values="`wait`, `{release, after: DURATION}`",
        default="`wait`",
        holds_for="all",
    ),
    Setting(
        key="orphanedClaims",
        attribute="orphaned_claims",
        values="`off`, `{delete, after: DURATION}`",
        default="`off`",
        holds_for="all",
    ),
    Setting(
        key="namespaces",
        attribute="namespaces",
        values="a list of namespaces",
        default="none",
        holds_for="all",
    ),
    Setting(
        key="labels",
        attribute="labels",
        values="a mapping; put on the PersistentVolume",
        default="none",
        holds_for="all",
    ),
    Setting(key="gates", attribute="gates", values="a list of names", default="none", holds_for="all"),
    Setting(
        key="fsType",
        attribute="fs_type",
        values="`xfs`, `ext4`",
        default="`xfs`",
        holds_for="device with a file system",
    ),
    Setting(
        key="mountOptions",
        attribute="mount_options",
        values="a list of those below; path: only the per-mount flags",
        default="none",
        holds_for="path, device with a file system",
    ),
)

LONGEST = "36500d"
"""The longest duration there is: a countdown that never ends is `onRelease: keep`, and says so."""
FS_TYPES = tuple(mount_options.OF)
PER_MOUNT = mount_options.PER_MOUNT


class NotYet(Value):
    """A setting, or some of its values, that this version does not obey."""

    key: str
    refuses: Callable[[str], bool]
    values: str
    way_out: str


def _always(_: str) -> bool:
    return True


NOT_YET = (
    NotYet(
        key="orphanedClaims",
        refuses=lambda value: value != "off",
        values="all but `off`",
        way_out="write orphanedClaims: off; see a StatefulSet's persistentVolumeClaimRetentionPolicy",
    ),
    NotYet(
        key="namespaces",
        refuses=_always,
        values="all",
        way_out="leave it out, and keep tenants apart by a ResourceQuota for each StorageClass",
    ),
    NotYet(
        key="mountBy",
        refuses=lambda value: value == "kubelet",
        values="`kubelet`",
        way_out="leave it out; the daemon makes and mounts the file system",
    ),
)

_OPTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:=+/@-]*")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_RESERVED = re.compile(r"(.*\.)?(kubernetes\.io|k8s\.io|tidbvolume\.io)")


def is_name(text: str, longest: int = 63) -> bool:
    """Whether this is a DNS subdomain, as names of StorageClasses and Nodes are."""
    return len(text) <= longest and _SUBDOMAIN.fullmatch(text) is not None


def label_problem(key: str, value: str) -> str:
    """Why this is no label (apimachinery, IsQualifiedName and IsValidLabelValue); empty where it is one."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_name(prefix, 253):
        return f"{prefix or 'nothing'} before the / is not a domain"
    if not _LABEL_PART.fullmatch(name):
        return f"{name or 'nothing'} is not a label's name: at most 63 letters, digits, - _ ."
    if value and not _LABEL_PART.fullmatch(value):
        return f"{value} is not a label's value: at most 63 letters, digits, - _ ."
    return ""


def not_yet(key: str, value: str, what: str, mark: Mark) -> list[Problem]:
    """The refusal of a setting that is not obeyed yet, if this is one."""
    return [
        codes.NOT_YET.at(mark, what=f"{what} {value}".rstrip(), hint=row.way_out)
        for row in NOT_YET
        if row.key == key and row.refuses(value)
    ]


def read_pool(name: Scalar, tree: Tree, problems: list[Problem]) -> Pool | None:
    """One pool with its defaults filled in; None where it does not say what must be said."""
    what = f"pool {name.text}"
    named = is_name(name.text)
    if not named:
        problems.append(codes.POOL_NAME.at(name.mark, pool=name.text))
    found = take.known(tree, what, [setting.key for setting in SETTINGS], "tikv: {onRelease: wipe}", problems)
    values: dict[str, object] = {}
    marks: dict[str, Mark] = {}
    for key, (key_mark, value) in found.items():
        marks[key] = value.mark if isinstance(value, Scalar) and value.text else key_mark.mark
        read = _READERS[key](value, f"{what}: {key}", problems)
        if read is not None:
            values[_ATTRIBUTES[key]] = read
            told = _as_lever(key, read) if isinstance(value, Pairs) and key in _ACTS else _told(read)
            problems.extend(not_yet(key, told, f"{what}: {key}", marks[key]))
    on_release = values.pop("on_release", None)
    if on_release is None:
        if "onRelease" not in found:
            problems.append(codes.NO_ON_RELEASE.at(name.mark, pool=name.text))
        return None
    if not named:
        return None
    settings = PoolSettings(name=name.text, on_release=cast(OnRelease, on_release), **values)  # type: ignore[arg-type]
    return Pool(settings=settings, mark=name.mark, marks=marks)


def misfits(pool: Pool, use: Use, mark: Mark | None = None) -> list[Problem]:
    """Why a disk cannot be in this pool: its wipe method or a mount option is not for that kind of disk.

    The problem stands at `mark`, or else at the pool's own setting.
    """
    settings, kind = pool.settings, use.entry.kind
    problems: list[Problem] = []
    if not policy.fits(settings.wipe, kind):
        problems.append(
            codes.METHOD.at(
                mark or pool.where("wipe"),
                pool=settings.name,
                method=settings.wipe,
                kind=kind.value,
                whose=use.whose,
                disk=str(use.entry.source),
                allowed=", ".join(policy.FITTING[kind]),
            )
        )
    for option in settings.mount_options if kind is Kind.PATH else ():
        if option not in PER_MOUNT:
            problems.append(
                codes.MOUNT_OPTION.at(
                    mark or pool.where("mountOptions"),
                    pool=settings.name,
                    option=option,
                    problem=f"would be ignored on a path ({use.whose}: {use.entry.source})",
                    hint=f"give it where you mount the disk; a path's pool may have: {', '.join(PER_MOUNT)}",
                )
            )
    fs_type = use.entry.fs_type or settings.fs_type
    for option in settings.mount_options if kind is Kind.FILESYSTEM else ():
        if not mount_options.fits(option, fs_type):
            problems.append(
                codes.MOUNT_OPTION.at(
                    mark or pool.where("mountOptions"),
                    pool=settings.name,
                    option=option,
                    problem=f"is none of {fs_type} ({use.whose}: {use.entry.source})",
                    hint="leave it out, or say the fsType that has it",
                )
            )
    return problems


def difference(mine: PoolSettings, theirs: PoolSettings) -> str:
    """What two definitions of one pool disagree on, for people."""
    told = []
    for setting in SETTINGS:
        here, there = getattr(mine, setting.attribute), getattr(theirs, setting.attribute)
        if here != there:
            told.append(f"{setting.key} {_told(here) or 'none'} here, {_told(there) or 'none'} there")
    return "; ".join(told)


def _told(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={each}" for key, each in value.items())
    return ",".join(value) if isinstance(value, tuple) else str(value)


# --- a reader for each setting: (value, what it is, problems) to the value, None where it was refused ---


def one_of(tree: Tree, what: str, allowed: tuple[str, ...], problems: list[Problem]) -> str | None:
    """One of a few words."""
    value = take.text(tree, what, allowed[0], problems)
    if value is not None and value not in allowed:
        problems.append(codes.BAD_VALUE.at(tree.mark, what=what, value=value, allowed=", ".join(allowed)))
        return None
    return value


def _duration(tree: Tree, what: str, problems: list[Problem]) -> str | None:
    value = take.text(tree, what, "1h", problems)
    if value is None:
        return None
    try:
        # More digits are refused as they stand: an int of thousands of them takes its time.
        seconds = units.parse_duration(value) if len(value) <= 20 and value.isascii() else None
    except ValueError:
        seconds = None
    if seconds is None:
        problems.append(codes.BAD_DURATION.at(tree.mark, what=what, value=value))
    elif seconds > units.parse_duration(LONGEST):
        problems.append(codes.TOO_LONG.at(tree.mark, what=what, value=value, limit=LONGEST))
        return LONGEST  # a text that an older version accepted goes on to mean a long wait
    else:
        return value
    return None


def _method(tree: Tree, what: str, problems: list[Problem]) -> str | None:
    value = take.text(tree, what, "auto", problems)
    if value is None or value in {"auto", "files", "format", "discard", "zero", "nvme-format"}:
        return value
    if methods.passes(value):
        return value
    allowed = (
        f"auto, files, format, discard, zero, overwrite:N (N from 1 to {methods.MOST_PASSES}), nvme-format"
    )
    problems.append(codes.BAD_VALUE.at(tree.mark, what=what, value=value, allowed=allowed))
    return None


_ACTS = {"nodeLoss": "release", "orphanedClaims": "delete"}


def _as_lever(key: str, after: object) -> str:
    return f"{{{_ACTS[key]}, after: {after}}}"


def _lever(word: str, act: str) -> Callable[[Tree, str, list[Problem]], str | None]:
    """`word`, or `{act, after: DURATION}`, which reads as the duration."""

    def read(tree: Tree, what: str, problems: list[Problem]) -> str | None:
        example = f"{what.rpartition(' ')[2]}: {{{act}, after: 30m}}"
        if not isinstance(tree, Pairs):
            return one_of(tree, what, (word, f"{{{act}, after: 30m}}"), problems)
        found = take.known(tree, what, (act, "after"), example, problems)
        if act not in found or "after" not in found:
            missing = act if act not in found else "after"
            problems.append(
                codes.WRONG_TYPE.at(
                    tree.mark,
                    what=what,
                    wanted=f"both {act} and after",
                    got=f"without {missing}",
                    example=example,
                )
            )
            return None
        told = found[act][1]
        if not (isinstance(told, Scalar) and not told.text):
            problems.append(
                codes.WRONG_TYPE.at(
                    told.mark,
                    what=f"{what}: {act}",
                    wanted="a bare word",
                    got="given a value",
                    example=example,
                )
            )
        return _duration(found["after"][1], f"{what}: after", problems)

    return read


def _names(tree: Tree, what: str, problems: list[Problem]) -> tuple[str, ...]:
    found = []
    for item in take.texts(tree, what, "[one, two]", problems):
        if _DNS_LABEL.fullmatch(item.text):
            found.append(item.text)
        else:
            problems.append(codes.NAME.at(item.mark, what=what, value=item.text))
    return tuple(dict.fromkeys(found))


def _labels(tree: Tree, what: str, problems: list[Problem]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in take.pairs(tree, what, "{tier: gold}", problems):
        told = value.text if isinstance(value, Scalar) else take.text(value, what, "{tier: gold}", problems)
        if told is None:
            continue
        problem = label_problem(key.text, told)
        if not problem and _RESERVED.fullmatch(key.text.rpartition("/")[0]):
            problem = f"{key.text} is not yours to set"
        if problem:
            problems.append(codes.LABEL.at(key.mark, what=what, problem=problem))
        else:
            found[key.text] = told
    return found


def _mount_options(tree: Tree, what: str, problems: list[Problem]) -> tuple[str, ...]:
    pool = what.partition(":")[0].removeprefix("pool ")
    found = []
    for item in take.texts(tree, what, "[noatime]", problems):
        if odd_character(item.text) or not _OPTION.fullmatch(item.text):
            problem, hint = "is not one option", "write one option in each item, as in [noatime, nodiratime]"
        else:
            problem, hint = mount_options.problem(item.text)
        if not problem:
            found.append(item.text)
            continue
        problems.append(
            codes.MOUNT_OPTION.at(item.mark, pool=pool, option=item.text, problem=problem, hint=hint)
        )
    return tuple(dict.fromkeys(found))


_READERS: dict[str, Callable[[Tree, str, list[Problem]], object]] = {
    "onRelease": lambda tree, what, problems: one_of(tree, what, ("wipe", "keep"), problems),
    "wipeAfter": _duration,
    "wipe": _method,
    "mode": lambda tree, what, problems: one_of(tree, what, ("auto", "manual"), problems),
    "nodeLoss": _lever("wait", _ACTS["nodeLoss"]),
    "orphanedClaims": _lever("off", _ACTS["orphanedClaims"]),
    "namespaces": _names,
    "labels": _labels,
    "gates": _names,
    "fsType": lambda tree, what, problems: one_of(tree, what, FS_TYPES, problems),
    "mountOptions": _mount_options,
}
_ATTRIBUTES = {setting.key: setting.attribute for setting in SETTINGS}
