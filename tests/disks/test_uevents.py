"""The kernel says when a disk goes, to whoever listens."""

from __future__ import annotations

import select
from pathlib import Path

from disk_daemon import uevents
from tests.disks.bench import RawDisk


def test_a_disk_that_goes_is_heard_of_once(raw: RawDisk) -> None:
    messages = uevents.opened()
    assert messages is not None
    with messages:
        # As when it is pulled out, but that it stays (Documentation/ABI/testing/sysfs-uevent).
        (Path("/sys/class/block") / Path(raw.loop).name / "uevent").write_text("remove")
        assert select.select([messages], [], [], 10)[0]
        assert uevents.disks_moved(messages)
