"""What both programs measure: every name is in docs/operations.md, and the counts are of what happened.

`python -m tests.unit.obs.test_measured` brings the table of docs/operations.md up to date.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from disk_daemon.jobs import Ended
from disk_daemon.measure import measure
from disk_daemon.minded import Minded
from disk_daemon.tally import Tally
from tests.model.apiserver import ApiServer
from tests.unit.daemon.cases import facts, order
from tests.unit.life.worlds import BLANK, RELEASED, but, question
from tidb_volume.inventory.reference import filled, table
from tidb_volume.obs.metrics import Metrics
from tidb_volume.value import Condition, Order, Volume, Work, WorkState
from volume_controller.app import App, Settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"
UNITS = re.compile(r"tidb_volume_[a-z]+(_[a-z]+)*")


class Node:
    """A node without disks."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.volumes: tuple[Minded, ...] = ()


def of_daemon(node: Node) -> Metrics:
    metrics = Metrics()
    measure(metrics, node, own_groups=True)
    return metrics


def controller() -> App:
    return App(ApiServer(), Settings(namespace="ns", identity="a_1", host="a"))


def _rows() -> str:
    rows = [
        (f"`{each.name}`", program, ", ".join(f"`{label}`" for label in each.labels), each.help)
        for program, metrics in (("controller", controller()._metrics), ("daemon", of_daemon(Node())))
        for each in sorted(metrics.shown, key=lambda each: each.name)
    ]
    return table(("name", "of", "labels", "says"), rows)


def printed(document: str) -> str:
    return filled(document, {"metrics": _rows})


def test_the_document_has_what_is_measured() -> None:
    document = DOCUMENT.read_text()
    assert printed(document) == document, "run python -m tests.unit.obs.test_measured"


def test_names_are_as_prometheus_wants_them_and_the_controller_has_no_series_of_a_disk() -> None:
    of_both = (controller()._metrics, of_daemon(Node()))
    for metrics in of_both:
        text = metrics.render()[1].decode()
        for each in metrics.shown:
            assert UNITS.fullmatch(each.name)
            kind = "counter" if each.name.endswith("_total") else "gauge"
            assert f"# TYPE {each.name} {kind}\n" in text
    labels = {label for each in of_both[0].shown for label in each.labels}
    assert not labels & {"volume", "node", "claim", "pod", "pv", "namespace"}


def series(metrics: Metrics, name: str) -> list[str]:
    text = metrics.render()[1].decode()
    return [
        line.removeprefix(f"tidb_volume_{name}") for line in text.splitlines() if f"_{name}" in line[:60]
    ][2:]


WIPE, FIRST_USE = order(), order(kind="prepare", ends="")


@pytest.mark.parametrize(
    ("given", "state", "reason", "counted"),
    [
        (WIPE, WorkState.DONE, "", {"wipes_total": '{method="zero",result="done"} 1.0'}),
        (
            WIPE,
            WorkState.FAILED,
            "EIO",
            {
                "wipes_total": '{method="zero",result="failed"} 1.0',
                "failures_total": '{reason="EIO"} 1.0',
            },
        ),
        (
            WIPE,
            WorkState.REFUSED,
            "HasData",
            {
                "wipes_total": '{method="zero",result="refused"} 1.0',
                "refusals_total": '{reason="HasData"} 1.0',
            },
        ),
        (WIPE, WorkState.REFUSED, "Withdrawn", {"wipes_total": '{method="zero",result="withdrawn"} 1.0'}),
        (FIRST_USE, WorkState.DONE, "", {}),
        (FIRST_USE, WorkState.FAILED, "EROFS", {"failures_total": '{reason="EROFS"} 1.0'}),
    ],
)
def test_what_became_of_an_order_is_counted(
    given: Order, state: WorkState, reason: str, counted: dict[str, str]
) -> None:
    node = Node()
    metrics = of_daemon(node)
    work = Work(order_id=given.id, state=state, reason=reason)
    node.tally.answered(given, work, Ended(seen_at=0.0, facts=facts(), method="zero"))
    for name in ("wipes_total", "refusals_total", "failures_total"):
        assert series(metrics, f"daemon_{name}") == ([counted[name]] if name in counted else []), name
    assert series(metrics, "daemon_orders_total") == [f'{{state="{state.value}"}} 1.0']


def test_what_was_interrupted_or_not_put_on_record_is_counted_from_the_start() -> None:
    node = Node()
    metrics = of_daemon(node)
    assert series(metrics, "daemon_interrupted_total") == [" 0.0"]
    node.tally.interrupted, node.tally.unrecorded = 2, 3
    assert series(metrics, "daemon_interrupted_total") == [" 2.0"]
    assert series(metrics, "daemon_record_failures_total") == [" 3.0"]


def named(volume: Volume, name: str) -> Volume:
    return msgspec.structs.replace(volume, metadata=msgspec.structs.replace(volume.metadata, name=name))


def test_questions_are_counted_by_what_they_ask_and_whether_all_waits_for_the_answer() -> None:
    app = controller()
    waiting = (Condition(type="WaitingForPerson", status="True", reason="Release"),)
    asks = but(RELEASED, status={"question": question()}).volume
    waits = but(RELEASED, status={"question": question(), "conditions": waiting}).volume
    for number, each in enumerate((asks, waits, waits, BLANK.volume)):
        app._cluster.volumes.put(named(each, f"v{number}"))
    kind = question().kind
    assert sorted(series(app._metrics, "questions")) == [
        f'{{kind="{kind}",waiting="false"}} 1.0',
        f'{{kind="{kind}",waiting="true"}} 2.0',
    ]


if __name__ == "__main__":
    DOCUMENT.write_text(printed(DOCUMENT.read_text()))
