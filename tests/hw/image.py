"""What the machine boots from: Debian's own kernel, a small initrd, a root disk, and a disk with our code.

The first three are kept in the cache, by what they are made from; the last one is made for each run. Debian's
own initrd is 40 MB, which an emulated processor unpacks in a minute; ours has the modules for the root disk.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deploy.image.images import SITE, compile_tree, image, wheels
from tests.cluster import packages
from tests.cluster.build import cache_dir, locked
from tests.cluster.image import SUITE, rootfs
from tests.cluster.system import run, which

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
}
DEBIAN = (
    "cryptsetup-bin",
    "e2fsprogs",
    "fdisk",
    "kmod",
    "linux-image-amd64",
    "lvm2",
    "mdadm",
    "multipath-tools",
    "nvme-cli",
    "python3",
    "smartmontools",
    "udev",
    "util-linux",
    "xfsprogs",
)
ROOT_SIZE = "3G"
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
CODE = ("tidb_volume", "disk_daemon")
OF_TESTS = ("disks/bench.py", "hw/inside.py", "hw/messages.py", "hw/init.sh")


class Boot(NamedTuple):
    """Files of the cache, none of which a machine writes to."""

    kernel: Path
    initrd: Path
    root: Path


def boot() -> Boot:
    """What a machine boots from, made if it is not there: two or three minutes, as root.

    Raises ClusterError where a Debian package is missing and cannot be installed.
    """
    packages.require(NEEDED)
    made_from = [SUITE, ROOT_SIZE, *DEBIAN, *MODULES, (HERE / "initrd.sh").read_text()]
    key = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:12]
    home = cache_dir() / f"machine-{SUITE}" / key
    found = Boot(home / "vmlinuz", home / "initrd", home / "root.img")
    with locked(home.with_suffix(".lock")):
        if not home.exists():
            _make(home)
    return found


def code_disk(image_file: Path) -> None:
    """A file system with our code, its tests' end of the line, and the wheels that the daemon's image has."""
    with tempfile.TemporaryDirectory(dir=image_file.parent) as scratch:
        code = Path(scratch) / "code"
        for package in CODE:
            shutil.copytree(ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in OF_TESTS:
            (code / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / "tests" / name, code / "tests" / name)
        compile_tree(code, "/opt/code")
        _unpack(wheels(image("daemon")), Path(scratch))
        (Path(scratch) / SITE).rename(Path(scratch) / "site")
        for each in (Path(scratch) / "site").iterdir():
            each.rename(code / each.name)
        whole = Path(scratch) / "whole"
        whole.mkdir()
        code.rename(whole / "code")
        run(["mke2fs", "-q", "-t", "ext4", "-d", whole, image_file, "64M"])


def _make(home: Path) -> None:
    tar = rootfs(DEBIAN)
    print("the machine's root disk …", file=sys.stderr, flush=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        tree, fresh = Path(scratch) / "tree", Path(scratch) / "fresh"
        tree.mkdir()
        fresh.mkdir()
        _unpack(tar, tree)
        kernel = max((tree / "boot").glob("vmlinuz-*"))
        shutil.copyfile(kernel, fresh / "vmlinuz")
        _initrd(tree, kernel.name.removeprefix("vmlinuz-"), fresh / "initrd")
        shutil.rmtree(tree / "boot")
        (tree / "boot").mkdir()
        run(["mke2fs", "-q", "-t", "ext4", "-d", tree, fresh / "root.img", ROOT_SIZE])
        fresh.rename(home)


def _unpack(tar: Path, into: Path) -> None:
    run(["tar", "-xf", tar, "--numeric-owner", "-C", into])


def _initrd(tree: Path, version: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        top = Path(scratch)
        for name in ("bin", "dev", "lib", "root", "sys"):
            (top / name).mkdir()
        shutil.copyfile(which("busybox") or "/bin/busybox", top / "bin" / "busybox")
        (top / "bin" / "busybox").chmod(0o755)
        shutil.copyfile(HERE / "initrd.sh", top / "init")
        (top / "init").chmod(0o755)
        modules = tree / "lib" / "modules" / version
        wanted = list(dict.fromkeys(each for name in MODULES for each in _with_needed(modules, name)))
        for each in wanted:
            shutil.copyfile(modules / each, top / "lib" / Path(each).name)
        (top / "modules").write_text("".join(f"{Path(each).name}\n" for each in wanted))
        names = sorted(str(each.relative_to(top)) for each in top.rglob("*"))
        with target.open("wb") as out:
            subprocess.run(
                ["cpio", "--quiet", "-o", "-H", "newc"],
                input="\n".join(names).encode(),
                stdout=out,
                cwd=top,
                check=True,
            )


def _with_needed(modules: Path, name: str) -> Iterator[str]:
    """A module after those that it needs (modules.dep names them from the nearest to the farthest)."""
    for line in (modules / "modules.dep").read_text().splitlines():
        own, _, needed = line.partition(":")
        if Path(own).name == f"{name}.ko":
            yield from reversed(needed.split())
            yield own
            return
    raise FileNotFoundError(f"{modules} has no module {name}")


if __name__ == "__main__":
    boot()
