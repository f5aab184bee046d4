"""Renders the three CRDs from the structs of `value.py` and `fleet.py`, so that API and code stay one.

Fields, types, enums and what is required come from the structs; descriptions from their docstrings and from
`crd_words.py`. What a struct cannot say (CEL rules, columns, lengths, which objects are replaced whole)
stands here in tables.

Lengths bound what people and the inventory write, so that a CEL rule's cost is bounded. Nothing limits what
the programs write into a status: a message a word too long must not become a write that fails for ever.

`python -m deploy.generate_crds` writes `deploy/base-crds/*.yaml`; with `--check` it writes nothing and ends
with 1 where a file is not what it would write.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import yaml

from deploy.crd_words import SAID
from tidb_volume import fleet, names, value

OUT = Path(__file__).parent / "base-crds"
HEAD = "# Rendered by `python -m deploy.generate_crds` from value.py and fleet.py; a test compares them.\n"

Json = dict[str, Any]


class Column(msgspec.Struct, frozen=True):
    """A column of `kubectl get`; a wide one shows under `-o wide` alone."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    said: str = ""


class Kind(msgspec.Struct, frozen=True):
    """One CRD: how it is called, what it holds, what a list of it shows."""

    kind: str
    plural: str
    short: tuple[str, ...]
    struct: type[msgspec.Struct]
    said: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()


AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS = (
    Kind(
        kind="TidbVolume",
        plural="tidbvolumes",
        short=("tv", "tidb-volume"),
        struct=value.Volume,
        said="One local disk that the inventory lists: what was declared, who has it, where its life stands. "
        "Deleting it frees nothing: a disk whose record is gone counts as unknown, never as clean.",
        columns=(
            Column("Node", ".spec.nodeName"),
            # A union prints the first member that is there: one column for a folder or a device.
            Column("Disk", ".spec.source['path','device']"),
            Column("Pool", ".spec.pool"),
            Column("Size", ".status.capacity"),
            Column("Used", ".status.used"),
            Column("State", ".status.state", said="The phase, and in brackets what is wrong around it."),
            Column("Namespace", ".status.owner.claim.namespace", said="The owner's namespace."),
            Column("Owner", ".status.owner.pod.name", said="The pod that uses the disk now."),
            Column("Claim", ".status.owner.claim.name", said="The claim that has the disk."),
            AGE,
            Column("Reason", ".status.reason", wide=True),
            Column("Volume", ".status.volumeName", wide=True, said="The PersistentVolume."),
            Column("WipeAt", ".status.wipeAt", wide=True, said="When the countdown to the wipe ends."),
            Column("Tenancy", ".status.tenancy", wide=True),
            Column(
                "Virtual",
                ".status.identity.virtual",
                wide=True,
                said="A virtual disk's backing file; empty where it is a disk of the machine.",
            ),
        ),
        selectable=(".spec.nodeName",),
    ),
    Kind(
        kind="TidbVolumeNode",
        plural="tidbvolumenodes",
        short=("tvn",),
        struct=value.VolumeNode,
        said="What the daemon of one node sees of its machine: every disk, listed in the inventory or not. "
        "Named as the node.",
        columns=(
            Column("Daemon", ".status.daemon", said="The daemon's version."),
            Column(
                "Virtual",
                ".status.virtualDisks",
                "boolean",
                said="Virtual disks are accepted (test clusters).",
            ),
            AGE,
            Column("Boot", ".status.boot", wide=True, said="The boot id under which the node was seen."),
        ),
    ),
    Kind(
        kind="TidbVolumeFleet",
        plural="tidbvolumefleets",
        short=("tvf",),
        struct=fleet.Fleet,
        said="The one object, named fleet, with what holds for all disks: the stop button, the mode, the "
        "circuit breaker's budget. While it does not exist, everything is paused.",
        columns=(
            Column("Paused", ".spec.paused", "boolean"),
            Column("Mode", ".spec.mode"),
            Column("Tripped", ".status.breaker.tripped", "boolean", said="The circuit breaker stands open."),
            AGE,
            Column("Reason", ".status.breaker.reason", wide=True),
        ),
    ),
)

_NAMED = {"rule": "has(self.question) && self.question != ''"}
_BARE = "say which question this answers: its id stands in status.question.id"

RULES: Mapping[str, Sequence[Mapping[str, str]]] = {
    "VolumeSpec.node_name": [
        {"rule": "self == oldSelf", "message": "a disk's node never changes; list it in the inventory anew"}
    ],
    "Source": [
        {
            "rule": "(has(self.path) && self.path != '') != (has(self.device) && self.device != '')",
            "message": "a source is either a path or a device",
        }
    ],
    "Adopt": [
        {**_NAMED, "message": _BARE},
        {
            "rule": "self.action != 'Keep' || (has(self.claim) && has(self.claim.namespace) "
            "&& has(self.claim.name) && self.claim.namespace != '' && self.claim.name != '')",
            "message": "adopt: Keep reserves the disk for one claim: name its namespace and name",
        },
    ],
    "Approve": [{**_NAMED, "message": _BARE}],
    "Restore": [{**_NAMED, "message": _BARE}],
    "Answer": [{**_NAMED, "message": _BARE}],
    "Fleet": [
        {"rule": "self.metadata.name == 'fleet'", "message": "there is one fleet, and its name is fleet"},
    ],
}
"""CEL rules on a struct wherever it stands, or on one field."""

NOT_REQUIRED = {f"{struct}.question" for struct in ("Adopt", "Approve", "Restore", "Answer")}
"""Left to a CEL rule, whose message tells where the question is to be found; `Required value` would not."""

WHOLE = {
    "Order",
    "Identity",
    "DiskReport",
    "Work",
    "Question",
    "Source",
    "Owner",
    "Adopt",
    "Approve",
    "Restore",
}
"""Replaced whole by a server-side apply: half of an old order beside half of a new one would be a third."""

LENGTHS: Mapping[str, int] = {
    "VolumeSpec.node_name": 253,
    "VolumeSpec.pool": 253,
    "VolumeSpec.fs_type": 16,
    "Source.path": 4096,
    "Source.device": 4096,
    "Source.serial": 256,
    "Adopt.question": 64,
    "Adopt.by": 256,
    "Approve.question": 64,
    "Approve.by": 256,
    "Approve.method": 32,
    "Restore.question": 64,
    "Restore.by": 256,
    "Answer.question": 64,
    "Answer.by": 256,
    "Ref.namespace": 63,
    "Ref.name": 253,
    "Ref.uid": 64,
    "Admin.gates": 1024,
    "Admin.gates_passed": 64,
    "FleetSpec.approvals": 128,
}
"""maxLength of a field, or of the members of a list or map."""

COUNTS: Mapping[str, int] = {"Admin.gates": 32, "Admin.gates_passed": 32, "FleetSpec.approvals": 256}
"""maxItems or maxProperties."""

DEFAULTS: Mapping[str, Any] = {"Fleet.spec": {}, "FleetSpec.paused": False, "FleetSpec.mode": "auto"}
"""Shown by `kubectl get tvf` also where nobody set them. Any other would be frozen into objects when made."""

LIST_KEYS: Mapping[str, str] = {"VolumeStatus.conditions": "type"}

TIMES = {"Condition.last_transition_time"}


def field_docs(module: types.ModuleType) -> dict[str, str]:
    """The docstring under each field and each enum member of a module, by `Struct.field`."""
    docs: dict[str, str] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for at, below in zip(node.body, node.body[1:], strict=False):
            if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)):
                continue
            target = at.target if isinstance(at, ast.AnnAssign) else None
            if isinstance(target, ast.Name) and isinstance(below.value.value, str):
                docs[f"{node.name}.{target.id}"] = " ".join(below.value.value.split())
    return docs


DOCS = field_docs(value) | field_docs(fleet)


def description(key: str, hint: Any) -> str:
    """What `kubectl explain` says of a field. Raises LookupError where nothing says it."""
    for said in (SAID.get(key), DOCS.get(key), _struct_doc(hint)):
        if said:
            # `spec.order`: what the daemon … names its own field, which `explain` has named already.
            plain = re.sub(r"^`[a-z.]+`: ", "", said)
            return plain[0].upper() + plain[1:] if plain != said else said
    raise LookupError(f"{key}: give it a docstring or a line in crd_words.py")


def _struct_doc(hint: Any) -> str:
    for one in (hint, *typing.get_args(hint)):
        if isinstance(one, type) and issubclass(one, msgspec.Struct | StrEnum):
            return " ".join((one.__doc__ or "").split())
    return ""


def object_schema(struct: type[msgspec.Struct]) -> Json:
    """The structural schema of a struct: its properties, what is required, its CEL rules."""
    hints = typing.get_type_hints(struct)
    schema: Json = {"type": "object"}
    required: list[str] = []
    properties: Json = {}
    for field in msgspec.structs.fields(struct):
        key = f"{struct.__name__}.{field.name}"
        if hints[field.name] is value.Meta:
            continue  # the API server knows its own metadata
        if field.required and key not in NOT_REQUIRED:
            required.append(field.encode_name)
        named_in = next(each for each in struct.__mro__ if field.name in each.__annotations__)
        said = description(f"{named_in.__name__}.{field.name}", hints[field.name])
        properties[field.encode_name] = field_schema(key, hints[field.name], said)
    if required:
        schema["required"] = required
    if struct.__name__ in WHOLE:
        schema["x-kubernetes-map-type"] = "atomic"
    if rules := RULES.get(struct.__name__):
        schema["x-kubernetes-validations"] = [dict(rule) for rule in rules]
    schema["properties"] = properties
    return schema


def field_schema(key: str, hint: Any, said: str) -> Json:
    """The schema of one field, its description first."""
    schema: Json = {"description": said}
    if key in DEFAULTS:
        schema["default"] = DEFAULTS[key]
    schema |= type_schema(key, hint)
    if rules := RULES.get(key):
        schema["x-kubernetes-validations"] = [dict(rule) for rule in rules]
    return schema


def type_schema(key: str, hint: Any) -> Json:
    """The schema of a Python type. Raises TypeError for one that has none here."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (only,) = (one for one in arguments if one is not type(None))
        return type_schema(key, only)
    if origin is typing.Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        schema: Json = {"type": "array", "items": type_schema(key, arguments[0])}
        if key in COUNTS:
            schema["maxItems"] = COUNTS[key]
        if key in LIST_KEYS:
            return schema | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [LIST_KEYS[key]]}
        return schema | {"x-kubernetes-list-type": "atomic"}
    if origin is dict:
        schema = {"type": "object", "additionalProperties": type_schema(key, arguments[1])}
        return schema | ({"maxProperties": COUNTS[key]} if key in COUNTS else {})
    if hint is str:
        text: Json = {"type": "string"}
        if key in LENGTHS:
            text["maxLength"] = LENGTHS[key]
        return text | ({"format": "date-time"} if key in TIMES else {})
    if hint is bool:
        return {"type": "boolean"}
    if hint is int:
        return {"type": "integer", "format": "int64", "minimum": 0}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [str(one) for one in hint]}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return object_schema(hint)
    raise TypeError(f"{key}: no schema is known for {hint!r}")


def crd(kind: Kind) -> Json:
    """The CustomResourceDefinition of one kind."""
    root = object_schema(kind.struct)
    version: Json = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    version["schema"] = {"openAPIV3Schema": {"description": kind.said, **root}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": list(kind.short),
            },
            "versions": [version],
        },
    }


def _column(column: Column) -> Json:
    out: Json = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.said:
        out["description"] = column.said
    return out | ({"priority": 1} if column.wide else {})


def render(kind: Kind) -> str:
    """The text of one CRD's file."""
    body = yaml.dump(crd(kind), Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)
    return HEAD + body


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # a rule used twice is written twice, for people
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or compares them; returns the exit code."""
    parser = argparse.ArgumentParser(description="Render the CRDs from the structs.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a file is out of date")
    check = parser.parse_args(arguments).check
    stale = False
    for kind in KINDS:
        path = OUT / f"{kind.plural}.yaml"
        text, old = render(kind), path.read_text() if path.exists() else ""
        if check and text != old:
            stale = True
            diff = difflib.unified_diff(
                old.splitlines(), text.splitlines(), str(path), "as rendered", lineterm=""
            )
            print("\n".join(diff))
        elif not check:
            path.write_text(text)
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
