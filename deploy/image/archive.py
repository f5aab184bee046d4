"""Layers, and the archive that `docker save` would write of them.

Three layers rather than one (`tests/cluster/image.py` packs one), because a node keeps each layer once and
takes in only what it lacks: both images share their Debian, and a change of our code is two megabytes.

Owner, order and times are fixed, so that the same files are the same layer.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

EPOCH = "1970-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer(msgspec.Struct, frozen=True):
    """An uncompressed tar and its SHA-256."""

    path: Path
    digest: str


def layer(path: Path) -> Layer:
    """The layer that a tar is."""
    with path.open("rb") as file:
        return Layer(path, hashlib.file_digest(file, "sha256").hexdigest())


HIDES = ".wh."
"""Before a file's name in a layer: the layers below have that file, and the image has not (OCI image layer
specification, Whiteouts)."""


def write_layer(
    path: Path,
    trees: Iterable[tuple[Path, str]],
    executables: Mapping[str, bytes],
    hidden: Iterable[str] = (),
) -> None:
    """Writes a tar of whole trees, each below a folder of the image, and of executables by their place.

    hidden: files of the layers below that are not to be in the image, by their place.
    """
    made: set[str] = set()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for tree, below in trees:
            for file in sorted(one for one in tree.rglob("*") if one.is_file()):
                place = Path(below) / file.relative_to(tree)
                for folder in reversed(place.parents[:-1]):
                    if str(folder) not in made:
                        made.add(str(folder))
                        out.addfile(_entry(f"./{folder}", tarfile.DIRTYPE, 0o755, 0))
                _add(out, f"./{place}", file.read_bytes(), 0o644)
        for name, data in sorted(executables.items()):
            _add(out, f"./{name}", data, 0o755)
        for name in sorted(hidden):
            place = Path(name)
            _add(out, f"./{place.with_name(HIDES + place.name)}", b"", 0o644)


def pack(archive: Path, layers: Sequence[Path], tags: Sequence[str], entrypoint: str, user: str) -> None:
    """Writes the archive: the layers from the lowest up, what runs, as whom. It is replaced whole or not."""
    known = [layer(path) for path in layers]
    config = msgspec.json.encode(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(
                os.uname().machine, os.uname().machine
            ),
            "os": "linux",
            "created": EPOCH,
            "config": {
                "Entrypoint": [entrypoint],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "User": user,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one.digest}" for one in known]},
            "history": [{"created": EPOCH, "created_by": "tidb-volume"} for _ in known],
        }
    )
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    places = [f"{one.digest}/layer.tar" for one in known]
    manifest = msgspec.json.encode([{"Config": name, "RepoTags": list(tags), "Layers": places}])
    unfinished = archive.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as out:
        _add(out, "manifest.json", manifest, 0o644)
        _add(out, name, config, 0o644)
        for one, place in zip(known, places, strict=True):
            with one.path.open("rb") as file:
                out.addfile(_entry(place, tarfile.REGTYPE, 0o644, one.path.stat().st_size), file)
    unfinished.rename(archive)


def _add(out: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    out.addfile(_entry(name, tarfile.REGTYPE, mode, len(data)), io.BytesIO(data))


def _entry(name: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry
