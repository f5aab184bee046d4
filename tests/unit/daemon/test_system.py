"""What of the machine's own lives on a device number: its swap."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from disk_daemon.facts import system


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(system, "PROC", str(tmp_path))
    return tmp_path


def test_a_file_that_is_swapped_to_is_on_its_file_system(proc: Path) -> None:
    file = proc / "swap file"
    file.write_bytes(b"")
    device = os.stat(file).st_dev
    (proc / "swaps").write_text(f"Filename\tType\n{str(file).replace(' ', chr(92) + '040')} file 1 0 -2\n")
    assert system.swap(device) == str(file)
    assert system.swap(device + 1) == ""


def test_a_kernel_without_swap_swaps_to_nothing_and_without_proc_nobody_knows(proc: Path) -> None:
    """CONFIG_SWAP=n has no such table."""
    with pytest.raises(FileNotFoundError):
        system.swap(1)
    (proc / "self").mkdir()
    (proc / "self" / "mountinfo").write_bytes(b"")
    assert system.swap(1) == ""
    (proc / "swaps").write_bytes(b"")
    with pytest.raises(ValueError, match="not whole"):
        system.swap(1)
