"""The two images, made without a Docker daemon: a minimal Debian, the pinned wheels, our packages, bytecode.

Each of the three is a layer, the first two kept in the cache by what they are made from, so that a change of
our code costs a few seconds here and a small layer on each node. The Debian is one for both, tools of file
systems included: the controller cannot use them, and a node that runs both keeps it once.

Bytecode is compiled here, since a program with a read-only root would compile at every start (4.6 s of CPU
and 64 MB more for the controller). It is `unchecked-hash`: pip and tar change times, and bytecode that is
compared with a source's time would be thrown away. The daemon's image holds no `kubernetes` package, which
would be 44 MB of memory a node. `*.Dockerfile` beside this say the same for those who have Docker.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path

import msgspec

from deploy.image.archive import pack, write_layer
from tests.cluster.build import cache_dir, locked
from tests.cluster.image import rootfs

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
SHELLS = ("usr/bin/sh", "usr/bin/dash", "usr/bin/bash", "usr/bin/rbash")
"""Of the Debian, and in neither image: nothing here starts one, so nothing that is planted can either, and
who gets to exec into a pod of ours finds none. Python is there all the same."""
UNUSED = ("bin", "kubernetes/aio")
"""Of the wheels: scripts of libraries, and a second client of 66 MB that nothing here imports."""

SCRIPT = """#!/usr/bin/python3
import sys

from {module} import main

sys.exit(main())
"""


KEPT = 3


class ImageError(Exception):
    """An image could not be made; the text says why, and the way out."""


class Image(msgspec.Struct, frozen=True):
    """One image: what is installed from where, and what runs as whom."""

    name: str
    packages: tuple[str, ...]
    extras: tuple[str, ...]
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


DEBIAN = ("python3", "xfsprogs", "e2fsprogs", "util-linux")
"""Packages of the root, beside those that every Debian has."""

IMAGES = (
    Image(
        name="controller",
        packages=("tidb_volume", "volume_controller"),
        extras=("controller", "cli"),
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
    base = rootfs(DEBIAN)
    archive = cache_dir() / "images" / f"{name}-{_key(one, base)}.tar"
    with locked(archive.with_suffix(".lock")):
        if not archive.exists():
            site = wheels(one)
            _say(f"{name} image: our packages …")
            with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
                ours = _ours(one, Path(scratch))
                tags = [f"tidb-volume/{name}:{tag}" for tag in ("dev", version())]
                pack(archive, [base, site, ours], tags, one.program, one.user)
            _forget_old(archive, one)
    return archive


def wheels(one: Image) -> Path:
    """The layer of the cache with exactly the wheels of the image's lock, and their bytecode."""
    if importlib.util.MAGIC_NUMBER != MAGIC:
        raise ImageError(f"bytecode for the images is made by Python {PYTHON}, this is {sys.version}")
    machine = os.uname().machine
    key = hashlib.sha256(one.lock.read_bytes() + msgspec.json.encode(UNUSED)).hexdigest()[:12]
    kept = cache_dir() / "wheels" / f"cp311-{machine}-{key}.tar"
    with locked(kept.with_suffix(".lock")):
        if not kept.exists():
            _say(f"{one.name} image: the wheels of {one.lock.name}, and their bytecode …")
            with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
                site, layer = Path(scratch) / "site", Path(scratch) / "layer.tar"
                only = ["--require-hashes", "--no-deps", "--no-compile", f"--target={site}"]
                _pip("install", *only, *_platform(machine), f"--requirement={one.lock}")
                for name in UNUSED:
                    shutil.rmtree(site / name, ignore_errors=True)
                compile_tree(site, f"/{SITE}")
                write_layer(layer, [(site, SITE)], {})
                layer.rename(kept)
    return kept


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


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


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


def _forget_old(archive: Path, one: Image) -> None:
    """Each change of our code makes an archive: the last few stay, for whoever is just loading one."""
    made = sorted(archive.parent.glob(f"{one.name}-*.tar"), key=lambda path: path.stat().st_mtime)
    for path in made[:-KEPT]:
        path.unlink(missing_ok=True)


def _key(one: Image, base: Path) -> str:
    digest = hashlib.sha256(msgspec.json.encode([one, base.name, base.stat().st_mtime_ns, version()]))
    digest.update(one.lock.read_bytes())
    for module in ("images.py", "archive.py"):
        digest.update((HERE / module).read_bytes())
    for name, path in _sources(one):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _ours(one: Image, scratch: Path) -> Path:
    """The layer with our packages, their bytecode, and the scripts that start them."""
    tree, layer = scratch / "ours", scratch / "ours.tar"
    for name, path in _sources(one):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    compile_tree(tree, f"/{SITE}")
    scripts = {f"usr/local/bin/{name}": SCRIPT.format(module=at) for name, at in one.scripts.items()}
    write_layer(layer, [(tree, SITE)], {name: text.encode() for name, text in scripts.items()}, SHELLS)
    return layer


def _platform(machine: str) -> list[str]:
    tags = [f"--platform={glibc}_{machine}" for glibc in GLIBC]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *tags]


def _pip(*words: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"pip {words[0]} failed:\n{done.stderr.strip()}")
    return done.stdout
