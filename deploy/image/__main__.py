"""`python -m deploy.image`: make the images, or pin their wheels anew."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from deploy.image import images
from tests.cluster import ClusterError


def main(words: list[str] | None = None) -> int:
    """Runs one command; 1 with the reason on standard error when it fails."""
    parser = argparse.ArgumentParser(prog="python -m deploy.image", description=__doc__)
    parser.add_argument("what", nargs="?", default="build", choices=("build", "lock"))
    parser.add_argument("--into", type=Path, default=images.ROOT / "dist", help="the folder for the archives")
    options = parser.parse_args(words)
    try:
        for one in images.IMAGES:
            if options.what == "lock":
                images.lock(one)
                print(one.lock)
            else:
                _build(one, options.into)
    except (images.ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _build(one: images.Image, into: Path) -> None:
    begun = time.monotonic()
    made = images.build(one.name)
    into.mkdir(parents=True, exist_ok=True)
    archive = into / f"{one.name}.tar"
    archive.unlink(missing_ok=True)
    try:
        os.link(made, archive)
    except OSError:  # the cache is on another file system
        shutil.copyfile(made, archive)
    size = archive.stat().st_size / 2**20
    tags = f"tidb-volume/{one.name}:dev, :{images.version()}"
    print(f"{archive}  {size:.0f} MiB  {tags}  {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
