"""An API server in memory, from the wire up; tests/unit/life/cluster.py is another, of one disk's objects.

It is a `Transport`, so everything above the transport runs on it unchanged, and it is deterministic: versions
and uids count up, time is handed in, and with `blocking=False` a watch ends once it has told all, so a test
can pull it without threads. tests/api/cases.py runs the same cases on it and on a real server; what those
cases do not cover should not be relied on here.

Modelled: uids, resourceVersions, generations, finalizers and deletion, preconditions, optimistic locks, the
status subresource, strict fields and schemas of our CRDs, the three patches, field managers, paging,
selectors, watches with bookmarks, compaction (410), and an etcd that is set back. Not modelled: CEL,
admission but for `admit`, authorization, list types other than atomic, deletion of collections.
"""

from __future__ import annotations

import base64
import bisect
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from tests.model import answers, documents, fields, resources, schema
from tests.model.documents import Document
from tests.model.resources import Address, Resource
from tidb_volume.kube import transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.kinds import Kind
from tidb_volume.units import Instant, format_instant


class Stored(NamedTuple):
    """An object and who owns its fields."""

    document: Document
    owners: fields.Owners


class Write(NamedTuple):
    """What `admit` gets to see of a create, an update or a delete."""

    verb: str
    resource: Resource
    subresource: str
    manager: str
    old: Document | None
    new: Document | None


class Snapshot(NamedTuple):
    """All of etcd, at one version."""

    version: int
    objects: dict[answers.Place, Stored]


class ApiServer:
    """The model. now: seconds since the epoch. blocking: whether a watch waits for news, as real ones do."""

    def __init__(self, *, now: Callable[[], float] = lambda: 1_700_000_000.0, blocking: bool = False) -> None:
        self.admit: list[Callable[[Write], transport.ApiError | None]] = []
        self.requests: list[tuple[str, str]] = []
        """Method and path of each request that was answered, in order; a watch is a `WATCH`."""
        self._now = now
        self._blocking = blocking
        self._known = {(each.api_version, each.plural): each for each in resources.all_resources()}
        self._changed = threading.Condition(threading.RLock())
        self._objects: dict[answers.Place, Stored] = {}
        self._version = 1
        self._compacted = 1
        self._history: list[answers.Happened] = []
        self._pages: dict[str, tuple[int, list[Document]]] = {}
        self._tokens = 0
        self._uids = 0
        self._cuts = 0
        self._bookmarks = 0

    # --- for tests ---

    def client(self, manager: str = "test") -> Client:
        """A client that talks to this server."""
        return Client(self, manager=manager)

    def document(self, kind: Kind[Any], name: str, namespace: str = "") -> Document | None:
        """The whole document as it is stored; not to be changed."""
        stored = self._objects.get((kind.plural, namespace, name))
        return stored.document if stored is not None else None

    def documents(self, kind: Kind[Any]) -> list[Document]:
        """All documents of one kind, by namespace and name."""
        with self._changed:
            return [
                stored.document for place, stored in sorted(self._objects.items()) if place[0] == kind.plural
            ]

    @property
    def version(self) -> int:
        """The version of the last write."""
        return self._version

    def compact(self) -> None:
        """Forget the history: a watch or a next page from before now is answered with 410."""
        with self._changed:
            self._compacted = self._version
            self._history.clear()
            self._pages.clear()

    def cut_watches(self) -> None:
        """Break every open watch, as a server that restarts does."""
        with self._changed:
            self._cuts += 1
            self._changed.notify_all()

    def bookmark(self) -> None:
        """Have every open watch tell how far it is."""
        with self._changed:
            self._bookmarks += 1
            self._changed.notify_all()

    def snapshot(self) -> Snapshot:
        """A backup of etcd."""
        with self._changed:
            return Snapshot(self._version, dict(self._objects))

    def restore(self, snapshot: Snapshot, bump: int = 0) -> None:
        """Set etcd back: versions run backwards and are used a second time. Watches break.

        bump: as `etcdutl snapshot restore --bump-revision --mark-compacted`: versions go on from so many
        later, and the objects have those that they had.
        """
        with self._changed:
            self._version = snapshot.version + bump
            self._objects = dict(snapshot.objects)
            self.compact()
            self.cut_watches()

    # --- Transport ---

    def request(
        self,
        method: str,
        path: str,
        *,
        query: transport.Query | None = None,
        body: bytes | None = None,
        content_type: str = transport.JSON,
        timeout: float = transport.REQUEST_TIMEOUT_S,
    ) -> transport.Response:
        """See `transport.Transport.request`."""
        asked = dict(query or {})
        content = msgspec.json.decode(body) if body else None
        with self._changed:
            self.requests.append((method, path))
            at = self._address(path)
            match method:
                case "GET" if at.name:
                    answer = self._existing(at).document
                case "GET":
                    answer = self._list(at, asked)
                case "POST":
                    answer = self._create(at, content or {}, asked)
                case "PATCH":
                    answer = self._patch(at, content_type, content, asked)
                case "DELETE":
                    answer = self._delete(at, content or {}, asked)
                case _:
                    raise answers.error(405, "MethodNotAllowed", f"{method} is not modelled")
        return transport.Response(201 if method == "POST" else 200, msgspec.json.encode(answer), {})

    def stream(
        self,
        path: str,
        *,
        query: transport.Query | None = None,
        stop: transport.Stop,
        timeout: float = transport.REQUEST_TIMEOUT_S,
    ) -> Generator[bytes, None, None]:
        """See `transport.Transport.stream`."""
        asked = dict(query or {})
        with self._changed:
            self.requests.append(("WATCH", path))
            at = self._address(path)
            chosen = answers.selection(at, asked)
            cuts, bookmarks = self._cuts, self._bookmarks
        version = int(asked["resourceVersion"])
        token = stop.register(self._wake)
        try:
            yield b""
            while not stop.is_set():
                with self._changed:
                    if self._cuts != cuts:
                        raise transport.NoAnswer(f"watch of {path}: the connection was cut")
                    if version < self._compacted:
                        yield answers.line(
                            "ERROR", answers.status(410, "Expired", f"too old resource version: {version}")
                        )
                        return
                    events = [each for each in self._after(version) if each.place[0] == at.resource.plural]
                    marked = self._bookmarks != bookmarks
                    bookmarks, upto = self._bookmarks, self._version
                    if not events and not marked and self._blocking:
                        self._changed.wait()
                        continue
                for each in events:
                    line = answers.event(each, chosen)
                    if line is not None:
                        yield line
                version = max(version, upto)
                if "allowWatchBookmarks" in asked and (marked or (not events and version == upto)):
                    yield answers.line("BOOKMARK", answers.bookmark(at.resource, version))
                if not self._blocking and not events:
                    return
        finally:
            stop.unregister(token)

    def close(self) -> None:
        """Nothing is kept open."""

    # --- reading ---

    def _address(self, path: str) -> Address:
        at = resources.find(unquote(path), self._known)
        if at is None:
            raise transport.ApiError(404, "Unknown", "404 page not found\n")
        return at

    def _existing(self, at: Address) -> Stored:
        stored = self._objects.get(_place(at))
        if stored is None:
            message = f'{at.resource.plural_and_group} "{at.name}" not found'
            raise answers.error(404, "NotFound", message, name=at.name)
        return stored

    def _list(self, at: Address, asked: Mapping[str, str]) -> Document:
        if int(asked.get("resourceVersion") or 0) > self._version:
            cause = transport.Cause(reason="ResourceVersionTooLarge")
            raise answers.error(504, "Timeout", "Timeout: Too large resource version", causes=(cause,))
        chosen = answers.selection(at, asked)
        if token := asked.get("continue"):
            if token not in self._pages:
                raise answers.error(410, "Expired", "The provided continue parameter is too old")
            version, left = self._pages[token]
        else:
            version = self._version
            found = sorted(item for item in self._objects.items() if item[0][0] == at.resource.plural)
            left = [stored.document for _, stored in found if chosen(stored.document)]
        limit = int(asked.get("limit") or 0) or len(left)
        meta = {"resourceVersion": str(version)}
        if len(left) > limit:
            self._tokens += 1
            token = base64.b64encode(f"{version}:{self._tokens}".encode()).decode()
            self._pages[token] = (version, left[limit:])
            meta["continue"] = token
        return {
            "apiVersion": at.resource.api_version,
            "kind": f"{at.resource.kind}List",
            "metadata": meta,
            "items": left[:limit],
        }

    def _after(self, version: int) -> list[answers.Happened]:
        return self._history[bisect.bisect_right(self._history, version, key=lambda each: each.version) :]

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # --- writing ---

    def _create(self, at: Address, document: Document, asked: Mapping[str, str]) -> Document:
        resource = at.resource
        meta = document.get("metadata") or {}
        at = at._replace(name=meta.get("name", ""))
        if not at.name or (resource.namespaced and not at.namespace):
            raise answers.error(
                422, "Invalid", "metadata.name: Required value: name or generateName is required"
            )
        if _place(at) in self._objects:
            message = f'{resource.plural_and_group} "{at.name}" already exists'
            raise answers.error(409, "AlreadyExists", message, name=at.name)
        if meta.get("resourceVersion"):
            raise answers.error(
                400, "BadRequest", "resourceVersion should not be set on objects to be created"
            )
        answers.refuse_unknown(at, document, asked, 400, "BadRequest")
        return self._make(at, document, {}, "create", asked)

    def _make(
        self, at: Address, document: Document, owners: fields.Owners, verb: str, asked: Mapping[str, str]
    ) -> Document:
        resource = at.resource
        meta = {**(document.get("metadata") or {})}
        self._uids += 1
        meta |= {"name": at.name, "uid": f"00000000-0000-4000-8000-{self._uids:012d}"}
        meta["creationTimestamp"] = self._stamp()
        if resource.namespaced:
            meta["namespace"] = at.namespace
        if resource.custom:
            meta["generation"] = 1
        if resource.protection:
            meta["finalizers"] = [*meta.get("finalizers", ()), resource.protection]
        made = resources.initial_status(resource, {**document, "metadata": meta})
        made = {"apiVersion": resource.api_version, "kind": resource.kind, **made}
        if resource.schema is not None:
            made = schema.defaulted(resource.schema, made)
        answers.refuse_faults(at, made)
        manager = asked.get("fieldManager", "unknown")
        self._admitted(Write(verb, resource, "", manager, None, made))
        if not owners:
            writer = fields.Manager(manager, "Update", "")
            owners = fields.update({}, made, {}, writer, answers.atomic(resource))
        return self._commit(at, None, made, owners)

    def _patch(self, at: Address, content_type: str, patch: Any, asked: Mapping[str, str]) -> Document:
        if content_type == transport.APPLY_PATCH:
            return self._apply(at, patch, asked)
        stored = self._existing(at)
        try:
            if content_type == transport.MERGE_PATCH:
                new = documents.merge(stored.document, patch)
            elif content_type == transport.JSON_PATCH:
                new = documents.json_patch(stored.document, patch)
            else:
                raise answers.error(415, "UnsupportedMediaType", f"{content_type} is not modelled")
        except documents.PatchError as error:
            message = "the server rejected our request due to an error in our request"
            raise answers.error(422, "Invalid", message) from error
        answers.refuse_unknown(at, new, asked, 422, "Invalid")
        writer = fields.Manager(asked.get("fieldManager", "unknown"), "Update", at.subresource)
        return self._update(at, stored, new, None, writer)

    def _apply(self, at: Address, document: Document, asked: Mapping[str, str]) -> Document:
        resource = at.resource
        if not asked.get("fieldManager"):
            raise answers.error(422, "Invalid", "fieldManager: Required value: is required for apply patch")
        if resource.schema is not None:
            unknown = schema.unknown(resource.schema, document)
            if unknown:
                message = f"failed to create typed patch object: .{unknown[0]}: field not declared in schema"
                raise answers.error(500, "Unknown", message)
        manager = fields.Manager(asked["fieldManager"], "Apply", at.subresource)
        stored = self._objects.get(_place(at))
        atomic = answers.atomic(resource)
        if stored is None:
            uid = document.get("metadata", {}).get("uid")
            if uid:
                message = f"uid mismatch: the provided object specified uid {uid}, and no existing object"
                raise answers.conflict(at, f"{message} was found")
            if at.subresource:
                self._existing(at)
            first = {manager: frozenset(fields.leaves(document, atomic))}
            return self._make(at, document, first, "apply", asked)
        try:
            new, owners = fields.apply(
                stored.document, stored.owners, manager, document, atomic, force=asked.get("force") == "true"
            )
        except fields.ApplyConflictError as error:
            causes = tuple(
                transport.Cause("FieldManagerConflict", f'conflict with "{other.name}"', "." + ".".join(path))
                for path, other in error.fields.items()
            )
            raise answers.error(409, "Conflict", f"Apply failed: {error}", causes=causes) from error
        meta = {**new["metadata"]}
        for name in ("uid", "resourceVersion"):
            if document.get("metadata", {}).get(name):
                meta[name] = document["metadata"][name]
        return self._update(at, stored, {**new, "metadata": meta}, owners, manager)

    def _update(
        self,
        at: Address,
        stored: Stored,
        new: Document,
        owners: fields.Owners | None,
        manager: fields.Manager,
    ) -> Document:
        old, resource = stored.document, at.resource
        before, after = old["metadata"], new["metadata"]
        if after.get("resourceVersion", before["resourceVersion"]) != before["resourceVersion"]:
            message = "the object has been modified; please apply your changes to the latest version"
            raise answers.conflict(at, f"{message} and try again")
        if at.subresource == "status" and resource.custom:
            # the server takes nothing but the status here, and does not even look at the uid
            new = {**old, "status": new["status"]} if "status" in new else answers.without_status(old)
        elif at.subresource == "status":
            new = {**new, "spec": old["spec"]} if "spec" in old else new
        elif resource.status != "kept":
            new = {**answers.without_status(new), **({"status": old["status"]} if "status" in old else {})}
        after = {**new["metadata"]}
        if after.get("uid") != before["uid"]:
            cause = transport.Cause("FieldValueInvalid", "field is immutable", "metadata.uid")
            raise answers.error(
                422, "Invalid", "metadata.uid: Invalid value: field is immutable", causes=(cause,)
            )
        added = set(after.get("finalizers", ())) - set(before.get("finalizers", ()))
        if added and "deletionTimestamp" in before:
            message = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being"
            raise answers.error(422, "Invalid", f"{message} deleted, found new finalizers {sorted(added)}")
        if resource.schema is not None:
            new = schema.defaulted(resource.schema, new)
        answers.refuse_faults(at, new)
        self._admitted(Write("update", resource, at.subresource, manager.name, old, new))
        atomic = answers.atomic(resource)
        owners = fields.update(old, new, stored.owners, manager, atomic) if owners is None else owners
        if new == old and owners == stored.owners:
            return old
        if resource.custom and new.get("spec") != old.get("spec"):
            after["generation"] = before["generation"] + 1
        new = {**new, "metadata": after}
        if "deletionTimestamp" in after and not after.get("finalizers"):
            self._gone(at, old)
            return new
        return self._commit(at, old, new, owners)

    def _delete(self, at: Address, options: Document, asked: Mapping[str, str]) -> Document:
        stored = self._existing(at)
        old, meta = stored.document, stored.document["metadata"]
        holds = options.get("preconditions", {})
        for name, field in (("UID", "uid"), ("ResourceVersion", "resourceVersion")):
            if holds.get(field, meta[field]) != meta[field]:
                message = (
                    f"the {name} in the precondition ({holds[field]}) does not match the {name} in record"
                )
                raise answers.conflict(at, f"{message} ({meta[field]})")
        manager = asked.get("fieldManager", "unknown")
        self._admitted(Write("delete", at.resource, "", manager, old, None))
        grace = answers.grace(at.resource, old, options)
        if meta.get("finalizers") or grace:
            if "deletionTimestamp" in meta and (grace or meta.get("finalizers")):
                return old
            marked = {**meta, "deletionTimestamp": self._stamp(grace), "deletionGracePeriodSeconds": grace}
            if at.resource.custom:
                marked["generation"] = meta["generation"] + 1
            return self._commit(at, old, {**old, "metadata": marked}, stored.owners)
        self._gone(at, old)
        if at.resource.returned:
            return old
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _commit(self, at: Address, old: Document | None, new: Document, owners: fields.Owners) -> Document:
        self._version += 1
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self._version)}}
        self._objects[_place(at)] = Stored(new, owners)
        self._history.append(answers.Happened(self._version, _place(at), old, new))
        self._changed.notify_all()
        return new

    def _gone(self, at: Address, old: Document) -> None:
        self._version += 1
        del self._objects[_place(at)]
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self._version)}}
        self._history.append(answers.Happened(self._version, _place(at), last, None))
        self._changed.notify_all()

    def _admitted(self, write: Write) -> None:
        for policy in self.admit:
            refusal = policy(write)
            if refusal is not None:
                raise refusal

    def _stamp(self, later: float = 0.0) -> str:
        return format_instant(Instant(self._now() + later))[:19] + "Z"


def _place(at: Address) -> answers.Place:
    return at.resource.plural, at.namespace, at.name
