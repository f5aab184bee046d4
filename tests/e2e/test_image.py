"""What is in the images: read from the archives themselves, and run from their own root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.image import images
from deploy.image.archive import HIDES

pytestmark = pytest.mark.cluster
SITE = f"./{images.SITE}"


@pytest.fixture(scope="module", autouse=True)
def root_user() -> None:
    if os.geteuid() != 0:
        said = "the images' Debian is made by root"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)


@pytest.fixture(scope="module", params=[one.name for one in images.IMAGES])
def image(request: pytest.FixtureRequest) -> images.Image:
    return images.image(request.param)


@pytest.fixture(scope="module")
def root(image: images.Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image's files, unpacked."""
    folder = tmp_path_factory.mktemp(image.name)
    with tarfile.open(images.build(image.name)) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
        for layer in manifest[0]["Layers"]:
            file = archive.extractfile(layer) or pytest.fail("no layer")
            with tarfile.open(fileobj=file) as files:
                files.extractall(folder, filter=without_devices)
            for hidden in folder.rglob(f"{HIDES}*"):
                (hidden.parent / hidden.name.removeprefix(HIDES)).unlink()
                hidden.unlink()
    yield folder
    shutil.rmtree(folder)


def without_devices(entry: tarfile.TarInfo, _: str) -> tarfile.TarInfo | None:
    return None if entry.isdev() else entry


def run(root: Path, *words: str) -> str:
    done = subprocess.run(["chroot", root, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_archive_says_what_runs_as_whom(image: images.Image) -> None:
    with tarfile.open(images.build(image.name)) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(archive.extractfile(manifest["Config"]) or pytest.fail("no config"))["config"]
    assert manifest["RepoTags"] == [
        f"tidb-volume/{image.name}:dev",
        f"tidb-volume/{image.name}:{images.version()}",
    ]
    assert config["Entrypoint"] == [image.program]
    assert config["User"] == image.user


def test_each_image_holds_its_own_program_alone(image: images.Image, root: Path) -> None:
    ours = {"tidb_volume", "volume_controller", "disk_daemon"}
    assert ours & set(os.listdir(root / images.SITE)) == set(image.packages)


def test_the_daemon_s_image_holds_no_kubernetes_package(root: Path, image: images.Image) -> None:
    assert (root / images.SITE / "kubernetes").exists() == (image.name == "controller")
    assert (root / images.SITE / "pydantic").exists() == (image.name == "controller")


def test_the_wheels_are_the_pinned_ones(root: Path, image: images.Image) -> None:
    pinned = {line.split()[0] for line in image.lock.read_text().splitlines() if "==" in line}
    found = set()
    for metadata in (root / images.SITE).glob("*.dist-info/METADATA"):
        fields = dict(line.split(": ", 1) for line in metadata.read_text().splitlines()[:5] if ": " in line)
        found.add(f"{fields['Name'].lower().replace('_', '-')}=={fields['Version']}")
    assert found == pinned


def test_every_module_has_its_bytecode(root: Path) -> None:
    """A program with a read-only root cannot write it, and would compile at each start."""
    site = root / images.SITE
    missing = [
        path
        for path in site.rglob("*.py")
        if not (path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").exists()
    ]
    assert missing == []


def test_the_bytecode_is_taken_and_not_compiled_anew(root: Path, image: images.Image) -> None:
    module = image.packages[0]
    done = subprocess.run(
        ["chroot", root, "python3", "-B", "-v", "-c", f"import {module}.value, ssl, msgspec, psutil"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if "code object from" in line]
    assert lines
    assert [line for line in lines if not line.rstrip("'").endswith(".pyc")] == []


def test_the_program_starts(root: Path, image: images.Image) -> None:
    assert Path(image.program).name in run(root, image.program, "--help")


def test_the_daemon_has_the_tools_that_it_calls(root: Path, image: images.Image) -> None:
    if image.name == "daemon":
        for tool in ("mkfs.xfs", "mkfs.ext4", "blkid", "wipefs", "xfs_repair"):
            run(root, tool, "-V")


def test_there_is_no_shell(root: Path) -> None:
    """Whatever makes a program of ours start one, or whoever gets to exec into a pod, finds none."""
    listed = [line for line in (root / "etc/shells").read_text().splitlines() if line.startswith("/")]
    assert "/bin/sh" in listed
    known = {f"/usr/bin/{name}" for name in ("ash", "busybox", "csh", "ksh", "mksh", "tcsh", "zsh")}
    found = {f"{root}{each}" for each in {*listed, *known}}
    assert [each for each in found if os.path.lexists(each)] == []


def test_both_images_share_their_debian() -> None:
    lowest = set()
    for one in images.IMAGES:
        with tarfile.open(images.build(one.name)) as archive:
            (manifest,) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
            lowest.add(manifest["Layers"][0])
    assert len(lowest) == 1


def test_a_second_build_is_the_same_archive(image: images.Image) -> None:
    assert images.build(image.name) == images.build(image.name)
