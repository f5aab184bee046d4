"""Typed verbs over a transport.

What comes back is a struct that names only the fields that somebody reads. It is never written back: there is
no update (PUT) here, only create, the three patches and delete, so that a field which this version does not
know survives. Every write asks for strict field validation: a field that the server's CRD lacks is an
error, and not dropped in silence, since an order without its preconditions would be another order.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Generic, Literal, TypeVar

import msgspec

from tidb_volume.kube import codec, transport
from tidb_volume.kube.kinds import Kind

T = TypeVar("T")

PAGE = 500


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `continues` is empty on the last one."""

    items: tuple[T, ...]
    resource_version: str
    continues: str


class Seen(msgspec.Struct, Generic[T], frozen=True):
    """One event of a watch. A BOOKMARK has no object, only the version up to which all was told.

    ACCEPTED comes first and once: the server has taken the watch, and may now be silent for long.
    """

    type: Literal["ACCEPTED", "ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: T | None
    resource_version: str


class Client:
    """An API server, as the rest of the project sees it. Safe to use from several threads.

    All methods raise `transport.ApiError` (the server said no), `transport.NoAnswer` (it may have happened)
    and `codec.Undecodable`. Selectors are in kubectl's form: `a=b,c!=d`.
    """

    def __init__(
        self, over: transport.Transport, *, manager: str, timeout: float = transport.REQUEST_TIMEOUT_S
    ) -> None:
        self.transport = over
        self.manager = manager
        self._timeout = timeout

    def get(self, kind: Kind[T], name: str, namespace: str = "") -> T:
        """One object, read from the server itself; ApiError with `not_found` where there is none."""
        path = kind.path(name, namespace)
        return codec.decode(self.transport.request("GET", path, timeout=self._timeout).body, kind.type)

    def find(self, kind: Kind[T], name: str, namespace: str = "") -> T | None:
        """One object, or None where the server says that there is none."""
        try:
            return self.get(kind, name, namespace)
        except transport.ApiError as error:
            if error.not_found:
                return None
            raise

    def manager_of(
        self, kind: Kind[Any], name: str, *field: str, namespace: str = ""
    ) -> codec.Manager | None:
        """Who wrote a field of an object last, such as ("spec", "volumeMode"); None where nobody is noted.

        A manager is a program's name, which a client may choose freely, and no user.
        """
        path = kind.path(name, namespace)
        found = codec.decode(self.transport.request("GET", path, timeout=self._timeout).body, codec.Managed)
        owners = []
        for each in found.metadata.managed_fields:
            owned: Any = each.fields_v1
            for part in field:
                owned = owned.get(f"f:{part}") if isinstance(owned, dict) else None
            if owned is not None:
                owners.append(each)
        last = max(owners, key=lambda each: each.time, default=None)
        made = found.metadata.creation_timestamp or ""
        return None if last is None else msgspec.structs.replace(last, made=made)

    def whoami(self) -> str:
        """The user name that the server knows the caller by (KEP-3325)."""
        body = codec.encode({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = self.transport.request("POST", path, body=body, timeout=self._timeout)
        return codec.decode(answer.body, codec.SelfReview).status.user_info.username

    def list(
        self, kind: Kind[T], namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[tuple[T, ...], str]:
        """All objects as of one moment, and that moment's resourceVersion."""
        items: list[T] = []
        version = ""
        for page in self.pages(kind, namespace, labels=labels, fields=fields):
            items.extend(page.items)
            version = page.resource_version
        return tuple(items), version

    def pages(
        self, kind: Kind[T], namespace: str = "", *, labels: str = "", fields: str = "", limit: int = PAGE
    ) -> Iterator[Page[T]]:
        """The same page by page; `limit` 0: all in one. A token that expired is an ApiError, `gone`."""
        query = _selected(labels, fields)
        if limit:
            query["limit"] = str(limit)
        path = kind.path(namespace=namespace)
        while True:
            answer = self.transport.request("GET", path, query=query, timeout=self._timeout)
            listing = codec.decode_listing(answer.body, kind.type)
            meta = listing.metadata
            yield Page(tuple(listing.items or ()), meta.resource_version, meta.continue_)
            if not meta.continue_:
                return
            query["continue"] = meta.continue_

    def watch(
        self,
        kind: Kind[T],
        resource_version: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        stop: transport.Stop,
        seconds: int = 300,
    ) -> Generator[Seen[T], None, None]:
        """What changed after `resource_version`, until the server ends it (after `seconds`) or `stop` is set.

        An ERROR event becomes the ApiError that it holds. Who leaves it early closes it.
        """
        query = _selected(labels, fields)
        query |= {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        path = kind.path(namespace=namespace)
        with closing(
            self.transport.stream(path, query=query, stop=stop, timeout=seconds + self._timeout)
        ) as lines:
            for line in lines:
                if not line:
                    yield Seen("ACCEPTED", None, resource_version)
                    continue
                event = codec.decode(line, codec.WatchLine)
                if event.type == "ERROR":
                    status = codec.decode(event.object, transport.Status)
                    raise transport.error_of(status.code or 500, bytes(event.object), {})
                if event.type == "BOOKMARK":
                    meta = codec.decode(event.object, codec.OnlyMeta).metadata
                    yield Seen("BOOKMARK", None, meta.resource_version)
                elif event.type in ("ADDED", "MODIFIED", "DELETED"):
                    item: Any = codec.decode(event.object, kind.type)
                    yield Seen(event.type, item, item.metadata.resource_version)  # type: ignore[arg-type]
                else:
                    raise codec.Undecodable(f"a watch of {kind.name} has an event of type {event.type!r}")

    def create(self, kind: Kind[T], document: Any, namespace: str = "") -> T:
        """Make an object; `document` (a struct or a dict) gets apiVersion and kind where it has none."""
        body = _as_document(kind, document)
        return self._write("POST", kind, kind.path(namespace=namespace), transport.JSON, body)

    def merge_patch(
        self,
        kind: Kind[T],
        name: str,
        patch: Mapping[str, Any],
        namespace: str = "",
        *,
        subresource: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> T:
        """RFC 7396: what is named is set, None removes. `conflict` unless `uid` and `resource_version` hold.

        Raises ValueError for a status that is guarded by a uid alone: for a custom resource the server
        ignores it there (tried on 1.37), and the write would land on another object of this name.
        """
        body = _guarded(patch, uid, resource_version, subresource)
        path = kind.path(name, namespace, subresource)
        return self._write("PATCH", kind, path, transport.MERGE_PATCH, body)

    def json_patch(
        self,
        kind: Kind[T],
        name: str,
        operations: Sequence[Mapping[str, Any]],
        namespace: str = "",
        *,
        subresource: str = "",
    ) -> T:
        """RFC 6902. A `test` that fails is a bare 422, and so is a path that is not there."""
        path = kind.path(name, namespace, subresource)
        return self._write("PATCH", kind, path, transport.JSON_PATCH, operations)

    def apply(
        self,
        kind: Kind[T],
        name: str,
        document: Any,
        namespace: str = "",
        *,
        subresource: str = "",
        force: bool = False,
        manager: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> T:
        """Server-side apply under our field manager, or under `manager`.

        Makes the object if there is none, unless `uid` is named; drops the fields of this manager that the
        document leaves out; `conflict` where another manager owns one, unless `force`, and where `uid` or
        `resource_version` does not hold. ValueError as in `merge_patch`.
        """
        body = _guarded(_as_document(kind, document), uid, resource_version, subresource)
        body["metadata"]["name"] = name
        path = kind.path(name, namespace, subresource)
        query = {"force": "true"} if force else {}
        return self._write("PATCH", kind, path, transport.APPLY_PATCH, body, query, manager)

    def delete(
        self,
        kind: Kind[T],
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
    ) -> T | None:
        """Delete under preconditions; 409 where one does not hold, 404 where there is no such object.

        Returns None once it is gone, or the object as it now is while a finalizer still holds it.
        """
        holds = {"uid": uid, "resourceVersion": resource_version}
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        options |= {"preconditions": {what: wanted for what, wanted in holds.items() if wanted}}
        if propagation:
            options["propagationPolicy"] = propagation
        path = kind.path(name, namespace)
        body = codec.encode(options)
        answer = self.transport.request("DELETE", path, body=body, timeout=self._timeout).body
        if codec.decode(answer, codec.OnlyMeta).kind == "Status":
            return None
        left: Any = codec.decode(answer, kind.type)
        return left if left.metadata.deletion_timestamp else None

    def _write(
        self,
        method: str,
        kind: Kind[T],
        path: str,
        content_type: str,
        document: Any,
        query: Mapping[str, str] | None = None,
        manager: str = "",
    ) -> T:
        asked = {"fieldManager": manager or self.manager, "fieldValidation": "Strict", **(query or {})}
        answer = self.transport.request(
            method,
            path,
            query=asked,
            body=codec.encode(document),
            content_type=content_type,
            timeout=self._timeout,
        )
        return codec.decode(answer.body, kind.type)


def _selected(labels: str, fields: str) -> dict[str, str]:
    query = {}
    if labels:
        query["labelSelector"] = labels
    if fields:
        query["fieldSelector"] = fields
    return query


def _guarded(
    document: Mapping[str, Any], uid: str, resource_version: str, subresource: str
) -> dict[str, Any]:
    meta = {**(document.get("metadata") or {})}
    if uid:
        meta["uid"] = uid
    if resource_version:
        meta["resourceVersion"] = resource_version
    if subresource and "uid" in meta and not meta.get("resourceVersion"):
        raise ValueError(f"a uid guards no write to {subresource}: name the resourceVersion too")
    return {**document, "metadata": meta}


def _as_document(kind: Kind[Any], document: Any) -> dict[str, Any]:
    plain = msgspec.to_builtins(document)
    if not isinstance(plain, dict):
        raise TypeError(f"a {kind.name} is a document with fields, not {type(document).__name__}")
    return {"apiVersion": kind.api_version, "kind": kind.name, **plain}
