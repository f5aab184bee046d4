"""The reference is what the code says, and its examples and those in configmaps/ are sound.

`python -m tests.unit.inventory.test_docs` brings the tables of docs/inventory.md up to date.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.inventory.build import accepted, decide, node
from tidb_volume import names
from tidb_volume.cli import manifests, validate
from tidb_volume.inventory import expand, settings
from tidb_volume.inventory.check import ENTRY, TOP
from tidb_volume.inventory.reference import filled

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "inventory.md"
EXAMPLES = sorted((ROOT / "configmaps").glob("*.yaml"))
MACHINES = [
    *(node(f"node-{number}", f"10.0.0.1{number}", hardware="tikv-10x") for number in range(8)),
    node("old", hardware="tikv-4x"),
]
YIELDS = {"small": 6, "thousand-machines": 86, "tenants": 12, "raw-devices": 6}


def test_the_references_tables_are_what_the_code_says() -> None:
    document = REFERENCE.read_text()
    assert filled(document) == document, "run python -m tests.unit.inventory.test_docs"


def test_the_reference_names_every_key() -> None:
    document = REFERENCE.read_text()
    for key in (*TOP, *ENTRY, *(setting.key for setting in settings.SETTINGS)):
        assert f"`{key}`" in document


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.DOTALL))
def test_every_example_in_the_reference_is_accepted(text: str) -> None:
    assert accepted(text).warnings == {}


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_every_example_config_map_is_accepted_and_lists_what_it_says(path: Path) -> None:
    manifest = yaml.safe_load(path.read_text())
    assert manifest["metadata"]["labels"] == {names.LABEL_INVENTORY: "true"}
    decision = decide({manifest["metadata"]["name"]: manifest["data"]})
    assert decision.refused == decision.warnings == {}
    found = expand.expand(decision.inventory, MACHINES)
    assert [disk.conflict for disk in found.disks.values() if disk.conflict] == []
    assert len(found.disks) == YIELDS[path.stem]


def test_all_examples_are_sound_together_as_validates_help_says_them() -> None:
    found = [manifests.read(path.name, path.read_text()) for path in EXAMPLES]
    report = validate.judge(found)
    assert (report.findings, len(found)) == ((), len(YIELDS))


if __name__ == "__main__":
    REFERENCE.write_text(filled(REFERENCE.read_text()))
