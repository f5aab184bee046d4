"""Which tests are to kill the mutants of which module: the quick ones that are about it, as tables.

Tests that Hypothesis drives are left out everywhere: what they find differs from run to run, and a mutant is
killed or it is not. The order is that of a full run: what keeps a wipe from the wrong disk comes first. The
picture of a disk's life (life/diagram.py) is not there: it decides nothing, and a test holds it to the table.
"""

from __future__ import annotations

DAEMON = "tests/unit/daemon"
LIFE = "tests/unit/life"
LIFE_TABLES = (
    f"{LIFE}/test_after_the_commit.py",
    f"{LIFE}/test_annotation.py",
    f"{LIFE}/test_annotation_exactly.py",
    f"{LIFE}/test_answers.py",
    f"{LIFE}/test_answers_exactly.py",
    f"{LIFE}/test_around.py",
    f"{LIFE}/test_breaker.py",
    f"{LIFE}/test_by_hand.py",
    f"{LIFE}/test_conflict.py",
    f"{LIFE}/test_daemon_away.py",
    f"{LIFE}/test_daemon_exactly.py",
    f"{LIFE}/test_edits.py",
    f"{LIFE}/test_foreign.py",
    f"{LIFE}/test_forgotten_claims.py",
    f"{LIFE}/test_give.py",
    f"{LIFE}/test_holds.py",
    f"{LIFE}/test_life.py",
    f"{LIFE}/test_look.py",
    f"{LIFE}/test_memory.py",
    f"{LIFE}/test_mounts.py",
    f"{LIFE}/test_mounts_exactly.py",
    f"{LIFE}/test_new_leader.py",
    f"{LIFE}/test_offer.py",
    f"{LIFE}/test_orders.py",
    f"{LIFE}/test_phases.py",
    f"{LIFE}/test_places.py",
    f"{LIFE}/test_plan.py",
    f"{LIFE}/test_plan_status.py",
    f"{LIFE}/test_release.py",
    f"{LIFE}/test_release_exactly.py",
    f"{LIFE}/test_shape.py",
    f"{LIFE}/test_show.py",
    f"{LIFE}/test_show_around.py",
    f"{LIFE}/test_status.py",
    f"{LIFE}/test_unknown_data.py",
    f"{LIFE}/test_wipe_now.py",
    f"{LIFE}/test_words.py",
)

MODULES: dict[str, tuple[str, ...]] = {
    "disk_daemon/guards.py": (
        f"{DAEMON}/test_guards.py",
        f"{DAEMON}/test_guards_exactly.py",
        "tests/unit/test_reliability.py",
    ),
    "disk_daemon/fit.py": (f"{DAEMON}/test_fit.py",),
    "disk_daemon/step.py": (f"{DAEMON}/test_step.py", f"{DAEMON}/test_step_exactly.py"),
    "disk_daemon/step_device.py": (
        f"{DAEMON}/test_step_device.py",
        f"{DAEMON}/test_step_device_exactly.py",
    ),
    "disk_daemon/minded.py": (f"{DAEMON}/test_minded.py",),
    "tidb_volume/identity.py": ("tests/unit/test_identity.py",),
    "disk_daemon/claims.py": (f"{DAEMON}/test_witness.py",),
    "disk_daemon/report.py": (
        f"{DAEMON}/test_report.py",
        f"{DAEMON}/test_report_exactly.py",
        f"{DAEMON}/test_witness.py",
    ),
    "tidb_volume/shape.py": ("tests/unit/test_shape_words.py",),
    "tidb_volume/inventory/diff.py": (
        "tests/unit/inventory/test_diff.py",
        "tests/unit/inventory/test_docs.py",
    ),
    "tidb_volume/inventory/policy.py": ("tests/unit/inventory/test_policy.py",),
    **{
        f"tidb_volume/life/{name}.py": LIFE_TABLES
        for name in (
            "phases",
            "breaker",
            "conflict",
            "give",
            "offer",
            "orders",
            "release",
            "memory",
            "answers",
            "mounts",
            "plan",
            "look",
            "foreign",
            "places",
            "around",
            "daemon",
            "annotation",
            "actions",
            "world",
            "status",
            "show",
        )
    },
}
