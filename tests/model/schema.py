"""A CRD's structural schema, as far as it refuses documents: what our own CRDs say, read from `deploy/`.

Types, required and unknown fields, enums, patterns, bounds and defaults are checked as the server does it.
CEL rules are not: what leans on them belongs into tests/api.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.model import documents

CRDS = Path(__file__).parents[2] / "deploy" / "base-crds"

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


class Definition(msgspec.Struct, frozen=True):
    """What a CRD says."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool
    status: bool
    selectable: tuple[str, ...]
    schema: Mapping[str, Any]


@cache
def definitions() -> tuple[Definition, ...]:
    """Every CRD of ours."""
    found = []
    for file in sorted(CRDS.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document.get("kind") == "CustomResourceDefinition":
                found.append(_definition(document["spec"]))
    return tuple(found)


def _definition(spec: Mapping[str, Any]) -> Definition:
    (version,) = spec["versions"]
    return Definition(
        kind=spec["names"]["kind"],
        group=spec["group"],
        version=version["name"],
        plural=spec["names"]["plural"],
        namespaced=spec["scope"] == "Namespaced",
        status="status" in version.get("subresources", {}),
        selectable=tuple(each["jsonPath"].lstrip(".") for each in version.get("selectableFields", ())),
        schema=version["schema"]["openAPIV3Schema"],
    )


def atomic(schema: Mapping[str, Any], path: documents.Path) -> bool:
    """Whether the map at `path` has one owner as a whole."""
    for step in path:
        below = schema.get("properties", {}).get(step) or schema.get("additionalProperties")
        if not isinstance(below, Mapping):
            return False
        schema = below
    return schema.get("x-kubernetes-map-type") == "atomic"


def unknown(schema: Mapping[str, Any], value: Any, path: str = "") -> list[str]:
    """The fields of `value` that the schema does not have."""
    if isinstance(value, list):
        items = schema.get("items", {})
        return [each for i, item in enumerate(value) for each in unknown(items, item, f"{path}[{i}]")]
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    known, others = schema.get("properties"), schema.get("additionalProperties")
    found: list[str] = []
    for name, below in value.items():
        at = f"{path}.{name}".lstrip(".")
        if not path and name in ("apiVersion", "kind", "metadata"):
            continue
        if known is not None and name in known:
            found += unknown(known[name], below, at)
        elif isinstance(others, Mapping):
            found += unknown(others, below, at)
        elif known is not None and not others:
            found.append(at)
    return found


def defaulted(schema: Mapping[str, Any], value: Any) -> Any:
    """`value` with the schema's defaults filled in, inside what is there."""
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, below in schema.get("properties", {}).items():
        if name not in filled and "default" in below:
            filled[name] = below["default"]
        if name in filled:
            filled[name] = defaulted(below, filled[name])
    return filled


def faults(schema: Mapping[str, Any], value: Any, path: str = "") -> list[tuple[str, str]]:
    """Where `value` does not fit, and in what words."""
    wanted = schema.get("type")
    fits = _TYPES.get(wanted, (object,)) if wanted else (object,)
    if not isinstance(value, fits) or (isinstance(value, bool) and wanted not in ("boolean", None)):
        return [(path, f"{path} in body must be of type {wanted}")]
    found: list[tuple[str, str]] = []
    if "enum" in schema and value not in schema["enum"]:
        found.append((path, f"Unsupported value: {value!r}"))
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append((path, f"should match {schema['pattern']!r}"))
        if len(value) > schema.get("maxLength", len(value)) or len(value) < schema.get("minLength", 0):
            found.append((path, "Too long or too short"))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            found.append((path, "out of bounds"))
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            found.append((path, "Too many"))
        for i, item in enumerate(value):
            found += faults(schema.get("items", {}), item, f"{path}[{i}]")
    elif isinstance(value, dict):
        found += [
            (f"{path}.{name}".lstrip("."), "Required value")
            for name in schema.get("required", ())
            if name not in value
        ]
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, below in value.items():
            inner = known.get(name, others)
            if isinstance(inner, Mapping) and name != "metadata":
                found += faults(inner, below, f"{path}.{name}".lstrip("."))
    return found
