"""The official transport keeps the same promises as the slim one, though its pool would rather not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import kubernetes
import pytest

from tests.unit.kube.stub import CLOSE, Asked, Stub, answer, chunked
from tests.unit.kube.test_slim import STATUS, Script
from tidb_volume.kube import transport
from tidb_volume.kube.official import OfficialTransport


@contextmanager
def talking(reply: Callable[[Asked], bytes]) -> Iterator[tuple[Stub, OfficialTransport]]:
    with Stub(reply) as stub:
        configuration = kubernetes.client.Configuration(host=stub.url)
        configuration.api_key = {"authorization": "Bearer t"}
        with closing(OfficialTransport(configuration)) as over:
            yield stub, over


def test_a_request_carries_its_query_body_type_and_token() -> None:
    with talking(Script(answer())) as (stub, over):
        over.request("PATCH", "/x", query={"a": "b c"}, body=b"[]", content_type=transport.JSON_PATCH)
    (asked,) = stub.asked
    assert (asked.method, asked.target, asked.body) == ("PATCH", "/x?a=b+c", b"[]")
    assert asked.headers["content-type"] == transport.JSON_PATCH
    assert asked.headers["authorization"] == "Bearer t"


def test_a_read_whose_answer_was_lost_is_asked_once_more() -> None:
    with talking(Script(CLOSE, answer(body=b"here"))) as (stub, over):
        assert over.request("GET", "/x").body == b"here"
    assert len(stub.asked) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_write_whose_answer_was_lost_is_never_repeated(method: str) -> None:
    with talking(Script(CLOSE, answer())) as (stub, over), pytest.raises(transport.NoAnswer) as error:
        over.request(method, "/x", body=b"{}")
    assert error.value.sent
    assert len(stub.asked) == 1


def test_a_server_that_is_not_there_was_sent_nothing() -> None:
    with talking(Script(answer())) as (_, over):
        pass
    with pytest.raises(transport.NoAnswer) as error:
        over.request("POST", "/x", body=b"{}")
    assert not error.value.sent


def test_a_refusal_says_what_the_server_said() -> None:
    with talking(Script(answer(409, STATUS))) as (_, over), pytest.raises(transport.ApiError) as error:
        over.request("GET", "/x")
    assert error.value.conflict
    assert error.value.retry_after == 3


def test_a_watch_gives_its_lines_however_they_were_cut() -> None:
    with talking(Script(chunked(b"one\ntw", b"o\n", b"three\n"))) as (_, over):
        assert list(over.stream("/x", stop=transport.Stop())) == [b"", b"one", b"two", b"three"]


def test_a_watch_whose_connection_breaks_is_no_answer() -> None:
    with talking(Script(chunked(b"one\n", end=False))) as (stub, over):
        lines = over.stream("/x", stop=transport.Stop())
        assert [next(lines), next(lines)] == [b"", b"one"]
        stub.hang_up()
        with pytest.raises(transport.NoAnswer):
            next(lines)


@pytest.mark.parametrize("last", [False, True])
def test_a_watch_that_waits_is_ended_from_another_thread(last: bool) -> None:
    with talking(Script(chunked(b"one\n", end=False, last=last))) as (_, over):
        stop, told = transport.Stop(), queue.Queue[bytes]()

        def listen() -> None:
            for line in over.stream("/x", stop=stop):
                told.put(line)

        thread = threading.Thread(target=listen)
        thread.start()
        assert [told.get(timeout=10), told.get(timeout=10)] == [b"", b"one"]
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("last", [False, True])
def test_a_watch_that_is_left_early_closes_its_connection(last: bool) -> None:
    with talking(Script(chunked(b"one\n", end=False, last=last))) as (stub, over):
        lines = over.stream("/x", stop=transport.Stop())
        next(lines)
        lines.close()
        assert stub.left_alone()
