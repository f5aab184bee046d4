"""Several ConfigMaps, what is in force and what is new, to what is in force next.

Every ConfigMap is judged by itself first (`check`), then beside the others. A broken one keeps the content
that it has in force and holds up nobody else. Where two contradict each other, what is in force stays and
the newcomer is refused; where both are new, the first by name stays. All new ones together are tried first,
so that a disk may move from one ConfigMap to another by one `kubectl apply`; only when that fails are they
taken one by one, again and again until no more are accepted.

A ConfigMap that is gone takes its disks along (removal is harmless). Two things of it outlive it, and are
said as warnings:

- A `never` glob ends only by an edit that removes it, not by a file that is missing or broken. A file is one
  key of one ConfigMap. Its globs hold until a file under that very name says something and does not list
  them; a file without content counts as missing. A glob that another file lists as well is in that file's
  hands from then on.
- A pool (or the default pool) that disks of another ConfigMap are in. An edit that would remove it is
  refused; a ConfigMap that is deleted cannot be refused, and one that is emptied is not, so the pool stays as
  it was while it is used and nobody else defines it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

import msgspec

from tidb_volume.fleet import InventoryStatus
from tidb_volume.inventory import check, codes, expand, settings
from tidb_volume.inventory.codes import Problem, Severity
from tidb_volume.inventory.marks import Mark
from tidb_volume.inventory.model import Content, Glob, Inventory, Pool, PoolSettings, Use
from tidb_volume.value import Value

KEPT_KEY = "kept.json"
"""In the stored copy of a ConfigMap: what outlives files that are gone."""
STATUS_ERRORS = 20
"""So many messages of one ConfigMap stand in the fleet's status; the CLI shows all."""


class KeptGlob(Value):
    """A `never` glob of a file that is gone."""

    file: str
    glob: str


class Kept(Value):
    """What is still in force of files, or of a whole ConfigMap, that are gone."""

    never: tuple[KeptGlob, ...] = ()
    pools: tuple[PoolSettings, ...] = ()
    default_pool: str = ""


class Accepted(Value):
    """One ConfigMap's content in force. `store` and `load` carry it over a restart."""

    name: str
    hash: str
    data: dict[str, str]
    """The inventory's files as accepted; none of a ConfigMap that is gone and leaves something."""
    content: Content
    kept: Kept = Kept()
    problems: tuple[Problem, ...] = ()
    """What this version finds wrong with a text that an older one accepted."""


Heirloom = Mapping[str, Kept]
"""By the name of each ConfigMap that is gone: what it leaves."""


class Decision(Value):
    """What is in force next, and what is to be said of each ConfigMap."""

    in_force: dict[str, Accepted]
    inventory: Inventory
    refused: dict[str, tuple[Problem, ...]] = msgspec.field(default_factory=dict)
    """The errors of each ConfigMap whose new text was refused, in the order of the text."""
    warnings: dict[str, tuple[Problem, ...]] = msgspec.field(default_factory=dict)
    changed: tuple[str, ...] = ()
    """Whose stored copy must be written before the decision is acted on."""
    removed: tuple[str, ...] = ()
    """Whose stored copy may be deleted: the ConfigMap is gone and nothing outlives it."""
    hashes: dict[str, str] = msgspec.field(default_factory=dict)
    """The hash of each text as seen, refused or not."""


def text_hash(data: Mapping[str, str], binary: Iterable[str] = ()) -> str:
    """A digest of a ConfigMap's inventory files; other keys do not count. Of those that are no text
    (`binary`) it has the names alone, which is enough: with one of them nothing is ever accepted."""
    files = [*check.files_of(data).items(), *((file,) for file in check.files_among(binary))]
    return hashlib.sha256(msgspec.json.encode(files)).hexdigest()[:16]


def decide(
    in_force: Mapping[str, Accepted],
    seen: Mapping[str, Mapping[str, str]],
    binary: Mapping[str, Iterable[str]] | None = None,
) -> Decision:
    """What is in force next.

    `in_force`: by name, from the last decision or from `load`. `seen`: the `data` of every inventory
    ConfigMap that exists now; it must be complete, since one that is not in it counts as deleted. `binary`:
    the names in the `binaryData` of each. The same input gives the same decision; a decision fed back with
    the same `seen` changes nothing.
    """
    unread = {name: check.files_among((binary or {}).get(name, ())) for name in seen}
    hashes = {name: text_hash(data, unread[name]) for name, data in seen.items()}
    standing = {name: old for name, old in in_force.items() if name in seen}
    refused: dict[str, tuple[Problem, ...]] = {}
    candidates: dict[str, Accepted] = {}
    broken: dict[str, Content] = {}
    for name in seen:
        old = standing.get(name)
        if old is not None and old.hash == hashes[name]:
            if old.problems:
                refused[name] = old.problems
            continue
        content, problems = check.check(name, seen[name], unread[name])
        errors = tuple(problem for problem in problems if problem.severity is Severity.ERROR)
        errors = errors or _too_many_globs(in_force.get(name), content)
        if errors:
            refused[name], broken[name] = errors, content
        else:
            candidates[name] = Accepted(
                name=name, hash=hashes[name], data=check.files_of(seen[name]), content=content
            )
    emptied = {name for name, now in candidates.items() if not now.content.files}
    heirloom = _kept_pools(in_force, seen.keys() - emptied)
    accepted, contradicting = _admit(standing, candidates, heirloom)
    refused |= contradicting
    for name, content in broken.items():
        beside = [now.content for other, now in sorted(accepted.items()) if other != name]
        refused[name] = _with_contradictions(content, beside, heirloom, refused[name])
    following = _keep(in_force, accepted, heirloom)
    inventory = _inventory(following)
    changed = tuple(name for name, now in following.items() if _stored(now) != _stored(in_force.get(name)))
    return Decision(
        in_force=following,
        inventory=inventory,
        refused=dict(sorted(refused.items())),
        warnings=_warnings(following, inventory),
        changed=changed,
        removed=tuple(sorted(set(in_force) - set(following))),
        hashes=hashes,
    )


def store(accepted: Accepted) -> dict[str, str]:
    """What a copy of this ConfigMap's content in force must hold: its files, and what outlives them.

    At most `check.LIMIT_BYTES` for the files and well below 48 KB for the rest, so that it fits a ConfigMap.
    """
    kept = {} if accepted.kept == Kept() else {KEPT_KEY: msgspec.json.encode(accepted.kept).decode()}
    return {**accepted.data, **kept}


def load(name: str, data: Mapping[str, str]) -> Accepted:
    """What `store` wrote, read again after a restart.

    Never fails: what an older version accepted and this one does not understand is left out of the content,
    and said among the refusals as long as the text stays as it is. Raises ValueError only where the copy was
    tampered with so that the record of what is kept cannot be read.
    """
    files = check.files_of(data)
    content, problems = check.check(name, files)
    try:
        kept = msgspec.json.decode(data.get(KEPT_KEY, "{}"), type=Kept)
    except msgspec.DecodeError as error:
        raise ValueError(f"the stored copy of inventory {name} has a broken {KEPT_KEY}: {error}") from error
    return Accepted(
        name=name,
        hash=text_hash(files),
        data=files,
        content=content,
        kept=kept,
        problems=tuple(problem for problem in problems if problem.severity is Severity.ERROR),
    )


def statuses(decision: Decision, desired: expand.Desired) -> tuple[InventoryStatus, ...]:
    """What the fleet's status says of each inventory ConfigMap, in the order of their names.

    Errors come first, then warnings, then what waits for nodes; at most `STATUS_ERRORS` of each ConfigMap.
    """
    disks: dict[str, int] = {}
    for disk in desired.disks.values():
        disks[disk.mark.config_map] = disks.get(disk.mark.config_map, 0) + 1
    waiting: dict[str, list[str]] = {}
    for wait in desired.waiting:
        waiting.setdefault(wait.mark.config_map, []).append(f"{wait.mark}  {wait.words}")
    found = []
    for name in sorted({*decision.in_force, *decision.hashes}):
        standing = decision.in_force.get(name)
        problems = (*decision.refused.get(name, ()), *decision.warnings.get(name, ()))
        lines = [*map(str, problems), *waiting.get(name, ())]
        left = len(lines) - STATUS_ERRORS
        found.append(
            InventoryStatus(
                name=name,
                hash=decision.hashes.get(name, ""),
                accepted=standing.hash if standing is not None and name in decision.hashes else "",
                disks=disks.get(name, 0),
                errors=(*lines[:STATUS_ERRORS], *((f"and {left} more",) if left > 0 else ())),
            )
        )
    return tuple(found)


def counts(decision: Decision, desired: expand.Desired) -> dict[str, dict[Severity, int]]:
    """How much of which severity is said of each ConfigMap, of one that has nothing against it too."""
    of_nodes = Counter(wait.mark.config_map for wait in desired.waiting)
    of_nodes.update(disk.mark.config_map for disk in desired.disks.values() if disk.conflict)
    return {
        name: {
            Severity.ERROR: len(decision.refused.get(name, ())),
            Severity.WARNING: len(decision.warnings.get(name, ())),
            Severity.CONFLICT: of_nodes[name],
        }
        for name in sorted({*decision.in_force, *decision.hashes})
    }


# --- which of the newcomers are accepted ---------------------------------------------------------


def _admit(
    standing: Mapping[str, Accepted], candidates: Mapping[str, Accepted], heirloom: Heirloom
) -> tuple[dict[str, Accepted], dict[str, tuple[Problem, ...]]]:
    """What stands after the newcomers, and why the others were refused."""
    together = {**standing, **candidates}
    if not any(_contradictions(name, together, heirloom) for name in candidates):
        return together, {}
    accepted = dict(standing)
    refused: dict[str, tuple[Problem, ...]] = {}
    left = sorted(candidates)
    while left:
        before = len(left)
        for name in tuple(left):
            trial = {**accepted, name: candidates[name]}
            refused[name] = _contradictions(name, trial, heirloom)
            if not refused[name]:
                accepted = trial
                left.remove(name)
        if len(left) == before:
            break
    return accepted, {name: refused[name] for name in left}


def _contradictions(name: str, trial: Mapping[str, Accepted], heirloom: Heirloom) -> tuple[Problem, ...]:
    """Why one ConfigMap cannot stand beside the others."""
    others = [trial[other].content for other in sorted(trial) if other != name]
    return _with_contradictions(trial[name].content, others, heirloom)


def _with_contradictions(
    mine: Content, others: Sequence[Content], heirloom: Heirloom, known: tuple[Problem, ...] = ()
) -> tuple[Problem, ...]:
    """Why a content cannot stand beside the others, with what is known to be wrong with it by itself.

    Of a text with errors too, so that whoever mends it is told all at once; what depends on the parts that
    could not be read is left out.
    """
    notes = codes.Notes()
    with contextlib.suppress(codes.EnoughError):
        notes.extend(known)
        notes.extend(_all_contradictions(mine, others, heirloom, broken=bool(known)))
    return notes.told(mine.name)


def _all_contradictions(
    mine: Content, others: Sequence[Content], heirloom: Heirloom, *, broken: bool
) -> Iterable[Problem]:
    for other in others:
        yield from _against(mine, other)
    pools, default = _pools([mine, *others], heirloom)
    sound = not mine.default_pool or mine.default_pool in pools
    if not sound and not mine.cut and mine.default_pool not in mine.unread:
        known = ", ".join(sorted(pools)) or "none yet"
        mark = mine.default_mark
        yield codes.UNKNOWN_POOL.at(mark, whose="defaultPool", pool=mine.default_pool, known=known)
    for use in mine.uses:
        if use.pool or sound:
            yield from _own_use(mine, use, pools, default)
    for use in mine.left_out:
        if use.pool not in pools:
            yield from _own_use(mine, use, pools, default)
    for other in others:
        for use in other.uses:
            if use.pool or sound:
                yield from _foreign_use(mine, use, pools, default, broken=broken)


def _against(mine: Content, other: Content) -> Iterable[Problem]:
    for pool_name in mine.pools.keys() & other.pools.keys():
        pool, theirs = mine.pools[pool_name], other.pools[pool_name]
        if pool.settings != theirs.settings and pool_name not in mine.unread:
            yield codes.POOL_DIFFERS.at(
                pool.mark,
                pool=pool_name,
                first=str(theirs.mark),
                settings=settings.difference(pool.settings, theirs.settings),
            )
    if mine.default_pool and other.default_pool and mine.default_pool != other.default_pool:
        yield codes.DEFAULT_DIFFERS.at(
            mine.default_mark, pool=mine.default_pool, other=other.default_pool, first=str(other.default_mark)
        )
    for key in mine.listed.keys() & other.listed.keys():
        yield codes.LISTED_ELSEWHERE.at(
            mine.listed[key].mark, whose=key[0], disk=key[1], first=str(other.listed[key].mark)
        )


def _own_use(mine: Content, use: Use, pools: Mapping[str, Pool], default: str) -> Iterable[Problem]:
    more = f" and {use.more} more" if use.more else ""
    disk = f"{use.entry.source}{more}"
    pool = pools.get(use.pool or default)
    if (use.pool or default) in mine.unread or (mine.cut and pool is None):
        return
    if not use.pool and not default:
        yield codes.NO_POOL.at(use.entry.mark, whose=use.whose, disk=disk)
    elif pool is None:
        known = ", ".join(sorted(pools)) or "none yet"
        yield codes.UNKNOWN_POOL.at(
            use.entry.mark, whose=f"{use.whose}: {disk}", pool=use.pool or default, known=known
        )
    else:
        yield from settings.misfits(pool, use, None if pool.mark.config_map == mine.name else use.entry.mark)


def _foreign_use(
    mine: Content, use: Use, pools: Mapping[str, Pool], default: str, *, broken: bool
) -> Iterable[Problem]:
    """Another ConfigMap's disks, where my pools are what they stand on. broken: mine has an error, and what
    is not understood of it ends nobody's pool."""
    pool_name = use.pool or default
    user = f"{use.whose}: {use.entry.source} ({use.entry.mark})"
    if pool_name in mine.unread or (broken and pool_name not in pools):
        return
    if not pool_name:
        yield codes.POOL_USED.at(Mark(config_map=mine.name), what="the defaultPool", user=user)
    elif pool_name not in pools:
        yield codes.POOL_USED.at(Mark(config_map=mine.name), what=f"pool {pool_name}", user=user)
    elif pool_name in mine.pools:
        yield from settings.misfits(mine.pools[pool_name], use)
    elif not use.pool and mine.default_pool:
        yield from settings.misfits(pools[pool_name], use, mine.default_mark)


# --- what outlives files that are gone -----------------------------------------------------------


def _kept_pools(in_force: Mapping[str, Accepted], present: Set[str]) -> Heirloom:
    """By the name of each ConfigMap that is gone or empty, or was: the pools and default that it left."""
    found: dict[str, Kept] = {}
    for name, old in sorted(in_force.items()):
        pools = {pool.name: pool for pool in old.kept.pools}
        default = old.kept.default_pool
        if name not in present:
            pools |= {pool_name: pool.settings for pool_name, pool in old.content.pools.items()}
            default = old.content.default_pool or default
        if pools or default:
            found[name] = Kept(pools=tuple(pools[key] for key in sorted(pools)), default_pool=default)
    return found


def _keep(
    in_force: Mapping[str, Accepted], accepted: Mapping[str, Accepted], heirloom: Heirloom
) -> dict[str, Accepted]:
    """The accepted ConfigMaps with what outlives their files, and those that are gone and leave something.

    In the order of their names, in which all that is made of them is told.
    """
    listed = {glob.glob for now in accepted.values() for glob in now.content.never}
    following: dict[str, Accepted] = {}
    for name in sorted({*in_force, *accepted}):
        now = accepted.get(name)
        globs = _kept_globs(in_force.get(name), now.content if now is not None else None, listed)
        pools, default = _still_used(heirloom.get(name, Kept()), accepted, heirloom)
        kept = Kept(never=globs, pools=pools, default_pool=default)
        if now is not None:
            following[name] = msgspec.structs.replace(now, kept=kept)
        elif kept != Kept():
            following[name] = Accepted(
                name=name, hash=text_hash({}), data={}, content=Content(name=name), kept=kept
            )
    return following


def _kept_globs(old: Accepted | None, now: Content | None, listed: set[str]) -> tuple[KeptGlob, ...]:
    """The globs that were in force through files that say nothing any more; `listed`: by files that do."""
    if old is None:
        return ()
    said = (KeptGlob(file=glob.mark.file, glob=glob.glob) for glob in old.content.never)
    present = now.files if now is not None else ()
    found = {
        (kept.file, kept.glob): kept
        for kept in (*old.kept.never, *said)
        if kept.file not in present and kept.glob not in listed
    }
    return tuple(found[key] for key in sorted(found))


def _too_many_globs(old: Accepted | None, content: Content) -> tuple[Problem, ...]:
    """An edit that renames files again and again cannot heap up what outlives them."""
    kept = _kept_globs(old, content, {glob.glob for glob in content.never})
    count, limit = len(content.never) + len(kept), check.LIMIT_GLOBS
    mark = Mark(config_map=content.name)
    what = f"never globs ({len(kept)} of files that are gone)"
    hint = "end some by an edit of the file that lists them"
    problem = codes.TOO_MANY.at(mark, count=str(count), what=what, limit=str(limit), hint=hint)
    return (problem,) if count > limit else ()


def _still_used(
    kept: Kept, accepted: Mapping[str, Accepted], heirloom: Heirloom
) -> tuple[tuple[PoolSettings, ...], str]:
    contents = [now.content for now in accepted.values()]
    _, default = _pools(contents, heirloom)
    own_default = any(content.default_pool for content in contents)
    defined = {pool_name for content in contents for pool_name in content.pools}
    asked = {use.pool or default for content in contents for use in content.uses}
    by_default = any(not use.pool for content in contents for use in content.uses)
    pools = tuple(pool for pool in kept.pools if pool.name in asked - defined)
    return pools, kept.default_pool if by_default and not own_default else ""


# --- all together --------------------------------------------------------------------------------


def _pools(contents: Sequence[Content], heirloom: Heirloom) -> tuple[dict[str, Pool], str]:
    """Every pool by name, and the default one; who is there goes before who is gone."""
    pools: dict[str, Pool] = {}
    default = ""
    for name, kept in heirloom.items():
        for pool in kept.pools:
            pools.setdefault(pool.name, Pool(settings=pool, mark=Mark(config_map=name)))
        default = default or kept.default_pool
    said: dict[str, Pool] = {}
    own_default = ""
    for content in contents:
        for pool_name, declared in content.pools.items():
            said.setdefault(pool_name, declared)
        own_default = own_default or content.default_pool
    return {**pools, **said}, own_default or default


def _inventory(following: Mapping[str, Accepted]) -> Inventory:
    contents = tuple(now.content for now in following.values())
    heirloom = {name: now.kept for name, now in following.items()}
    pools, default = _pools(contents, heirloom)
    kept = (
        Glob(glob=glob.glob, mark=Mark(config_map=name, file=glob.file))
        for name, now in following.items()
        for glob in now.kept.never
    )
    never = (*(glob for content in contents for glob in content.never), *kept)
    return Inventory(
        pools=dict(sorted(pools.items())),
        default_pool=default,
        never=tuple(never),
        contents=tuple(content for content in contents if content.files),
    )


def _warnings(following: Mapping[str, Accepted], inventory: Inventory) -> dict[str, tuple[Problem, ...]]:
    found: dict[str, list[Problem]] = {}
    for name, now in following.items():
        problems = found.setdefault(name, [])
        for kept in now.kept.never:
            mark = Mark(config_map=name, file=kept.file)
            problems.append(codes.KEPT_GLOB.at(mark, glob=kept.glob, file=str(mark)))
        whats = [(pool.name, f"pool {pool.name}") for pool in now.kept.pools]
        if now.kept.default_pool:
            whats.append(("", f"defaultPool: {now.kept.default_pool}"))
        for pool_name, what in whats:
            user = next(
                f"{use.whose}: {use.entry.source}"
                for content in inventory.contents
                for use in content.uses
                if (use.pool or (pool_name and inventory.default_pool)) == pool_name
            )
            problems.append(codes.KEPT_POOL.at(Mark(config_map=name), what=what, config_map=name, user=user))
    for problem in (*_forbidden(inventory), *_partitions(inventory)):
        problems = found[problem.mark.config_map]
        if len(problems) < codes.MOST_PROBLEMS:
            problems.append(problem)
    return {name: tuple(sorted(problems, key=codes.by_place)) for name, problems in found.items() if problems}


def _forbidden(inventory: Inventory) -> Iterable[Problem]:
    forbids = expand.Forbids(glob.glob for glob in inventory.never)
    places = {glob.glob: glob.mark for glob in reversed(inventory.never)}
    for content in inventory.contents:
        for (whose, disk), entry in content.listed.items():
            glob = forbids(disk)
            if glob:
                first = str(places[glob])
                yield codes.FORBIDDEN.at(entry.mark, whose=whose, disk=disk, glob=glob, first=first)


_PARTITION = re.compile(r"-part[0-9]+\Z")
"""How udev's names of a partition end."""


def _partitions(inventory: Inventory) -> Iterable[Problem]:
    """Partitions in pools whose disks are to erase themselves."""
    for content in inventory.contents:
        for (whose, disk), entry in content.listed.items():
            pool = inventory.pool_of(entry)
            if pool is not None and pool.wipe == "nvme-format" and _PARTITION.search(entry.source.device):
                yield codes.PARTITION.at(entry.mark, whose=whose, disk=disk, pool=pool.name, method=pool.wipe)


def _stored(accepted: Accepted | None) -> dict[str, str] | None:
    return None if accepted is None else store(accepted)
