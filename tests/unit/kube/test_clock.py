"""What time it is, the API server says: no leader's own clock ends a countdown."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from tests.model.apiserver import ApiServer
from tidb_volume.kube import clock, transport

HOUR = 3600.0
SERVER = 1_800_000_000.0
"""The server's time when the steady clock shows 0."""


class Dated:
    """An API server that says what time it is. `takes_s`: so long until the answer is written, and as long
    again until it is here."""

    def __init__(self) -> None:
        self.at, self.takes_s, self.date = 0.0, 0.0, ""
        self._server = ApiServer()

    def request(self, method: str, path: str, **more: object) -> transport.Response:
        answer = self._server.request(method, path)
        self.at += self.takes_s
        date = self.date or formatdate(SERVER + self.at, usegmt=True)
        self.at += self.takes_s
        return transport.Response(answer.status, answer.body, {"date": date} if date != "none" else {})

    stream = ApiServer.stream
    close = ApiServer.close


def ask(timed: clock.Timed) -> None:
    timed.request("GET", "/api/v1/nodes")


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, 5.0, -5.0])
def test_a_clock_that_is_wrong_is_not_believed_after_the_first_answer(ahead: float) -> None:
    server = Dated()
    timed = clock.Timed(server, steady=lambda: server.at, wall=lambda: SERVER + server.at + ahead)
    assert timed.now() == SERVER + ahead
    ask(timed)
    assert timed.now() == pytest.approx(SERVER, abs=1)
    server.at += 0.4 * HOUR
    assert timed.now() == pytest.approx(SERVER + server.at, abs=1)
    assert timed.own_ahead_s() == pytest.approx(ahead, abs=1)


def test_a_clock_that_is_set_while_this_runs_changes_nothing() -> None:
    server = Dated()
    shown = [SERVER]
    timed = clock.Timed(server, steady=lambda: server.at, wall=lambda: shown[0])
    ask(timed)
    shown[0] -= HOUR
    assert timed.now() == SERVER
    assert timed.own_ahead_s() == -HOUR


def test_a_clock_that_is_right_is_left_alone_however_the_dates_are_cut_off() -> None:
    server = Dated()
    timed = clock.Timed(server, steady=lambda: server.at, wall=lambda: SERVER + server.at)
    for _ in range(100):
        server.at += 0.37
        ask(timed)
        assert timed.now() == pytest.approx(SERVER + server.at, abs=1e-6)


def test_of_a_server_whose_clock_leaps_ahead_it_is_known_when_it_has() -> None:
    server = Dated()
    timed = clock.Timed(server, steady=lambda: server.at, wall=lambda: SERVER - HOUR)
    for _ in range(2):
        ask(timed)
        assert timed.leapt_at == 0.0, "the own clock was wrong, and nothing was decided by it"

    def leaps(seconds: float) -> float:
        server.date = formatdate(timed.now() + seconds, usegmt=True)
        ask(timed)
        return timed.leapt_at

    assert leaps(clock.LEAP_S) == 0.0
    assert leaps(-HOUR) == 0.0, "a deadline comes no sooner by it"
    at = timed.now()
    assert leaps(clock.LEAP_S + 2) == timed.now()
    assert timed.leapt_at == pytest.approx(at + clock.LEAP_S + 2, abs=1)
    known = timed.leapt_at
    server.at += 60.0
    server.date = ""
    assert leaps(0.0) == known
    server.at -= 60.0
    assert leaps(-2.0) == 0.0, "it was wrong, or the time before it is told again"


def test_an_answer_that_takes_long_says_no_more_than_it_can() -> None:
    server = Dated()
    server.takes_s = 20.0
    timed = clock.Timed(server, steady=lambda: server.at, wall=lambda: SERVER + server.at + 15)
    ask(timed)
    assert timed.now() == SERVER + server.at + 15
    server.takes_s = 0.1
    ask(timed)
    assert timed.now() == pytest.approx(SERVER + server.at, abs=1.2)


@pytest.mark.parametrize(
    "date", ["none", "tomorrow", "Thu, 32 Nov 2026 09:00:00 GMT", "Thu, 26 Nov 2026 09:00:00"]
)
def test_an_answer_without_a_date_that_can_be_read_says_nothing(date: str) -> None:
    server = Dated()
    server.date = date
    timed = clock.Timed(server, steady=lambda: server.at, wall=lambda: SERVER)
    ask(timed)
    assert timed.now() == SERVER
