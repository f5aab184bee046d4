"""Carrying out an order, on whatever kind of disk it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job, Link
from disk_daemon.wipe.files import Tick
from disk_daemon.wipe.frame import Carrier
from disk_daemon.wipe.on_device import DeviceCarrier
from disk_daemon.wipe.on_folder import FolderCarrier


def carry(
    job: Job, link: Link, rules: Rules, *, tick: Tick, sleep: Callable[[float], None] = time.sleep
) -> Ended:
    """Carry out the order of a job as far as it goes now.

    tick is called before each change, for tests. Never raises for what a disk, a journal or a person may do;
    that is in the answer.
    """
    assert job.order is not None
    os.umask(0)
    kind: type[Carrier] = DeviceCarrier if job.source.device else FolderCarrier
    return kind(job, job.order, link, rules, tick, sleep).run()
