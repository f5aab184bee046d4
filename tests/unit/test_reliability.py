"""docs/reliability.md lists all guards as the code has them, each with a test that fails without it; and
docs/security.md all methods with their promises.

`python -m tests.unit.test_reliability` brings the tables of both up to date. Whether a test really fails
without its guard is what `make guards` tries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from disk_daemon import fit, fit_disk, fit_mount, guards, renamed
from disk_daemon.fit_rules import Rules
from disk_daemon.guards import When
from tests.guarded import CHECKS, TESTS, marked
from tests.means import MEANS
from tests.unit.daemon import test_fit, test_fit_disk, test_fit_mount, test_renamed
from tests.unit.daemon.test_guards import STOPS
from tests.unit.life.model.broken import BROKEN, broken, recorded
from tidb_volume.inventory import policy, promises, settings
from tidb_volume.inventory.reference import filled, table

DOCS = Path(__file__).parents[2] / "docs"
ASKED = {
    When.TAKE: "once, before anything is moved",
    When.BEGIN: "until a byte is gone",
    When.START: "whenever a process takes it up",
    When.ALWAYS: "whenever a process takes it up, and between two chunks",
}
GUARDS_OF_A_PATH = "unit/daemon/test_guards.py"
RULES_OF_A_DEVICE = "unit/daemon/test_fit.py"
RULES_OF_A_FOLDER = "unit/daemon/test_fit_mount.py"
RULES_OF_A_DISK = "unit/daemon/test_fit_disk.py"
RULES_OF_ANOTHERS = "unit/daemon/test_renamed.py"


def _tests(name: str, cases: list[str], where: str) -> str:
    """The table's cases, and the tests on real disks."""
    count = cases.count(name)
    return "; ".join((f"{where}: {count} case{'s' if count > 1 else ''}", *_real(name)))


def _real(name: str) -> list[str]:
    """By file, the tests that are marked with a name."""
    by_file: dict[str, list[str]] = {}
    for each in marked().get(name, []):
        file, _, test = each.partition(": ")
        by_file.setdefault(file, []).append(f"`{test}`")
    return [f"{file}: {', '.join(tests)}" for file, tests in by_file.items()]


def _first(check: object) -> str:
    return " ".join((check.__doc__ or "").split("\n\n")[0].split())


def _guards() -> str:
    cases = [name for name, _, _ in STOPS]
    rows = (
        (
            f"`{each.name}`",
            each.prevents,
            _first(each.check),
            ASKED[each.when] + (", of orders that delete" if each.destroying_only else ""),
            _tests(each.name, cases, GUARDS_OF_A_PATH),
        )
        for each in guards.GUARDS
    )
    return table(("guard", "the disaster", "how it judges", "asked", "tests that fail without it"), rows)


def _rules() -> str:
    cases = [name for name, _, _ in test_fit.TABLE]
    rows = (
        (
            f"`{each.name}`",
            each.prevents,
            _first(each.check),
            "yes" if each.tenants_too else "no, the tenant may have made it so",
            "yes" if each.mounts_too else "no, that is the admin's",
            _tests(each.name, cases, RULES_OF_A_DEVICE),
        )
        for each in fit.RULES
    )
    head = ("guard", "the disaster", "how it judges", "of a tenant's raw device too", "below a folder too")
    return table((*head, "tests that fail without it"), rows)


def _folders() -> str:
    return _plain(fit_mount.RULES, test_fit_mount.TABLE, RULES_OF_A_FOLDER)


def _disks() -> str:
    return _plain(fit_disk.RULES, test_fit_disk.TABLE, RULES_OF_A_DISK)


def _renamed() -> str:
    return _plain(renamed.RULES, test_renamed.TABLE, RULES_OF_ANOTHERS)


def _plain(rules: Rules[Any], cases: Sequence[tuple[str, object, object, object]], where: str) -> str:
    """Rules that are always asked."""
    names = [name for name, _, _, _ in cases]
    rows = (
        (f"`{each.name}`", each.prevents, _first(each.check), _tests(each.name, names, where))
        for each in rules
    )
    return table(("guard", "the disaster", "how it judges", "tests that fail without it"), rows)


def _means() -> str:
    rows = ((f"`{name}`", each.prevents, each.how, "; ".join(_real(name))) for name, each in MEANS.items())
    return table(("means", "the disaster", "how, and where", "tests that fail without it"), rows)


def _methods() -> str:
    head = ("method", "it", "after it", "read back", "NIST SP 800-88", "takes about")
    return table(head, promises.listing())


def _broken() -> str:
    """What can be broken, whether the model notices it, and which test of one thing alone fails on it."""
    tests, after = marked("notices"), recorded()
    rows = (
        (
            name,
            f"not alone: behind it stands {each.behind}" if each.behind else f"{after[name]}",
            _broken_tests(name, tests.get(name, [])),
        )
        for name, each in BROKEN.items()
    )
    return table(("broken", "the model notices it after", "the test that fails on it"), rows)


def _broken_tests(name: str, tests: list[str]) -> str:
    """One that leaves out a guard is missed by the tests of that guard, which its own table names."""
    guard = name.rpartition(": ")[2].removesuffix(" is not asked")
    if guard in CHECKS:
        return "those of the guard"
    return "; ".join("{}: `{}`".format(*each.split(": ")) for each in tests)


TABLES = {
    "broken": _broken,
    "guards": _guards,
    "devices": _rules,
    "folders": _folders,
    "disks": _disks,
    "renamed": _renamed,
    "means": _means,
    "methods": _methods,
}
DOCUMENTS = [DOCS / "reliability.md", DOCS / "security.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_in_the_docs_are_what_the_code_says(document: Path) -> None:
    text = document.read_text()
    assert filled(text, TABLES) == text, "run python -m tests.unit.test_reliability"


def test_what_is_named_in_the_docs_is_there() -> None:
    """A guard, a test or a decision that was renamed is renamed there too."""
    tests = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    for document in DOCUMENTS:
        text = document.read_text()
        for name in re.findall(r"`(test_\w+)`", text):
            assert f"def {name}(" in tests, name
        for path, name in re.findall(r"\b((?:unit|disks|api|e2e|hw)/[\w/]+\.py)(?: `(test_\w+)`)?", text):
            assert (TESTS / path).exists(), path
            assert f"def {name}" in (TESTS / path).read_text(), (path, name)
        for path, _ in re.findall(r"\]\(([\w./-]+\.md)(#[\w-]+)?\)", text):
            assert (DOCS / path).exists(), path


def test_a_method_is_promised_something_exactly_where_the_inventory_obeys_it() -> None:
    fitting = [method for methods in policy.FITTING.values() for method in methods]
    refused = {
        method for method in fitting for row in settings.NOT_YET if row.key == "wipe" and row.refuses(method)
    }
    assert set(promises.PROMISES) == set(fitting) - refused


@pytest.mark.parametrize(
    ("method", "took", "said"),
    [
        ("zero", 2000.0, "33 min"),
        ("discard", 2000.0, "33 min"),
        ("overwrite:3", 8000.0, "2.2 h"),
        ("format", 0.0, "0 min"),
    ],
)
def test_how_long_a_method_takes_on_a_terabyte(method: str, took: float, said: str) -> None:
    assert promises.seconds(method, 10**12, 500) == took
    assert promises.hours(took) == said


def test_every_guard_has_a_case_and_a_name_of_its_own() -> None:
    of_a_look = len(fit.RULES) + len(fit_mount.RULES) + len(fit_disk.RULES)
    assert len(CHECKS) == len(guards.GUARDS) + of_a_look + len(renamed.RULES)
    looks = (*test_fit.TABLE, *test_fit_mount.TABLE, *test_fit_disk.TABLE)
    assert set(CHECKS) == {row[0] for row in (*STOPS, *looks, *test_renamed.TABLE)}


def test_every_means_has_a_test_and_a_name_of_its_own() -> None:
    assert set(MEANS) <= set(marked())
    assert not set(MEANS) & set(CHECKS)


def test_a_mark_names_a_guard_that_there_is_or_a_thing_that_can_be_broken() -> None:
    assert set(marked()) <= {*CHECKS, *MEANS}
    assert set(marked("notices")) <= set(BROKEN)


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_the_model_breaks_is_noticed_by_a_test_of_its_own_too(name: str) -> None:
    """Whether it really fails on it is what `make guards` tries; that it can be broken, this one."""
    with broken(name):
        pass
    assert _broken_tests(name, marked("notices").get(name, []))


def test_what_the_model_does_not_notice_has_something_behind_it_that_is_said() -> None:
    after = {name for name, examples in recorded().items() if examples}
    assert after == {name for name, each in BROKEN.items() if not each.behind}


if __name__ == "__main__":
    for each in DOCUMENTS:
        each.write_text(filled(each.read_text(), TABLES))
