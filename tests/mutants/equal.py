"""The mutants that no test can tell from the original, with the reason: reads equal.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.mutants.mutate import Mutant
from tidb_volume.value import Value


class Equal(Value, frozen=True, forbid_unknown_fields=True):
    """before, after: the mutated line, as `make mutants` prints it. where: the function, or empty."""

    module: str
    before: str
    after: str
    reason: str
    where: str = ""

    def is_of(self, mutant: Mutant) -> bool:
        """Whether the entry is about this mutant."""
        named = (mutant.module, mutant.where, mutant.before, mutant.after)
        return named == (self.module, self.where, self.before, self.after)


def read(path: Path) -> list[Equal]:
    """Errors: TypeError where an entry lacks something, or has too much."""
    return [Equal(**each) for each in tomllib.loads(path.read_text()).get("equal", [])]
