"""Which tests are to kill the mutants of which module: the quick ones that are about it, as tables.

Tests that Hypothesis drives are left out everywhere: what they find differs from run to run, and a mutant is
killed or it is not. The order is that of a full run: what keeps a wipe from the wrong disk comes first. The
picture of a disk's life (life/diagram.py) is not there: it decides nothing, and a test holds it to the table.
"""

from __future__ import annotations

DAEMON = "tests/unit/daemon"
LIFE = "tests/unit/life"
_LIFE: dict[str, tuple[str, ...]] = {
    "phases": ("phases",),
    "breaker": ("breaker", "lost"),
    "conflict": ("conflict",),
    "give": ("give", "free", "released", "committed", "at_the_root_exactly"),
    "offer": ("offer",),
    "orders": ("orders", "committed", "free", "at_the_root_exactly"),
    "release": ("release_exactly", "at_the_root_exactly"),
    "memory": ("memory", "memory_disk", "memory_taken_back", "memory_times", "free", "plan"),
    "answers": ("answers_exactly", "at_the_root_exactly", "lost"),
    "mounts": ("mounts_exactly", "at_the_root_exactly"),
    "plan": ("plan", "plan_status", "lost"),
    "free": ("free", "released", "committed", "plan", "plan_status"),
    "released": ("released", "plan", "at_the_root_exactly"),
    "committed": ("committed", "plan"),
    "edit": ("edit", "free", "released", "committed", "plan"),
    "look": ("look", "at_the_root_exactly"),
    "foreign": ("foreign",),
    "places": ("places", "foreign"),
    "around": ("foreign",),
    "daemon": ("daemon_exactly", "lost"),
    "lost": ("lost",),
    "annotation": ("annotation_exactly",),
    "world": ("status",),
    "status": ("status", "lost"),
    "show": ("show", "show_around", "at_the_root_exactly", "lost"),
}
"""The tables alone: a test that lives a whole life is slow, and sees less."""

MODULES: dict[str, tuple[str, ...]] = {
    "disk_daemon/guards.py": (
        f"{DAEMON}/test_guards.py",
        f"{DAEMON}/test_guards_exactly.py",
        "tests/unit/test_reliability.py",
    ),
    "disk_daemon/fit.py": (f"{DAEMON}/test_fit.py",),
    "disk_daemon/fit_mount.py": (f"{DAEMON}/test_fit_mount.py",),
    "disk_daemon/renamed.py": (f"{DAEMON}/test_renamed.py",),
    "disk_daemon/fit_disk.py": (f"{DAEMON}/test_fit_disk.py",),
    "disk_daemon/step.py": (f"{DAEMON}/test_step.py", f"{DAEMON}/test_step_exactly.py"),
    "disk_daemon/step_device.py": (
        f"{DAEMON}/test_step_device.py",
        f"{DAEMON}/test_step_device_exactly.py",
    ),
    "disk_daemon/facts/bare.py": (f"{DAEMON}/test_bare.py",),
    "disk_daemon/facts/build.py": (f"{DAEMON}/test_build.py",),
    "disk_daemon/minded.py": (f"{DAEMON}/test_minded.py",),
    "disk_daemon/known.py": (f"{DAEMON}/test_known.py",),
    "disk_daemon/journal.py": (f"{DAEMON}/test_journal.py", f"{DAEMON}/test_journal_drafts.py"),
    "disk_daemon/nvme.py": (f"{DAEMON}/test_nvme.py",),
    "disk_daemon/news.py": (f"{DAEMON}/test_news.py",),
    "tidb_volume/identity.py": ("tests/unit/test_identity.py",),
    "disk_daemon/claims.py": (f"{DAEMON}/test_witness.py",),
    "disk_daemon/report.py": (
        f"{DAEMON}/test_report.py",
        f"{DAEMON}/test_report_exactly.py",
        f"{DAEMON}/test_witness.py",
    ),
    "tidb_volume/content.py": ("tests/unit/test_content.py",),
    "tidb_volume/shape.py": ("tests/unit/test_shape_words.py",),
    "tidb_volume/inventory/expand.py": ("tests/unit/inventory/test_expand.py",),
    "tidb_volume/inventory/merge.py": (
        "tests/unit/inventory/test_merge.py",
        "tests/unit/inventory/test_merge_exactly.py",
        "tests/unit/inventory/test_all_at_once.py",
        "tests/unit/inventory/test_codes.py",
    ),
    "tidb_volume/inventory/diff.py": (
        "tests/unit/inventory/test_diff.py",
        "tests/unit/inventory/test_docs.py",
    ),
    "tidb_volume/inventory/policy.py": ("tests/unit/inventory/test_policy.py",),
    **{
        f"tidb_volume/life/{name}.py": tuple(f"{LIFE}/test_{each}.py" for each in tests)
        for name, tests in _LIFE.items()
    },
}
