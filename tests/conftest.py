"""For all tests: what a machine of any speed gives the same answer to."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says how busy the machine is, and fails a test that is right.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
