"""The cases on a real API server, through each transport."""

from __future__ import annotations

import pytest

from tests.api.cases import *  # noqa: F403

pytestmark = pytest.mark.api
