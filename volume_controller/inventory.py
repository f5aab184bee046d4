"""The inventory, live: from the ConfigMaps to the disks that are wanted, with the last good content kept.

What is decided is `tidb_volume.inventory`'s. Here is only the order in which it takes effect: the copy of
what was accepted is written before anything follows from it, so that a controller that starts over a broken
edit still knows what was in force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from tidb_volume import names
from tidb_volume.fleet import Fleet, InventoryStatus
from tidb_volume.inventory import expand, merge
from tidb_volume.inventory.expand import Desired
from tidb_volume.inventory.marks import Mark
from tidb_volume.kube import kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.events import Recorder, about
from tidb_volume.kube.store import Store
from tidb_volume.life import places
from tidb_volume.obs.log import Log
from tidb_volume.upstream import ConfigMap
from volume_controller.act import NotLeading, set_by
from volume_controller.cluster import Cluster, Key, Topic, Wanted

_log = Log(__name__)


class InventoryKeeper:
    """Takes up edits of the inventory. One thread at a time calls `look`."""

    def __init__(
        self,
        api: Client,
        cluster: Cluster,
        recorder: Recorder,
        leading: Callable[[], bool],
        listed: Callable[[str, str], None] = lambda _text, _by: None,
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._recorder = recorder
        self._leading = leading
        self._listed = listed
        """Puts on record what is in force now, and which program wrote it."""
        self._in_force: dict[str, merge.Accepted] | None = None
        self._took_effect = False
        self._told: dict[str, str] = {}

    def look(self) -> None:
        """Decide what is in force now and have every volume that it concerns looked at.

        Raises what the client raises; then nothing has changed but copies that say what was accepted.
        """
        if self._in_force is None:
            # A term begins on what the server itself has: a watch that was behind would show an older copy,
            # and an inventory decided from that would drop what was listed since.
            self._in_force = self._load(self._live(names.LABEL_LAST_GOOD, self._cluster.kept))
            found = self._live(names.LABEL_INVENTORY, self._cluster.config_maps)
        else:
            found = self._cluster.config_maps.all()
        sources = {each.metadata.name: each for each in found}
        seen = {name: dict(source.data) for name, source in sources.items()}
        binary = {name: source.binary_data for name, source in sources.items()}
        decision = merge.decide(self._in_force, seen, binary)
        for name, accepted in decision.in_force.items():
            if self._keep(name, merge.store(accepted)):
                if accepted.data:
                    text = f"ConfigMap {name} is in force as of hash {accepted.hash}"
                    by = set_by(self._api, kinds.CONFIG_MAP, name, ("data",), self._cluster.namespace)
                    self._listed(text, by)
                else:
                    self._listed(f"ConfigMap {name} is gone; what outlives it is in force", "")
        for name in decision.removed:
            if self._forget(name):
                self._listed(f"ConfigMap {name} is gone, and nothing of it is in force", "")
        self._in_force = decision.in_force
        desired = expand.expand(decision.inventory, self._cluster.nodes.all())
        self._take_effect(desired, _unread(decision))
        self._cluster.said_of_inventory = merge.counts(decision, desired)
        self._tell(decision, desired, sources)

    def _live(self, label: str, store: Store[ConfigMap]) -> tuple[ConfigMap, ...]:
        """The ConfigMaps with a label as the server has them now, put into the store too."""
        found, _ = self._api.list(kinds.CONFIG_MAP, self._cluster.namespace, labels=f"{label}=true")
        for each in found:
            store.put(each)
        return found

    def _load(self, copies: tuple[ConfigMap, ...]) -> dict[str, merge.Accepted]:
        found: dict[str, merge.Accepted] = {}
        for copy in copies:
            name = copy.metadata.annotations.get(names.LABEL_INVENTORY, "")
            if not name:
                continue
            try:
                found[name] = merge.load(name, copy.data)
            except ValueError as error:
                _log.error("a stored copy of the inventory cannot be read", inventory=name, error=str(error))
                self._say_damaged(copy, name, str(error))
                raise
        return found

    def _say_damaged(self, copy: ConfigMap, name: str, error: str) -> None:
        """Without it nothing is known to be in force, and no volume is decided about."""
        said = (
            f"ConfigMap {copy.metadata.name}: {error}; nothing is done about any disk until it is mended, or"
            " that copy is deleted: then never globs and pools of files that are gone end"
        )
        self._recorder.say(about(kinds.CONFIG_MAP, copy), "InventoryCopyDamaged", said, warning=True)
        fleet = self._cluster.fleet
        if fleet is not None:
            others = tuple(each for each in fleet.status.inventories if each.name != name)
            damaged = InventoryStatus(name=name, hash=merge.text_hash(copy.data), errors=(said,))
            self._write_inventories(fleet, (*others, damaged))

    def _keep(self, name: str, data: dict[str, str]) -> bool:
        """Write the copy of what is in force of one ConfigMap, unless it is there as it should be: whether
        it had to be written."""
        copy = _copy_name(name)
        existing = self._cluster.kept.get(copy, self._cluster.namespace)
        if existing is not None and existing.data == data:
            return False
        if not self._leading():
            raise NotLeading
        labels = {names.LABEL_LAST_GOOD: "true"}
        annotations = {names.LABEL_INVENTORY: name}
        document = {"metadata": {"name": copy, "labels": labels, "annotations": annotations}, "data": data}
        if existing is None:
            answer = self._api.create(kinds.CONFIG_MAP, document, self._cluster.namespace)
        else:
            gone = dict.fromkeys(existing.data.keys() - data.keys())
            answer = self._api.merge_patch(
                kinds.CONFIG_MAP,
                copy,
                {"data": {**data, **gone}},
                self._cluster.namespace,
                uid=existing.metadata.uid,
                resource_version=existing.metadata.resource_version,
            )
        self._cluster.kept.put(answer)
        return True

    def _forget(self, name: str) -> bool:
        """Whether there was a copy to delete."""
        existing = self._cluster.kept.get(_copy_name(name), self._cluster.namespace)
        if existing is None:
            return False
        if not self._leading():
            raise NotLeading
        try:
            self._api.delete(
                kinds.CONFIG_MAP,
                existing.metadata.name,
                self._cluster.namespace,
                uid=existing.metadata.uid,
                resource_version=existing.metadata.resource_version,
            )
        except transport.ApiError as error:
            if not error.not_found:
                raise
        self._cluster.kept.remove(existing)
        return True

    def _take_effect(self, desired: Desired, unread: tuple[str, ...]) -> None:
        cluster = self._cluster
        if not self._leading():
            raise NotLeading
        # What a term before wanted is nothing to compare with: whatever this one has looked at by now, it has
        # left alone.
        before = cluster.wanted if self._took_effect else None
        unlisted = {
            volume.metadata.name: expand.Listed(
                listing=volume.metadata.annotations.get(names.ANNOTATION_LISTING, ""),
                left=volume.metadata.annotations.get(names.ANNOTATION_LEFT, ""),
            )
            for volume in cluster.volumes.all()
            if volume.metadata.name not in desired.disks
        }
        left = expand.left_by_label(unlisted, desired)
        wanted = Wanted(desired, left, unread, expand.Forbids(desired.never))
        changed = unlisted.keys() | desired.disks.keys()
        if before is not None:
            every = before.desired.disks.keys() | desired.disks.keys()
            changed = {name for name in every if _said(before.desired, name) != _said(desired, name)}
            changed |= {name for name, _ in left.items() ^ before.left_by_label.items()}
            if before.desired.never != desired.never:
                changed |= set(self._forbidden_or_no_more(before, wanted))
            if before.unread != unread:
                changed |= unlisted.keys()
        cluster.wanted = wanted
        self._took_effect = True
        cluster.look_at_edited(changed, at_start=before is None)
        pools = {disk.pool.name for disk in desired.disks.values()}
        for pool in pools:
            cluster.queue.add(Key(Topic.CLASS, pool))

    def _forbidden_or_no_more(self, before: Wanted, now: Wanted) -> Iterator[str]:
        """The volumes of which the `never` globs say something else than before. One that is looked at for a
        glob that says nothing of it would be one of ten thousand before the one that is meant."""
        reports = self._cluster.reports
        for volume in self._cluster.volumes.all():
            found = reports.get(volume.spec.node_name)
            at = places.place(volume, found.status if found is not None else None)
            if places.forbidden(volume, at, before.forbids) != places.forbidden(volume, at, now.forbids):
                yield volume.metadata.name

    def _tell(self, decision: merge.Decision, desired: Desired, sources: dict[str, ConfigMap]) -> None:
        for name, problems in {**decision.warnings, **decision.refused}.items():
            source = sources.get(name)
            refused = name in decision.refused
            said = f"{decision.hashes.get(name, '')}:{refused}:{len(problems)}"
            if source is None or self._told.get(name) == said:
                continue
            self._told[name] = said
            first = "\n".join(map(str, problems))
            reason = "InventoryRefused" if refused else "InventoryWarning"
            self._recorder.say(about(kinds.CONFIG_MAP, source), reason, first, warning=True)
            _log.warning(
                "inventory", inventory=name, refused=refused, errors=[str(each) for each in problems]
            )
        for name in self._told.keys() - decision.refused.keys() - decision.warnings.keys():
            del self._told[name]
            source = sources.get(name)
            if source is not None:
                self._recorder.say(about(kinds.CONFIG_MAP, source), "InventoryAccepted", "in force")
        self._write_status(decision, desired)

    def _write_status(self, decision: merge.Decision, desired: Desired) -> None:
        fleet = self._cluster.fleet
        if fleet is not None:
            self._write_inventories(fleet, merge.statuses(decision, desired))

    def _write_inventories(self, fleet: Fleet, wanted: tuple[InventoryStatus, ...]) -> None:
        if fleet.status.inventories == wanted:
            return
        if not self._leading():
            raise NotLeading
        self._cluster.fleets.put(
            self._api.merge_patch(
                kinds.TIDB_VOLUME_FLEET,
                names.FLEET,
                {"status": {"inventories": [msgspec.to_builtins(each) for each in wanted]}},
                subresource="status",
                uid=fleet.metadata.uid,
                resource_version=fleet.metadata.resource_version,
            )
        )


def _unread(decision: merge.Decision) -> tuple[str, ...]:
    """The ConfigMaps that may list what we cannot read: refused, and nothing of them is in force (a copy was
    lost), or only what this version understands."""
    in_force = decision.in_force
    return tuple(
        name
        for name in sorted(decision.refused)
        if name not in in_force or not in_force[name].data or in_force[name].problems
    )


def _said(desired: Desired, name: str) -> expand.DesiredDisk | None:
    """What is wanted of a disk, wherever in the text it stands: a line put in above it changes nothing."""
    disk = desired.disks.get(name)
    return None if disk is None else msgspec.structs.replace(disk, mark=Mark())


def _copy_name(name: str) -> str:
    """The copy's name: a ConfigMap's name may have 253 characters, and the prefix needs room."""
    if len(names.LAST_GOOD) + len(name) <= 253:
        return names.LAST_GOOD + name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{names.LAST_GOOD}{name[:200]}-{digest}"
