"""The two images, made without a Docker daemon: a minimal Debian, the pinned wheels, our packages, bytecode.

Three layers of work, each kept in the cache under a key of what it is made from, so that a change of our code
costs a few seconds: the Debian root (mmdebstrap), the wheels (pip, by the hashes in `*.lock`), the archive.

Bytecode is compiled here, since a program with a read-only root would compile at every start (4.6 s of CPU
and 64 MB more for the controller). It is `unchecked-hash`: pip and tar change times, and bytecode that is
compared with a source's time would be thrown away. The daemon's image holds no `kubernetes` package, which
would be 44 MB of memory a node. `*.Dockerfile` beside this say the same for those who have Docker.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import io
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path

import msgspec

from tests.cluster.build import cache_dir, locked
from tests.cluster.image import Config, pack, rootfs

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

PYTHON = "3.11"
"""Debian 12's."""
MAGIC = (3495).to_bytes(2, "little") + b"\r\n"
"""What bytecode of Python 3.11 begins with (CPython, Lib/importlib/_bootstrap_external.py)."""
SITE = f"usr/local/lib/python{PYTHON}/dist-packages"
"""On Debian's own `sys.path`, so that no variable has to say where our code is."""
GLIBC = ("manylinux_2_36", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1")
"""Wheels that Debian 12's C library (2.36) can load."""
MACHINES = ("x86_64", "aarch64")

SCRIPT = """#!/usr/bin/python3
import sys

from {module} import main

sys.exit(main())
"""


class ImageError(Exception):
    """An image could not be made; the text says why, and the way out."""


class Image(msgspec.Struct, frozen=True):
    """One image: what is installed from where, and what runs as whom."""

    name: str
    packages: tuple[str, ...]
    extras: tuple[str, ...]
    debian: tuple[str, ...]
    scripts: Mapping[str, str]
    user: str

    @property
    def lock(self) -> Path:
        """The pinned wheels."""
        return HERE / f"{self.name}.lock"

    @property
    def program(self) -> str:
        """What a container runs."""
        return f"/usr/local/bin/{next(iter(self.scripts))}"


IMAGES = (
    Image(
        name="controller",
        packages=("tidb_volume", "volume_controller"),
        extras=("controller", "cli"),
        debian=("python3",),
        scripts={
            "volume-controller": "volume_controller.__main__",
            "tidb-volume": "tidb_volume.cli.__main__",
        },
        user="65532:65532",
    ),
    Image(
        name="daemon",
        packages=("tidb_volume", "disk_daemon"),
        extras=(),
        debian=("python3", "xfsprogs", "e2fsprogs", "util-linux"),
        scripts={"disk-daemon": "disk_daemon.__main__"},
        user="",
    ),
)


def image(name: str) -> Image:
    """The image of that name. Raises ImageError where there is none."""
    for one in IMAGES:
        if one.name == name:
            return one
    raise ImageError(f"{name}: no such image; there are {', '.join(one.name for one in IMAGES)}")


def build(name: str) -> Path:
    """The docker archive of one image, tagged `tidb-volume/NAME:dev` and with the package's version.

    Made if it is not in the cache yet. Raises ImageError, or the cluster tool's own error from mmdebstrap.
    """
    one = image(name)
    base = rootfs(one.debian)
    archive = cache_dir() / "images" / f"{name}-{_key(one, base)}.tar"
    with locked(archive.with_suffix(".lock")):
        if not archive.exists():
            site = wheels(one)
            with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
                layer = Path(scratch) / "layer.tar"
                shutil.copyfile(base, layer)
                _add(layer, one, site, Path(scratch))
                tags = [f"tidb-volume/{name}:{tag}" for tag in ("dev", version())]
                config = Config(entrypoint=(one.program,), user=one.user)
                pack(archive, layer, tags, config)
    return archive


def wheels(one: Image) -> Path:
    """The folder of the cache with exactly the wheels of the image's lock, and their bytecode."""
    if importlib.util.MAGIC_NUMBER != MAGIC:
        raise ImageError(f"bytecode for the images is made by Python {PYTHON}, this is {sys.version}")
    key = hashlib.sha256(one.lock.read_bytes()).hexdigest()[:12]
    site = cache_dir() / "wheels" / f"cp311-{os.uname().machine}-{key}"
    with locked(site.with_suffix(".lock")):
        if not site.exists():
            fresh = site.with_suffix(".unfinished")
            shutil.rmtree(fresh, ignore_errors=True)
            only = ["--require-hashes", "--no-deps", "--no-compile", f"--target={fresh}"]
            _pip("install", *only, *_platform(os.uname().machine), f"--requirement={one.lock}")
            shutil.rmtree(fresh / "bin", ignore_errors=True)
            compile_tree(fresh, f"/{SITE}")
            fresh.rename(site)
    return site


def compile_tree(tree: Path, prefix: str) -> None:
    """Compiles all of a tree; tracebacks will name the files as below `prefix`. Raises ImageError."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        tree, quiet=1, workers=0, stripdir=str(tree), prependdir=prefix, invalidation_mode=mode
    ):
        raise ImageError(f"{tree}: not all of it compiles")


def lock(one: Image) -> None:
    """Writes the newest wheels that setup.cfg allows, for every machine, to the image's lock."""
    found: dict[str, set[str]] = {}
    for machine in MACHINES:
        only = ["--dry-run", "--ignore-installed", "--report=-", "--target=/nonexistent"]
        report = json.loads(_pip("install", *only, *_platform(machine), *requirements(one.extras)))
        for item in report["install"]:
            pinned = f"{item['metadata']['name'].lower().replace('_', '-')}=={item['metadata']['version']}"
            found.setdefault(pinned, set()).add(item["download_info"]["archive_info"]["hashes"]["sha256"])
    lines = [f"# Written by `python -m deploy.image lock` for {' and '.join(MACHINES)}."]
    for pinned in sorted(found):
        lines.append(" \\\n    ".join([pinned, *(f"--hash=sha256:{one}" for one in sorted(found[pinned]))]))
    one.lock.write_text("\n".join(lines) + "\n")


def requirements(extras: Sequence[str]) -> list[str]:
    """What setup.cfg asks for, with these extras."""
    options = _setup()
    texts = [options["options"]["install_requires"]]
    texts += [options["options.extras_require"][extra] for extra in extras]
    lines = {line.strip() for text in texts for line in text.splitlines()}
    return sorted(line for line in lines if line and not line.startswith("#"))


def version() -> str:
    """The package's version."""
    return _setup()["metadata"]["version"]


def _setup() -> ConfigParser:
    options = ConfigParser(interpolation=None)
    options.read(ROOT / "setup.cfg")
    return options


def _sources(one: Image) -> Iterator[tuple[str, Path]]:
    """Our files that go into the image, by their place below the site's folder."""
    for package in one.packages:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(ROOT)), path


def _key(one: Image, base: Path) -> str:
    digest = hashlib.sha256(msgspec.json.encode([one, base.name, base.stat().st_mtime_ns, version()]))
    digest.update(one.lock.read_bytes() + Path(__file__).read_bytes())
    for name, path in _sources(one):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _add(layer: Path, one: Image, site: Path, scratch: Path) -> None:
    """Adds wheels, our packages and the scripts to the layer."""
    ours = scratch / "ours"
    for name, path in _sources(one):
        target = ours / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    compile_tree(ours, f"/{SITE}")
    with tarfile.open(layer, "a", format=tarfile.PAX_FORMAT) as out:
        made: set[str] = set()
        for tree in (site, ours):
            for path in sorted(tree.rglob("*")):
                inside = path.relative_to(tree)
                if path.is_dir():
                    continue
                for folder in reversed((Path(SITE) / inside).parents[:-1]):
                    if str(folder) not in made:
                        made.add(str(folder))
                        out.addfile(_entry(f"./{folder}", tarfile.DIRTYPE, 0o755))
                data = path.read_bytes()
                out.addfile(_entry(f"./{SITE}/{inside}", tarfile.REGTYPE, 0o644, len(data)), io.BytesIO(data))
        for script, module in one.scripts.items():
            data = SCRIPT.format(module=module).encode()
            name = f"./usr/local/bin/{script}"
            out.addfile(_entry(name, tarfile.REGTYPE, 0o755, len(data)), io.BytesIO(data))


def _entry(name: str, kind: bytes, mode: int, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry


def _platform(machine: str) -> list[str]:
    tags = [f"--platform={glibc}_{machine}" for glibc in GLIBC]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *tags]


def _pip(*words: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"pip {words[0]} failed:\n{done.stderr.strip()}")
    return done.stdout
