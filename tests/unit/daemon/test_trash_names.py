"""What a folder among ours is called says whose trash it is."""

from __future__ import annotations

import pytest

from disk_daemon.known import Trash, tenancy_as_trash, trash_of
from tests.unit.daemon.cases import OLD


@pytest.mark.parametrize(
    ("name", "order", "tenancy"),
    [
        ("trash-order-1", "order-1", ""),
        (f"trash-order-1.{OLD}", "order-1", OLD),
        (f"trash-.{OLD}", "", ""),
        ("trash-", "", ""),
        ("trash-order-1.", "", ""),
        ("trash-order-1.else", "", ""),
        (f"trash-order-1.{OLD}.{OLD}", "", ""),
        (f"order-1.{OLD}", "", ""),
        (OLD, "", ""),
    ],
)
def test_a_name_says_whose_trash_it_is(name: str, order: str, tenancy: str) -> None:
    assert (trash_of(name), tenancy_as_trash(name)) == (order, tenancy)
    if order:
        assert Trash(order=order, tenancy=tenancy).name == name
