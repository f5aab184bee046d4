"""Decoding in many threads at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

AT_ONCE = """
import threading
from tidb_volume import upstream, value
from tidb_volume.kube import codec

kinds = [value.Volume, value.VolumeNode, upstream.Pv, upstream.ConfigMap] * 4
item = b'{"metadata": {"name": "a"}, "status": {"disk": null}}'
body = b'{"metadata": {"resourceVersion": "1"}, "items": [%s]}' % item
together = threading.Barrier(len(kinds))

def first(kind):
    together.wait()
    try:
        codec.decode_listing(body, kind)
    except codec.Undecodable:
        pass

threads = [threading.Thread(target=first, args=(kind,)) for kind in kinds]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("attempt", range(8))
def test_the_first_lists_of_one_kind_may_come_in_many_threads_at_once(attempt: int) -> None:
    """A process of its own each time: what a type is made of is found out once in a process."""
    ended = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
