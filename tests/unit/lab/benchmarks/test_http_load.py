"""The load generator: whole answers, errors by kind, and arrivals that wait for nobody."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.benchmarks.http_load import Exchange, HttpLoad, LoadPlan, LoadPortion, is_whole
from services.lab.benchmarks.load_run import LoadResult, run
from services.lab.benchmarks.search_engines import address_of, post
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.process import free_port

GOOD = b'{"partial":false}'


@contextmanager
def server(*answers: tuple[int, bytes], protocol: str = "HTTP/1.1") -> Iterator[tuple[int, list[bytes]]]:
    """Give the port of a server that gives these answers in turn, and what it was asked."""
    asked: list[bytes] = []
    numbers = count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            status, body = answers[next(numbers) % len(answers)]
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield listening.server_port, asked
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def plan(port: int, **how) -> LoadPlan:
    address = ("127.0.0.1", port)
    requests = tuple(post(address, "/search", {"text": text}) for text in ("a", "b", "c"))
    return LoadPlan(*address, requests, b'"partial":false', **how)


def seen(load: LoadPlan) -> LoadResult:
    result, portions = LoadResult(), list[LoadPortion]()
    HttpLoad(load, portions.append).run()
    for portion in portions:
        result.add(portion)
    assert [portion.last for portion in portions] == [False] * (len(portions) - 1) + [True]
    return result


@given(st.binary(max_size=300), st.data())
def test_an_answer_is_whole_when_its_last_byte_is_there_and_not_before(body, data):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert is_whole(answer)
    assert not is_whole(answer[: data.draw(st.integers(0, len(answer) - 1))])


def test_an_answer_in_chunks_ends_with_an_empty_one():
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert not is_whole(head + b"2\r\nab\r\n")
    assert is_whole(head + b"2\r\nab\r\n0\r\n\r\n")


@pytest.mark.parametrize("clients", [1, 4])
def test_so_many_are_asked_in_turn(clients):
    with server((200, GOOD)) as (port, asked):
        result = seen(plan(port, clients=clients, searches=10))
    assert len(result.latencies) == 10
    assert not result.errors
    assert sorted(asked) == sorted(
        [b'{"text":"a"}', b'{"text":"b"}', b'{"text":"c"}'] * 3 + [b'{"text":"a"}']
    )


def test_each_error_is_told_by_its_kind():
    with server((200, GOOD), (429, b"{}"), (200, b'{"partial":true}')) as (port, _):
        result = seen(plan(port, searches=6))
    assert (len(result.latencies), dict(result.errors)) == (2, {"429": 2, "partial": 2})
    assert result.answered == 6


def test_a_server_that_closes_after_each_answer_is_asked_again():
    with server((200, GOOD), protocol="HTTP/1.0") as (port, _):
        result = seen(plan(port, searches=5))
    assert (len(result.latencies), result.failed) == (5, 0)


def test_even_arrivals_are_as_many_as_the_rate_says_and_random_ones_come_from_a_seed():
    even = HttpLoad(plan(1, rate=10, seconds=2, poisson=False), lambda _: None)
    dues = list(iter(even._schedule().__next__, None))
    assert dues == pytest.approx([number / 10 for number in range(20)])
    randoms = [
        list(iter(HttpLoad(plan(1, rate=1000, seconds=2), lambda _: None)._schedule().__next__, None))
        for _ in range(2)
    ]
    assert randoms[0] == randoms[1]
    assert 1800 < len(randoms[0]) < 2200
    assert all(earlier < later for earlier, later in zip(randoms[0], randoms[0][1:], strict=False))


def test_all_that_is_due_is_asked_also_by_few_connections():
    with server((200, GOOD)) as (port, asked):
        result = seen(plan(port, clients=2, rate=500, seconds=0.1, poisson=False))
    assert len(result.latencies) == len(asked) == 50


def test_a_search_takes_from_when_it_was_due_and_not_from_when_it_was_sent():
    with server((200, GOOD)) as (port, _):
        load = HttpLoad(plan(port), lambda _: None)
        load._began = time.perf_counter()
        load._ask(time.perf_counter() - 5, time.perf_counter())
        load._finish()
    assert load._portion.latencies[0] > 5


def test_whoever_waits_for_too_long_for_a_connection_has_left():
    with server((200, GOOD)) as (port, asked):
        portions: list[LoadPortion] = []
        load = HttpLoad(plan(port, rate=100, seconds=0.1, poisson=False, clients=1), portions.append)
        load._began = time.perf_counter() - 60
        load._open_loop()
        load._say(last=True)
    assert not asked
    assert sum((portion.errors for portion in portions), Counter()) == {"no answer": 10}


def test_a_load_runs_in_a_process_of_its_own():
    with server((200, GOOD)) as (port, _):
        result = run(plan(port, searches=20))
    assert len(result.latencies) == 20
    assert result.cpu > 0
    assert result.rate > 0


def test_nobody_there_is_said():
    with pytest.raises(TransientError, match=r"nobody answers at 127\.0\.0\.1"):
        run(plan(free_port(), searches=1))


def test_a_request_says_how_long_it_is_and_has_the_token():
    request = post(("shop", 80), "/search", {"text": "ä"}, token="sesame")  # noqa: S106 - no one's
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == '{"text":"ä"}'.encode()
    assert head.splitlines()[0] == b"POST /search HTTP/1.1"
    assert b"Content-Length: %d" % len(body) in head
    assert b"Authorization: Bearer sesame" in head


@pytest.mark.parametrize("url", ["https://shop.example", "shop.example:80", "http://a/prefix"])
def test_only_plain_http_is_measured(url):
    with pytest.raises(ConfigurationError, match="is no address such as"):
        address_of(url)


def test_connections_to_a_real_server_are_used_again():
    with server((200, GOOD)) as (port, _):
        exchange = Exchange("127.0.0.1", port)
        for _ in range(2):
            exchange.ask(plan(port).requests[0], 0.0, 0.0)
            while not exchange.receive():
                pass
            assert exchange.outcome(b'"partial":false') == ""
            assert exchange.goes_on
        exchange.socket.close()
