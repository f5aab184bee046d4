"""The model does what a real server does: the cases of tests/api on it."""

from __future__ import annotations

import pytest

from tests.api.cases import *  # noqa: F403
from tests.api.cases import Server
from tests.model.apiserver import ApiServer
from tidb_volume.kube import kinds


@pytest.fixture
def server() -> Server:
    model = ApiServer()
    api = model.client()
    api.create(kinds.CONFIG_MAP, {"metadata": {"name": "before"}}, "default")
    model.compact()
    return Server(api, "case")
