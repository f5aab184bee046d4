"""Container images without Docker: a layer, a config and a manifest, in the form that `docker save` writes.

An archive is a function of the files alone: owner, order and times are fixed, so the same tree gives the same
image id, and an import of what a node has already costs nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from . import packages
from .build import cache_dir, locked
from .system import run, which

if TYPE_CHECKING:
    from .cluster import Cluster

PAUSE = "tidb-volume/pause:busybox"
BUSYBOX = "tidb-volume/test:busybox"
SUITE = "bookworm"
ROOTFS_PACKAGES = ("python3", "xfsprogs", "e2fsprogs", "util-linux")


class Config(msgspec.Struct, frozen=True):
    """How a container of the image is run by default."""

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    user: str = ""
    workdir: str = "/"


def pack(archive: Path, root: Path, tags: Sequence[str], config: Config) -> Path:
    """Packs the files of `root`, a folder or an uncompressed tar, as a docker archive under all the tags.

    Replaces `archive` at once or not at all, and returns it.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        layer = root
        if root.is_dir():
            layer = Path(scratch) / "layer.tar"
            _pack_tree(root, layer)
        with layer.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        described = msgspec.json.encode(
            {
                "architecture": _architecture(),
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": {
                    "Cmd": config.command or None,
                    "Entrypoint": config.entrypoint or None,
                    "Env": [f"{key}={value}" for key, value in _environment(config).items()],
                    "User": config.user,
                    "WorkingDir": config.workdir,
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tidb-volume"}],
            }
        )
        config_name = f"{hashlib.sha256(described).hexdigest()}.json"
        layer_name = f"{digest}/layer.tar"
        manifest = [{"Config": config_name, "RepoTags": list(tags), "Layers": [layer_name]}]
        finished = Path(scratch) / "archive.tar"
        with tarfile.open(finished, "w", format=tarfile.PAX_FORMAT) as out:
            _add_bytes(out, "manifest.json", msgspec.json.encode(manifest))
            _add_bytes(out, config_name, described)
            with layer.open("rb") as file:
                out.addfile(_entry(layer_name, layer.stat().st_size), file)
        finished.rename(archive)
    return archive


def rootfs(include: Sequence[str] = ROOTFS_PACKAGES) -> Path:
    """A minimal Debian with these packages, as a tar in the cache, made by mmdebstrap if it is not there.

    Needs root, or unprivileged user namespaces; about 40 s the first time.
    """
    key = hashlib.sha256(" ".join(sorted(include)).encode()).hexdigest()[:12]
    tar = cache_dir() / f"rootfs-{SUITE}" / f"{key}.tar"
    with locked(tar.with_suffix(".lock")):
        if not tar.exists():
            packages.require(packages.FOR_IMAGES)
            print(f"a Debian with {', '.join(include)}, about a minute …", file=sys.stderr, flush=True)
            fresh = tar.with_suffix(".unfinished.tar")
            drop = [
                f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")
            ]
            run(
                [
                    "mmdebstrap",
                    "--quiet",
                    "--variant=minbase",
                    *drop,
                    f"--include={','.join(include)}",
                    SUITE,
                    fresh,
                ]
            )
            fresh.rename(tar)
    return tar


def basic_images() -> Path:
    """The sandbox image and the test image, in one archive of the cache: busybox with its commands' names."""
    packages.require(packages.FOR_BASIC_IMAGES)
    busybox = which("busybox") or "/bin/busybox"
    key = hashlib.sha256(Path(busybox).read_bytes()).hexdigest()[:12]
    archive = cache_dir() / "images" / f"busybox-{key}.tar"
    with locked(archive.with_suffix(".lock")):
        if not archive.exists():
            with tempfile.TemporaryDirectory() as scratch:
                root = Path(scratch)
                for name in ("bin", "sbin", "etc", "proc", "sys", "dev", "root", "usr/bin"):
                    (root / name).mkdir(parents=True)
                (root / "tmp").mkdir()
                (root / "tmp").chmod(0o1777)
                shutil.copy(busybox, root / "bin" / "busybox")
                for applet in run([busybox, "--list"]).split():
                    link = root / "bin" / applet
                    if not link.exists():
                        link.symlink_to("busybox")
                (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
                (root / "etc" / "group").write_text("root:x:0:\n")
                # Process 1 has no default for TERM, and has to take in orphans: a bare sleep does neither.
                wait = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"
                pack(archive, root, [PAUSE, BUSYBOX], Config(command=("/bin/sh", "-c", wait)))
    return archive


def load(cluster: Cluster, archive: Path) -> None:
    """Imports a docker archive into every node of a cluster; pods use it with `imagePullPolicy: Never`."""
    with ThreadPoolExecutor(thread_name_prefix="load") as pool:
        for _ in pool.map(lambda node: node.load(archive), cluster.nodes):
            pass


def _pack_tree(root: Path, layer: Path) -> None:
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as out:
        for folder, names, files in os.walk(root):
            names.sort()
            links = [name for name in names if os.path.islink(os.path.join(folder, name))]
            for name in sorted([*files, *names]):
                path = Path(folder) / name
                out.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_fixed)
            # os.walk names a link to a folder among the folders, and does not enter it: it is packed above.
            names[:] = [name for name in names if name not in links]


def _fixed(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = 0
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    return entry


def _add_bytes(out: tarfile.TarFile, name: str, content: bytes) -> None:
    out.addfile(_entry(name, len(content)), io.BytesIO(content))


def _environment(config: Config) -> dict[str, str]:
    usual = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    return usual | dict(config.environment)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
