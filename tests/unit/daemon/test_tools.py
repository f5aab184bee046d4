"""What the programs of our image print, read."""

from __future__ import annotations

import pytest

from disk_daemon import tools
from disk_daemon.known import Damaged

WIPEFS = b"""{
   "signatures": [
      {
         "type": "LVM2_member",
         "usage": "raid"
      },{
         "type": "dos",
         "usage": null
      }
   ]
}
"""


def test_what_wipefs_lists_is_told_as_it_is() -> None:
    member, table = Damaged(kind="LVM2_member", usage="raid"), Damaged(kind="dos", usage="")
    assert tools.listed(0, WIPEFS.decode(), "") == (member, table)
    assert tools.listed(0, '{"signatures": []}', "") == ()


@pytest.mark.parametrize(
    ("status", "out", "err", "said"),
    [
        (1, WIPEFS.decode(), "error: no such thing", "ended with 1: error: no such thing"),
        (1, "", "", "ended with 1: it said nothing"),
        (0, "", "", "ended with 0: "),
        (0, "{}", "", "ended with 0: "),
        (0, '{"signatures": [{"usage": "raid"}]}', "", "ended with 0: "),
    ],
)
def test_what_wipefs_does_not_say_is_not_nothing(status: int, out: str, err: str, said: str) -> None:
    with pytest.raises(OSError, match=said):
        tools.listed(status, out, err)
