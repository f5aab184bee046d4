"""Volumes, nodes and claims in a line each, and a screen that is read afterwards."""

from __future__ import annotations

import io
from typing import Any

from tidb_volume import names
from tidb_volume.cli.render import Line, Screen
from tidb_volume.cli.wishes import Amounts, Wish, WishSpec
from tidb_volume.units import Instant, format_instant
from tidb_volume.upstream import Node, NodeCondition, NodeSpec, NodeStatus, PhaseOnly, Pv, PvSpec, Taint
from tidb_volume.value import (
    Admin,
    Condition,
    Content,
    DiskReport,
    Identity,
    Meta,
    Owner,
    Phase,
    Presence,
    Question,
    Ref,
    SlimMeta,
    Source,
    Volume,
    VolumeSpec,
    VolumeStatus,
    WipePolicy,
)

NOW = Instant(1_800_000_000.0)
HOSTILE = "a\x1b[31mred\x1b]0;title\x07\nfleet paused\r\x9b2J\u202egnp.exe<b>&amp;"
"""What a tenant or a disk may name something: escapes, a line of its own, direction marks, HTML."""


def at(seconds: float) -> str:
    return format_instant(Instant(NOW + seconds))


def volume(
    name: str = "node-1-data-nvme0-abc123",
    phase: Phase = Phase.AVAILABLE,
    *,
    node: str = "node-1",
    path: str = "/data/nvme0",
    device: str = "",
    pool: str = "tikv",
    mode: Any = "Filesystem",
    gib: int = 100,
    reason: str = "",
    message: str = "",
    owner: str = "",
    admin: Admin | None = None,
    conditions: tuple[str, ...] = (),
    question: str = "",
    question_kind: str = "release",
    content: Content = Content.TENANCY,
    note: str = "",
    serial: str = "S-1",
    **status: Any,
) -> Volume:
    namespace, _, claim = owner.partition("/")
    report = DiskReport(
        presence=Presence.OK,
        identity=Identity(serial=serial, model="DISK", size_bytes=gib << 30),
        capacity_bytes=gib << 30,
        content=content,
        content_note=note,
    )
    return Volume(
        metadata=Meta(name=name, uid=f"uid-{name}", creation_timestamp=at(-86400)),
        spec=VolumeSpec(
            node_name=node,
            pool=pool,
            source=Source(device=device) if device else Source(path=path),
            volume_mode=mode,
            wipe=WipePolicy(on_release="wipe", after="1h", method="files"),
            admin=admin or Admin(),
        ),
        status=VolumeStatus(
            phase=phase,
            state=phase.value,
            reason=reason,
            message=message,
            owner=Owner(claim=Ref(namespace=namespace, name=claim, uid="c")) if owner else None,
            volume_name=f"pv-{name}",
            conditions=tuple(Condition(type=each, status="True", reason=each) for each in conditions),
            question=Question(id=question, kind=question_kind, about="x", text="?") if question else None,
            disk=report,
            **status,
        ),
    )


def pv(of: Volume, *, phase: str = "Available", claim_ref: Ref | None = None, **labels: str) -> Pv:
    return Pv(
        metadata=Meta(
            name=of.status.volume_name, uid="pv-uid", labels={names.LABEL_DISK: of.metadata.name, **labels}
        ),
        spec=PvSpec(
            capacity={"storage": f"{of.status.disk.capacity_bytes // 1024 if of.status.disk else 0}Ki"},
            storage_class_name=of.spec.pool,
            volume_mode=of.spec.volume_mode,
            claim_ref=claim_ref,
        ),
        status=PhaseOnly(phase=phase),
    )


def node(name: str, *, ready: bool = True, taints: tuple[Taint, ...] = (), **labels: str) -> Node:
    return Node(
        metadata=Meta(name=name, labels={names.HOSTNAME: name, **labels}),
        spec=NodeSpec(taints=taints),
        status=NodeStatus(conditions=(NodeCondition(type="Ready", status="True" if ready else "False"),)),
    )


def wish(size: str = "50Gi", pool: str = "tikv", **spec: Any) -> Wish:
    return Wish(
        metadata=SlimMeta(name="data-0", namespace="db"),
        spec=WishSpec(
            storage_class_name=pool,
            access_modes=("ReadWriteOnce",),
            resources=Amounts(requests={"storage": size}),
            **spec,
        ),
        status=PhaseOnly(phase="Pending"),
    )


class Terminal(io.StringIO):
    """A stream that says that somebody looks at it."""

    def isatty(self) -> bool:
        return True


def screen(*, terminal: bool = False, environ: dict[str, str] | None = None) -> Screen:
    made = Terminal if terminal else io.StringIO
    return Screen(made(), made(), environ or {})


def text(lines: list[Line]) -> str:
    return "\n".join(line.text.rstrip() for line in lines)
