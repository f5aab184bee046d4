"""A disk's life among late caches, deposed leaders, frozen daemons and careless hands; Hypothesis chooses.

The planner, the daemon's decision and its guards are the real ones. `make test-deep` runs this for an hour.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

from disk_daemon.known import Entry
from tests.unit.life.model.device import DeviceLife
from tests.unit.life.model.pair import Pair
from tests.unit.life.model.whole import Life


def _settings(examples: int) -> settings:
    return settings(
        max_examples=int(os.environ.get("LIFE_EXAMPLES", examples)),
        derandomize=bool(os.environ.get("CI")),  # as `make test-deep` there: a commit fails always, or never
        stateful_step_count=int(os.environ.get("LIFE_STEPS", "40")),
        deadline=None,
        # Explaining takes minutes, and says only which choices did not matter.
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.filter_too_much,
            HealthCheck.data_too_large,
        ],
        print_blob=True,
    )


SHAPED = {"shape": "xfs", "theirs": "ext4", "sparse": False}

TestLife = Life.TestCase
TestLife.settings = _settings(150)
TestPair = Pair.TestCase
TestPair.settings = _settings(50)
TestDevice = DeviceLife.TestCase
TestDevice.settings = _settings(100)


def test_a_record_that_is_taken_away_while_its_order_begins_on_a_device_is_made_anew() -> None:
    """The permission was too old by then, so that the beginning is taken back, and asked for again. Found by
    the model: it died of that."""
    life = DeviceLife()
    how = {"stage": "committed", "between": "journal lost", "then": "daemon", "frozen": 6, "wait": 30}
    life.begin(wipe=True, after="0s", spare=False, dirty=False, saved="never", **SHAPED, **how)
    (record,) = life.machine.journals.values()
    assert isinstance(record, Entry)
    assert record.order is not None
    life.teardown()
