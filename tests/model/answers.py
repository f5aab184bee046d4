"""How the server answers: its errors in its own words, what a selector chooses, what a watch tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from tests.model import documents, fields, schema
from tests.model.documents import Document
from tests.model.resources import Address, Resource
from tidb_volume.kube import transport

Place = tuple[str, str, str]
"""Plural, namespace, name."""


class Happened(NamedTuple):
    """A write: the object before (None: made) and after (None: gone; then `old` carries the new version)."""

    version: int
    place: Place
    old: Document | None
    new: Document | None


def error(
    code: int, reason: str, message: str, *, name: str = "", causes: tuple[transport.Cause, ...] = ()
) -> transport.ApiError:
    return transport.ApiError(code, reason, message, details=transport.Details(name=name, causes=causes))


def conflict(at: Address, message: str) -> transport.ApiError:
    what = f'Operation cannot be fulfilled on {at.resource.plural_and_group} "{at.name}"'
    return error(409, "Conflict", f"{what}: {message}", name=at.name)


def refuse_unknown(at: Address, document: Document, asked: Mapping[str, str], code: int, reason: str) -> None:
    if at.resource.schema is None or asked.get("fieldValidation") != "Strict":
        return
    unknown = schema.unknown(at.resource.schema, document)
    if unknown:
        raise error(code, reason, f'strict decoding error: unknown field "{unknown[0]}"')


def refuse_faults(at: Address, document: Document) -> None:
    if at.resource.schema is None:
        return
    found = schema.faults(at.resource.schema, document)
    if found:
        causes = tuple(transport.Cause("FieldValueInvalid", words, path) for path, words in found)
        words = "; ".join(f"{path}: {why}" for path, why in found)
        raise error(422, "Invalid", f'{at.resource.kind} "{at.name}" is invalid: {words}', causes=causes)


def without_status(document: Document) -> Document:
    return {key: each for key, each in document.items() if key != "status"}


def grace(resource: Resource, document: Document, options: Document) -> int:
    """Seconds that a pod on a node is given; the kubelet then deletes it with 0."""
    if resource.kind != "Pod" or not document["spec"].get("nodeName"):
        return 0
    return int(options.get("gracePeriodSeconds", document["spec"].get("terminationGracePeriodSeconds", 30)))


def atomic(resource: Resource) -> fields.Atomic:
    if resource.schema is None:
        return lambda _: False
    known = resource.schema
    return lambda path: schema.atomic(known, path)


def selection(at: Address, asked: Mapping[str, str]) -> Callable[[Document], bool]:
    allowed = ("metadata.name", "metadata.namespace", *at.resource.selectable)
    try:
        by_labels = documents.label_selector(asked.get("labelSelector", ""))
        by_fields = documents.field_selector(asked.get("fieldSelector", ""), allowed)
    except ValueError as unreadable:
        raise error(400, "BadRequest", str(unreadable)) from unreadable

    def chosen(document: Document) -> bool:
        meta = document["metadata"]
        if at.namespace and meta.get("namespace") != at.namespace:
            return False
        return by_labels(meta.get("labels") or {}) and by_fields(document)

    return chosen


def event(each: Happened, chosen: Callable[[Document], bool]) -> bytes | None:
    """What a watch tells of a write: leaving the selection is a DELETED, entering it an ADDED."""
    was = each.old is not None and chosen(each.old)
    now = each.new is not None and chosen(each.new)
    if now:
        return line("MODIFIED" if was else "ADDED", each.new)
    if was and each.old is not None:
        meta = {**each.old["metadata"], "resourceVersion": str(each.version)}
        return line("DELETED", {**each.old, "metadata": meta})
    return None


def line(type_: str, item: Any) -> bytes:
    return msgspec.json.encode({"type": type_, "object": item})


def bookmark(resource: Resource, version: int) -> Document:
    meta = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}


def status(code: int, reason: str, message: str) -> Document:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
