"""The documents that only the plumbing reads: lists, watch events, leases, Events; and one way to decode.

An object that cannot be decoded is an error with its name in it, never skipped: a PersistentVolume that is
left out looks like one that does not exist, and then its disk would be offered twice.
"""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar

import msgspec

from tidb_volume.value import Meta, Value

T = TypeVar("T")


class ListMeta(Value, frozen=True):
    """What a list says of itself."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Listing(Value, Generic[T], frozen=True):
    """One page of a list."""

    metadata: ListMeta = ListMeta()
    items: list[T] | None = None


class WatchLine(Value, frozen=True):
    """One line of a watch; the object is decoded once its type is known."""

    type: str
    object: msgspec.Raw


class OnlyMeta(Value, frozen=True):
    """An object of which only the metadata matters."""

    kind: str = ""
    metadata: Meta = Meta()


class Manager(Value, frozen=True):
    """Who wrote which fields of an object, and when (metav1.ManagedFieldsEntry)."""

    manager: str = ""
    time: str = ""
    fields_v1: dict[str, Any] = msgspec.field(default_factory=dict, name="fieldsV1")
    made: str = ""
    """When the object was made; no field of the API's, filled in by the client."""


class ManagedMeta(Value, frozen=True):
    """Metadata of which only the managers matter."""

    creation_timestamp: str | None = None
    managed_fields: tuple[Manager, ...] = ()


class Managed(Value, frozen=True):
    """An object of which only the managers of its fields matter."""

    metadata: ManagedMeta = ManagedMeta()


class UserInfo(Value, frozen=True):
    """Who somebody is to the API server."""

    username: str = ""


class SelfReviewStatus(Value, frozen=True):
    """What a SelfSubjectReview is answered with."""

    user_info: UserInfo = UserInfo()


class SelfReview(Value, frozen=True):
    """A SelfSubjectReview (authentication.k8s.io/v1)."""

    status: SelfReviewStatus = SelfReviewStatus()


class LeaseSpec(Value, frozen=True):
    """A Lease's spec (coordination.k8s.io/v1). Times are RFC 3339 with microseconds, durations seconds."""

    holder_identity: str = ""
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class Lease(Value, frozen=True):
    """A Lease."""

    metadata: Meta
    spec: LeaseSpec = LeaseSpec()


class InvolvedObject(Value, frozen=True):
    """Whom an Event is about."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    kind: str = ""


class EventSource(Value, frozen=True):
    """Which program says so, and where it runs."""

    component: str = ""
    host: str = ""


class Event(Value, frozen=True):
    """A core/v1 Event, in the form that counts repeats (`count`, `lastTimestamp`)."""

    metadata: Meta
    involved_object: InvolvedObject = InvolvedObject()
    reason: str = ""
    message: str = ""
    type: str = "Normal"
    count: int = 1
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    source: EventSource = EventSource()
    reporting_component: str = ""


class Undecodable(Exception):  # noqa: N818 - says what happened
    """A document is not of the form that this version knows; names the object and the field."""


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()
"""msgspec (0.22) shows a type to other threads while it still takes it apart, and who decodes with it then
crashes the process: two lists of one kind that come at one moment are enough."""


def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    known = _decoders.get(wanted)
    if known is None:
        with _making:
            known = _decoders[wanted] = msgspec.json.Decoder(wanted)
    return known


def decode(body: bytes | msgspec.Raw, wanted: type[T]) -> T:
    """The value in `body`. Raises Undecodable with the object's name and the path of the field."""
    try:
        decoded: T = _decoder(wanted).decode(body)
        return decoded
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(f"{wanted.__name__} {_name(body)}: {error}") from error


def decode_listing(body: bytes, item: type[T]) -> Listing[T]:
    """One page. Raises Undecodable, which names the first item that does not fit."""
    try:
        page: Listing[T] = _decoder(Listing[item]).decode(body)  # type: ignore[valid-type]
        return page
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            raw = _decoder(Listing[msgspec.Raw]).decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Undecodable(f"a list of {item.__name__}: {error}") from error
        for each in raw.items or ():
            decode(each, item)
        raise Undecodable(f"a list of {item.__name__}: {error}") from error


def encode(document: Any) -> bytes:
    """JSON for a struct or a plain document."""
    return msgspec.json.encode(document)


class _Name(Value, frozen=True):
    name: str = ""
    namespace: str = ""


class _Named(Value, frozen=True):
    metadata: _Name = _Name()


def _name(body: bytes | msgspec.Raw) -> str:
    try:
        meta = _decoder(_Named).decode(body).metadata
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "(no name)"
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
