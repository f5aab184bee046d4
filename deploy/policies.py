"""Writes the digests of the admission policies into tidb_volume/policies.py: `python -m deploy.policies`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tidb_volume import policies

DEPLOY = Path(__file__).parent
MODULE = DEPLOY.parent / "tidb_volume" / "policies.py"
KIND = "ValidatingAdmissionPolicy"


def deployed(kind: str = KIND) -> list[dict[str, Any]]:
    """Every policy, or binding of one, that deploy/ applies."""
    files = sorted(DEPLOY.rglob("*.yaml"))
    documents = (each for file in files for each in yaml.safe_load_all(file.read_text()) if each)
    return [each for each in documents if each.get("kind") == kind]


def filled(text: str) -> str:
    """The module's text with the digests of what is in deploy/."""
    lines = [f'    "{each["metadata"]["name"]}": "{policies.digest(each["spec"])}",' for each in deployed()]
    block = "\n".join(["DIGESTS: dict[str, str] = {", *sorted(lines), "}"])
    return re.sub(r"(# digests: begin\n).*?(\n# digests: end)", rf"\g<1>{block}\g<2>", text, flags=re.DOTALL)


if __name__ == "__main__":
    MODULE.write_text(filled(MODULE.read_text()))
