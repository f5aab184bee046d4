"""`make cluster` says how to stop what it starts, and starts what it can."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cluster import __main__ as program


@pytest.mark.parametrize(
    ("uid", "asked", "api_only"), [(0, [], False), (1000, [], True), (0, ["--api-only"], True)]
)
def test_without_root_it_is_the_api_server_alone(
    uid: int,
    asked: list[str],
    api_only: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: dict[str, Any] = {}

    def up(name: str, **options: Any) -> Any:
        given.update(options)
        record = SimpleNamespace(
            name=name, api_only=options["api_only"], nodes={}, version="1", programs={"kubectl": "k"}
        )
        return SimpleNamespace(record=record, found=False, nodes=[], kubeconfig="c")

    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(program.Cluster, "up", up)
    assert program.main(["up", "--name", "x", *asked]) == 0
    told = capsys.readouterr().out
    assert given["api_only"] is api_only
    assert told.startswith("Without root: the API server alone") is (uid != 0)
    assert "stop:  make cluster-down ARGS='--name x'" in told
