"""The slim transport on a server that misbehaves: what is repeated, what never is, and what ends when."""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.unit.kube.stub import CLOSE, Asked, Stub, answer, chunked
from tidb_volume.kube import slim, transport
from tidb_volume.kube.slim import Config, SlimTransport

STATUS = b'{"kind":"Status","reason":"Conflict","message":"no","details":{"retryAfterSeconds":3},"code":409}'


@contextmanager
def talking(reply: Callable[[Asked], bytes], **config: str) -> Iterator[tuple[Stub, SlimTransport]]:
    with Stub(reply) as stub, closing(SlimTransport(Config(stub.url, **config))) as over:  # type: ignore[arg-type]
        yield stub, over


class Script:
    """Answers one after another; the last one is repeated."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)

    def __call__(self, _: Asked) -> bytes:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def test_a_request_carries_its_query_body_and_type() -> None:
    with talking(Script(answer())) as (stub, over):
        over.request("PATCH", "/x", query={"a": "b c", "d": "e,f"}, body=b"[]", content_type="text/x")
    (asked,) = stub.asked
    assert (asked.method, asked.target, asked.body) == ("PATCH", "/x?a=b+c&d=e%2Cf", b"[]")
    assert asked.headers["content-type"] == "text/x"


def test_a_server_below_a_path_is_asked_below_it() -> None:
    with Stub(Script(answer())) as stub, closing(SlimTransport(Config(f"{stub.url}/k8s/c1/"))) as over:
        over.request("GET", "/api")
    assert stub.asked[0].target == "/k8s/c1/api"


def test_an_idle_connection_is_used_again() -> None:
    with talking(Script(answer())) as (stub, over):
        for _ in range(3):
            over.request("GET", "/x")
    assert stub.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_a_connection_that_the_server_closed_while_idle_is_replaced_unnoticed(method: str) -> None:
    with talking(Script(answer())) as (stub, over):
        over.request("GET", "/x")
        (idle,) = over._idle
        stub.hang_up()
        idle.sock.settimeout(10)
        assert idle.sock.recv(1) == b""
        over.request(method, "/x", body=b"{}")
    assert [asked.method for asked in stub.asked] == ["GET", method]
    assert stub.connections == 2


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


def test_an_answer_cut_in_its_middle_is_no_answer() -> None:
    cut = answer(body=b"0123456789")[:-5]
    with talking(lambda _: cut) as (stub, over):
        threading.Timer(0.1, stub.hang_up).start()
        with pytest.raises(transport.NoAnswer):
            over.request("POST", "/x", body=b"{}")


def test_an_answer_cut_in_its_middle_leaves_no_connection_open() -> None:
    cut = answer(200, b"0123456789", "Connection: close")[:-5]
    with talking(lambda _: cut) as (stub, over):
        with pytest.raises(transport.NoAnswer):
            over.request("POST", "/x", body=b"{}", timeout=0.05)
        assert stub.left_alone()


def test_a_server_that_is_not_there_was_sent_nothing() -> None:
    with Stub(Script(answer())) as stub:
        url = stub.url
    with closing(SlimTransport(Config(url))) as over, pytest.raises(transport.NoAnswer) as error:
        over.request("POST", "/x", body=b"{}")
    assert not error.value.sent


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_asked() -> None:
    ended = threading.Event()

    def silent(_: Asked) -> bytes:
        ended.wait(10)
        return CLOSE

    with talking(silent) as (_, over):
        with pytest.raises(transport.NoAnswer):
            over.request("POST", "/x", body=b"{}", timeout=0.05)
        ended.set()


def test_a_refusal_says_what_the_server_said() -> None:
    with talking(Script(answer(409, STATUS))) as (_, over), pytest.raises(transport.ApiError) as error:
        over.request("GET", "/x")
    assert error.value.conflict
    assert error.value.retry_after == 3


def test_a_refusal_that_is_no_status_is_quoted_and_its_retry_after_obeyed() -> None:
    page = answer(503, b"<html>busy</html>", "Retry-After: 7")
    with talking(Script(page)) as (_, over), pytest.raises(transport.ApiError) as error:
        over.request("GET", "/x")
    assert (error.value.status, error.value.message) == (503, "<html>busy</html>")
    assert error.value.retry_after == 7
    assert error.value.retriable


def test_a_token_file_is_read_again_when_a_minute_old(tmp_path: Path) -> None:
    token, now = tmp_path / "token", 0.0
    token.write_text("one\n")
    with Stub(Script(answer())) as stub:
        over = SlimTransport(Config(stub.url, token_file=str(token)), clock=lambda: now)
        with closing(over):
            over.request("GET", "/x")
            token.write_text("two\n")
            over.request("GET", "/x")
            now = slim.TOKEN_LIFE_S
            over.request("GET", "/x")
    said = [asked.headers["authorization"] for asked in stub.asked]
    assert said == ["Bearer one", "Bearer one", "Bearer two"]


def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def reply(asked: Asked) -> bytes:
        token.write_text("new")
        return answer() if asked.headers["authorization"] == "Bearer new" else answer(401)

    with talking(reply, token_file=str(token)) as (stub, over):
        over.request("POST", "/x", body=b"{}")
    assert len(stub.asked) == 2


def test_a_token_that_stays_refused_is_an_error() -> None:
    with (
        talking(Script(answer(401)), token="old") as (stub, over),
        pytest.raises(transport.ApiError) as error,
    ):
        over.request("GET", "/x")
    assert error.value.status == 401
    assert len(stub.asked) == 1


def test_a_token_file_that_is_gone_is_no_answer_and_nothing_was_sent(tmp_path: Path) -> None:
    with talking(Script(answer()), token_file=str(tmp_path / "none")) as (stub, over):
        with pytest.raises(transport.NoAnswer) as error:
            over.request("GET", "/x")
        assert not error.value.sent
    assert stub.asked == []


# --- watches ---


def test_a_watch_gives_its_lines_however_they_were_cut() -> None:
    said = chunked(b"one\ntw", b"o\n", b"\n", b"three\n")
    with talking(Script(said)) as (_, over):
        lines = list(over.stream("/x", stop=transport.Stop()))
    assert lines == [b"", b"one", b"two", b"three"]


def test_a_watch_that_is_refused_raises() -> None:
    with talking(Script(answer(410, b'{"reason":"Expired"}'))) as (_, over):
        with pytest.raises(transport.ApiError) as error:
            list(over.stream("/x", stop=transport.Stop()))
        assert error.value.gone


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


def test_a_watch_does_not_begin_once_stopped() -> None:
    stop = transport.Stop()
    stop.set()
    with talking(Script(chunked())) as (stub, over):
        assert list(over.stream("/x", stop=stop)) == []
    assert stub.asked == []


# --- configuration ---


def test_a_pod_finds_its_server_and_its_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    config = slim.in_cluster(environ, tmp_path)
    assert config.server == "https://[fd00::1]:443"
    assert config.ca_file == str(tmp_path / "ca.crt")


@pytest.mark.parametrize(
    ("environ", "words"), [({}, "not in a pod"), ({"KUBERNETES_SERVICE_HOST": "h"}, "not in a pod")]
)
def test_outside_of_a_pod_it_says_so(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=words):
        slim.in_cluster(environ, tmp_path)


def test_a_pod_without_a_token_is_told_where_one_should_be(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(LookupError, match="automountServiceAccountToken"):
        slim.in_cluster(environ, tmp_path)


KUBECONFIG = """
current-context: one
contexts:
- {name: one, context: {cluster: c, user: by-data}}
- {name: two, context: {cluster: c, user: by-file}}
- {name: exec, context: {cluster: c, user: by-exec}}
- {name: lost, context: {cluster: nowhere, user: by-data}}
clusters:
- {name: c, cluster: {server: "https://h:1", certificate-authority-data: CA, tls-server-name: kube}}
users:
- {name: by-data, user: {client-certificate-data: CRT, client-key-data: KEY}}
- {name: by-file, user: {client-certificate: crt.pem, client-key: key.pem, tokenFile: token}}
- {name: by-exec, user: {exec: {command: aws}}}
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    text = KUBECONFIG
    for name in ("CA", "CRT", "KEY"):
        text = text.replace(name, base64.b64encode(name.lower().encode()).decode())
    (tmp_path / "crt.pem").write_text("crt of a file")
    (tmp_path / "key.pem").write_text("key of a file")
    path = tmp_path / "config"
    path.write_text(text)
    return path


def test_a_kubeconfig_is_read_with_its_current_context(kubeconfig: Path) -> None:
    config = slim.from_kubeconfig(kubeconfig)
    assert config == Config(
        "https://h:1", ca=b"ca", client_certificate=b"crt", client_key=b"key", server_name="kube"
    )


def test_files_in_a_kubeconfig_are_beside_it(kubeconfig: Path) -> None:
    config = slim.from_kubeconfig(kubeconfig, "two")
    assert (config.client_certificate, config.client_key) == (b"crt of a file", b"key of a file")
    assert config.token_file == str(kubeconfig.parent / "token")


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ("exec", "needs the official client"),
        ("lost", "no 'nowhere' under clusters"),
        ("none", "no 'none' under contexts"),
    ],
)
def test_what_a_kubeconfig_lacks_is_named(kubeconfig: Path, context: str, words: str) -> None:
    with pytest.raises(LookupError, match=words):
        slim.from_kubeconfig(kubeconfig, context)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(LookupError, match="not the address"):
        SlimTransport(Config("h:1"))
