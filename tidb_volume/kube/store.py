"""What the API server was last seen to hold of one kind, for many readers and more than one writer.

The reflector is not the only one that writes here: who patches an object puts the answer in at once, so that
the next decision is made on what was just done (read your own writes). Then news can come out of order, and
this file decides which news is older. Three facts settle it:

- resourceVersions of one kind are integers that only grow (KEP-5504 makes it a promise), so of two versions
  of an object the larger is the newer;
- the reflector hears everything in order, so once it is at version N, an object that is absent here and comes
  with a version up to N has been deleted since;
- a uid that was deleted never comes back.

The first breaks when etcd is restored from a backup: versions run backwards, or go on with objects as they
were. A list shows it (`_is_set_back`). Then it replaces all that was known, and who remembers something of
his own is told before that (`on_set_back`), so that nothing is decided from both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec


class _Meta(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class HasMeta(Protocol):
    """An object with as much metadata as a store needs."""

    @property
    def metadata(self) -> _Meta:
        """Its metadata."""
        ...


T = TypeVar("T", bound=HasMeta)

Key = tuple[str, str]
"""Namespace and name."""


class Change(msgspec.Struct, Generic[T], frozen=True):
    """One object's change. `old` None: new here; `new` None: gone. Both: changed, maybe into another uid.

    `listed` says that it came with a whole list (the start, or after a gap) and not as live news.
    """

    old: T | None
    new: T | None
    listed: bool = False

    @property
    def key(self) -> Key:
        """Namespace and name of the object."""
        seen = self.new if self.new is not None else self.old
        assert seen is not None
        return key_of(seen)


Handler = Callable[[Change[T]], None]


def key_of(item: HasMeta) -> Key:
    """Namespace (empty if cluster-scoped) and name."""
    return item.metadata.namespace, item.metadata.name


def version_of(item: HasMeta) -> int:
    """The resourceVersion as the number that it is; 0 where there is none."""
    return int(item.metadata.resource_version or 0)


class Store(Generic[T]):
    """The cache of one kind. All methods may be called from any thread; what they return never changes.

    Handlers are called after the store has changed, outside its lock, in the thread that changed it; two
    threads' calls may overlap, so a handler should only note which key to look at.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: dict[Key, T] = {}
        self._snapshot: tuple[T, ...] | None = ()
        self._indexers: dict[str, Callable[[T], Iterable[Hashable]]] = {}
        self._indexes: dict[str, dict[Hashable, dict[Key, T]]] = {}
        self._removed: dict[Key, str] = {}
        self._heard = 0
        self._newest = 0
        self._handlers: list[Handler[T]] = []
        self._set_back: list[Callable[[], None]] = []
        self._synced = threading.Event()

    # --- reading ---

    def get(self, name: str, namespace: str = "") -> T | None:
        """One object, or None."""
        with self._lock:
            return self._items.get((namespace, name))

    def all(self) -> tuple[T, ...]:
        """Every object, in no order."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = tuple(self._items.values())
            return self._snapshot

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)

    def by_index(self, name: str, key: Hashable) -> tuple[T, ...]:
        """The objects for which the indexer `name` gave `key`."""
        with self._lock:
            return tuple(self._indexes[name].get(key, {}).values())

    def index_keys(self, name: str) -> tuple[Hashable, ...]:
        """Every key that the indexer `name` gave for at least one object."""
        with self._lock:
            return tuple(self._indexes[name])

    @property
    def synced(self) -> bool:
        """Whether a whole list has been in here; until then absence means nothing."""
        return self._synced.is_set()

    def wait_synced(self, seconds: float | None = None) -> bool:
        """Wait for the first whole list; False where it did not come in time."""
        return self._synced.wait(seconds)

    # --- set-up ---

    def add_index(self, name: str, keys: Callable[[T], Iterable[Hashable]]) -> None:
        """Index every object by the keys that `keys` gives for it; may come after objects are in."""
        with self._lock:
            self._indexers[name] = keys
            self._indexes[name] = {}
            for where, item in self._items.items():
                self._index(name, where, item)

    def on_change(self, handler: Handler[T]) -> None:
        """Have `handler` called at each change from now on."""
        self._handlers.append(handler)

    def on_set_back(self, handler: Callable[[], None]) -> None:
        """Have `handler` called when a list shows that etcd was set back, before the list can be read."""
        self._set_back.append(handler)

    # --- writing ---

    def put(self, item: T) -> bool:
        """Take an object as it was just answered or heard; False where it is not news.

        For writers: put what a create or patch answered. An object that a selector of the reflector leaves
        out should not be put, since nothing would ever take it out again.
        """
        with self._lock:
            change = self._put(item, listed=False)
        return self._tell(change)

    def remove(self, item: T, version: int = 0) -> bool:
        """Take out an object that was deleted for good; False where it was not here, or has a successor here.

        `version` is that of the deletion where it is known. For writers: only when the delete was answered as
        complete, not while a finalizer holds the object.
        """
        with self._lock:
            where = key_of(item)
            known = self._items.get(where)
            gone = max(version, version_of(item))
            self._newest = max(self._newest, gone)
            if known is not None and known.metadata.uid != item.metadata.uid and version_of(known) > gone:
                return False
            if known is not None or gone > self._heard:
                self._removed[where] = item.metadata.uid
            change = self._drop(where)
        return self._tell(change)

    # --- the reflector's side ---

    def heard(self, item: T) -> None:
        """A live ADDED or MODIFIED: put, and note that all up to its version was heard."""
        with self._lock:
            change = self._put(item, listed=False)
            self._advance(version_of(item))
        self._tell(change)

    def heard_deleted(self, item: T) -> None:
        """A live DELETED, which carries the version of the deletion."""
        with self._lock:
            where = key_of(item)
            self._advance(version_of(item))
            if self._removed.get(where) == item.metadata.uid:
                del self._removed[where]
            known = self._items.get(where)
            newer = known is not None and version_of(known) > version_of(item)
            change = None if newer else self._drop(where)
        self._tell(change)

    def heard_up_to(self, version: int) -> None:
        """A bookmark: everything up to `version` was heard."""
        with self._lock:
            self._advance(version)

    def mark(self) -> int:
        """The newest version known here; to be taken before a list is asked for, and given to `replace`."""
        with self._lock:
            return self._newest

    def replace(self, items: Iterable[T], version: int, mark: int = 0, *, set_back: bool = False) -> None:
        """A whole list as of `version`: what it lacks is gone, unless it is newer than the list.

        `mark` is that of before it was asked for. Where it comes from an etcd that was set back, as it shows
        itself or as the caller knows (`set_back`), what was known here is of another history and goes.
        """
        changes: list[Change[T] | None] = []
        listed = {key_of(item): item for item in items}
        with self._lock:
            shows = any(self._is_set_back(item, version) for item in listed.values())
            backwards = set_back or version < mark or shows
        if backwards:
            for handler in self._set_back:
                handler()
        with self._lock:
            if backwards:
                self._removed.clear()
                self._heard = self._newest = 0
            uids = {item.metadata.uid for item in listed.values()}
            for where, known in list(self._items.items()):
                if where not in listed and (backwards or version_of(known) <= version):
                    changes.append(self._drop(where, listed=True))
            for where, item in listed.items():
                changes.append(self._set(where, item) if backwards else self._put(item, listed=True))
            self._removed = {where: uid for where, uid in self._removed.items() if uid in uids}
            self._advance(version)
            self._synced.set()
        for change in changes:
            self._tell(change)

    # --- inside, under the lock ---

    def _is_set_back(self, item: T, version: int) -> bool:
        """Whether an object in a list as of `version` can't be of the history that was heard so far: a newer
        one is known up to that version, or it was heard that it is gone."""
        where = key_of(item)
        known = self._items.get(where)
        if known is not None:
            return version_of(item) < version_of(known) <= version
        return version_of(item) <= self._heard and self._removed.get(where) != item.metadata.uid

    def _put(self, item: T, *, listed: bool) -> Change[T] | None:
        where, version = key_of(item), version_of(item)
        self._newest = max(self._newest, version)
        if self._removed.get(where) == item.metadata.uid:
            return None
        known = self._items.get(where)
        if known is not None:
            if version <= version_of(known):
                return None
        elif not listed and version <= self._heard:
            return None
        return self._set(where, item, listed=listed)

    def _set(self, where: Key, item: T, *, listed: bool = True) -> Change[T] | None:
        known = self._items.get(where)
        if known is not None:
            self._unindex(where, known)
        self._items[where] = item
        self._snapshot = None
        for name in self._indexers:
            self._index(name, where, item)
        return Change(known, item, listed)

    def _drop(self, where: Key, *, listed: bool = False) -> Change[T] | None:
        known = self._items.pop(where, None)
        if known is None:
            return None
        self._snapshot = None
        self._unindex(where, known)
        return Change(known, None, listed)

    def _advance(self, version: int) -> None:
        self._heard = max(self._heard, version)
        self._newest = max(self._newest, version)

    def _index(self, name: str, where: Key, item: T) -> None:
        index = self._indexes[name]
        for key in self._indexers[name](item):
            index.setdefault(key, {})[where] = item

    def _unindex(self, where: Key, item: T) -> None:
        for name, keys in self._indexers.items():
            index = self._indexes[name]
            for key in keys(item):
                at = index.get(key)
                if at is not None and at.pop(where, None) is not None and not at:
                    del index[key]

    def _tell(self, change: Change[Any] | None) -> bool:
        if change is None:
            return False
        for handler in self._handlers:
            handler(change)
        return True
