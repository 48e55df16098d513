"""What the collector takes, refuses and says, over HTTP."""

import asyncio
import gzip
import json
from datetime import timedelta

import pytest

from schemas.collector_api import MAX_BATCH, CollectorAnswer
from schemas.search_api import Problem
from schemas.wire import decode_event
from services.collector.settings import CollectorSettings
from shared.errors import FatalError, PoisonError, TransientError
from tests.unit.collector.conftest import NEIGHBOUR

TOKEN = "a-token-of-the-shop"  # noqa: S105 - of this test
OURS = {"Authorization": f"Bearer {TOKEN}"}
SHOE = {
    "product_id": "SHOE-1",
    "op": "upsert",
    "version": 1,
    "fields": {"title": "Trail shoe", "price": 99.5},
}


def click(number=1, **more):
    return {
        "action_name": "click",
        "timestamp": "2026-11-30T11:59:58.000Z",
        "query_id": f"q{number}",
        "event_id": f"e{number}",
        "client_id": "me",
        "event_attributes": {"object": {"object_id": "SHOE-1", "price": 99.5}, "position": {"ordinal": 1}},
        **more,
    }


def lines(messages):
    return "\n".join(map(json.dumps, messages))


def written(collecting):
    return [json.loads(message.value) for message in collecting.bus.messages]


async def test_one_event_an_array_and_lines_are_the_same(open_collector):
    client, collecting = await open_collector()
    events = [click(1), click(2)]
    for body in (
        json.dumps(events),
        lines(events),
        lines(events) + "\n\n",
        " " + json.dumps(events, indent=2),
    ):
        collecting.bus.messages.clear()
        answer = await client.post("/events", content=body)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": []})
        assert written(collecting) == events
        assert [message.key for message in collecting.bus.messages] == [b"q1", b"q2"]
    assert (await client.post("/events", content=json.dumps(click(), indent=2))).json()["accepted"] == 1


@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", "application/json", "application/x-ndjson", ""])
async def test_whatever_a_browser_calls_the_body_it_is_read(open_collector, kind):
    client, _ = await open_collector()
    headers = {"Content-Type": kind} if kind else {}
    assert (await client.post("/events", content=json.dumps([click()]), headers=headers)).status_code == 202


async def test_the_good_are_taken_and_the_bad_named_by_their_place(open_collector):
    client, collecting = await open_collector()
    bad = [
        {"timestamp": "2026-11-30T12:00:00Z"},
        "click",
        click(timestamp="yesterday"),
        click(history=True),
        click(x="y" * 300_000),
    ]
    answer = await client.post("/events", json=[click(1), *bad, click(2)])
    assert answer.status_code == 202
    CollectorAnswer.model_validate_json(answer.content)
    told = answer.json()["rejected"]
    assert answer.json()["accepted"] == 2
    assert [(item["index"], item["reason"]) for item in told] == [
        (1, "field.missing"),
        (2, "json.not_object"),
        (3, "time.invalid"),
        (4, "field.reserved"),
        (5, "message.too_large"),
    ]
    assert [event["event_id"] for event in written(collecting)] == ["e1", "e2"]


async def test_where_none_is_good_the_answer_is_a_problem_with_every_reason(open_collector):
    client, collecting = await open_collector()
    answer = await client.post("/events", content="not json\n[1\n")
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.title) == (422, "messages.rejected")
    assert [fault.where for fault in problem.errors] == ["0", "1"]
    assert collecting.bus.messages == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "body.invalid"),
        (b" \n ", 422, "body.invalid"),
        (b"[]", 422, "body.invalid"),
        (b'[{"action_name":"click"}', 422, "body.invalid"),
        (b"[" * 200_000, 422, "body.invalid"),
        (b'{"a":' * 100_000, 422, "messages.rejected"),
        (b'{"action_name":"\xff","timestamp":1}', 422, "messages.rejected"),
        (b'[{"action_name":"\xff\xfe","timestamp":1}]', 422, None),
        (b'{"action_name":"\\ud800","timestamp":1}', 422, "messages.rejected"),
        (b'{"action_name":"click","timestamp":1e999}', 422, "messages.rejected"),
        (b'{"action_name":"click","timestamp":NaN}', 422, "messages.rejected"),
        (b"\xef\xbb\xbf[]", 422, "messages.rejected"),
        (b"[" + b"1," * 500_000 + b"1]", 413, "batch.too_many"),
        (b"[" + b" " * 1_100_000 + b"]", 413, "body.too_large"),
        (b"\x1f\x8b\x08\x00", 422, "messages.rejected"),
    ],
)
async def test_rubbish_is_refused_with_its_reason_and_a_fix(open_collector, body, status, code):
    client, collecting = await open_collector()
    answer = await client.post("/events", content=body)
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.fix != "") == (status, True)
    assert code in {None, problem.title}
    assert collecting.bus.messages == []


async def test_a_bomb_is_not_unpacked(open_collector):
    client, _ = await open_collector()
    bomb = gzip.compress(b" " * 50_000_000)
    answer = await client.post("/events", content=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["title"]) == (415, "body.compressed")


async def test_keys_that_mean_something_elsewhere_mean_nothing_here(open_collector):
    client, collecting = await open_collector()
    body = (
        json.dumps(click())[:-1]
        + ', "__proto__": {"admin": true}, "constructor": {"prototype": 1}, "__class__": 1}'
    )
    assert (await client.post("/events", content=body)).status_code == 202
    event = decode_event(collecting.bus.messages[0].value)
    assert (event.action_name, type(event).__name__) == ("click", "SearchEvent")


async def test_more_than_a_thousand_are_told_to_come_in_several_requests(open_collector):
    client, _ = await open_collector()
    events = [click(number) for number in range(MAX_BATCH + 1)]
    assert (await client.post("/events", json=events)).status_code == 413
    assert (await client.post("/events", json=events[1:])).json()["accepted"] == MAX_BATCH


async def test_a_shop_with_an_engine_of_its_own_logs_its_queries(open_collector):
    client, collecting = await open_collector()
    query = {
        "query_id": "q1",
        "user_query": "trail shoe",
        "timestamp": "2026-11-30T11:59:00Z",
        "query_response_hit_ids": ["SHOE-1"],
    }
    forged = {**query, "ranking": {"generation": "g1", "fingerprint": "0" * 16, "mode": "hybrid"}}
    answer = await client.post("/queries", json=[query, forged])
    assert answer.json()["accepted"] == 1
    assert [item["reason"] for item in answer.json()["rejected"]] == ["field.reserved"]
    [message] = collecting.bus.messages
    assert (message.topic, message.key, json.loads(message.value)) == ("search.queries.v1", b"q1", query)


async def test_the_catalogue_is_closed_without_a_token(open_collector):
    client, collecting = await open_collector()
    for headers in ({}, OURS, {"Authorization": "Bearer "}):
        refused = await client.post("/changes", json=SHOE, headers=headers)
        assert (refused.status_code, refused.json()["title"]) == (404, "changes.off")
    assert collecting.bus.messages == []


@pytest.mark.parametrize(
    "header", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}"]
)
async def test_the_catalogue_is_closed_to_a_wrong_token(open_collector, header):
    client, collecting = await open_collector(tokens=[TOKEN])
    refused = await client.post("/changes", json=SHOE, headers={"Authorization": header})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert collecting.bus.messages == []


async def test_a_token_changes_the_catalogue_byte_for_byte_under_the_products_id(open_collector):
    client, collecting = await open_collector(tokens=["another-token-of-it", TOKEN])
    raw = b'{"product_id":"SHOE-1","op":"patch","version":2,"fields":{"price":99.50}}'
    opensearch = b'{"_id":"SHOE-2","_version":"3","_source":{"title":"Boot"}}'
    heartbeat = b'{"ts_ms": 1}'
    answer = await client.post(
        "/changes", content=b"\n".join((raw, opensearch, heartbeat, b"{}")), headers=OURS
    )
    assert answer.json()["accepted"] == 2
    assert [item["reason"] for item in answer.json()["rejected"]] == ["message.skipped", "form.unknown"]
    sent = [(message.topic, message.key, message.value) for message in collecting.bus.messages]
    assert sent == [("catalogue.changes.v1", b"SHOE-1", raw), ("catalogue.changes.v1", b"SHOE-2", opensearch)]


def test_a_token_that_can_be_guessed_is_no_setting():
    with pytest.raises(ValueError, match="at least 16"):
        CollectorSettings(tokens=("secret",))


async def test_without_kafka_the_answer_comes_in_time_and_it_works_again_after(open_collector):
    client, collecting = await open_collector(within=0.05)
    collecting.bus.free.clear()
    first = await client.post("/events", json=click(1))
    assert (first.status_code, first.json()["title"]) == (503, "kafka.away")
    assert int(first.headers["retry-after"]) > 0
    assert (await client.post("/events", json=click(2))).status_code == 503
    assert collecting.bus.calls == 1, "what waited in vain is not written behind the back of who was refused"
    collecting.bus.free.set()
    async with asyncio.timeout(20):
        while (await client.post("/events", json=click(3))).status_code != 202:  # noqa: ASYNC110 - the next answer says so
            await asyncio.sleep(0)
    assert [event["event_id"] for event in written(collecting)] == ["e1", "e3"]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (TransientError("the broker is away"), 503, "kafka.away"),
        (PoisonError("output.too_large", "too large"), 422, "output.too_large"),
    ],
)
async def test_what_the_broker_refuses_is_never_acknowledged(open_collector, failure, status, code):
    client, collecting = await open_collector()
    collecting.bus.failure = failure
    answer = await client.post("/events", json=click())
    assert (answer.status_code, answer.json()["title"]) == (status, code)
    collecting.bus.failure = None
    assert (await client.post("/events", json=click())).status_code == 202


async def test_what_can_never_be_written_stops_the_worker(open_collector):
    client, collecting = await open_collector()
    collecting.bus.failure = FatalError("no right to write")
    assert (await client.post("/events", json=click())).status_code == 503
    with pytest.raises(FatalError):
        await collecting.log.wait()
    collecting.log._task = None  # it has been looked at


async def test_requests_that_wait_are_written_together(open_collector):
    client, collecting = await open_collector(concurrency=100, per_client=0)
    collecting.bus.free.clear()
    waiting = [asyncio.ensure_future(client.post("/events", json=click(0)))]
    await collecting.bus.called.wait()
    waiting += [asyncio.ensure_future(client.post("/events", json=click(number))) for number in range(1, 30)]
    async with asyncio.timeout(20):
        while len(collecting.log._waiting) < 29:  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0)
    collecting.bus.free.set()
    assert {(await answer).status_code for answer in waiting} == {202}
    assert collecting.bus.calls == 2
    assert len(collecting.bus.messages) == 30


async def test_a_client_that_sends_too_much_is_told_when_to_come_again_and_others_are_not_hindered(
    open_collector,
):
    client, collecting = await open_collector(rate=60)
    assert (await client.post("/events", json=[click(n) for n in range(60)])).status_code == 202
    refused = await client.post("/events", json=[click(n) for n in range(10)])
    assert (refused.status_code, refused.json()["title"]) == (429, "client.too_many")
    assert refused.headers["retry-after"] == "10"
    async with collecting.client(NEIGHBOUR) as neighbour:
        assert (await neighbour.post("/events", json=click())).status_code == 202
    collecting.now_is += timedelta(seconds=10)
    assert (await client.post("/events", json=[click(n) for n in range(10)])).status_code == 202


async def test_what_is_refused_costs_its_sender_as_much_and_so_do_large_messages(open_collector):
    client, _ = await open_collector(rate=10)
    assert (await client.post("/events", json=click(x="y" * 9_500))).status_code == 202
    assert (await client.post("/events", content=b"rubbish")).status_code == 422
    assert (await client.post("/events", content=b"rubbish")).status_code == 429


async def test_the_shops_own_servers_have_no_limit(open_collector):
    client, _ = await open_collector(rate=1, tokens=[TOKEN])
    for _ in range(5):
        assert (await client.post("/events", json=[click(), click()], headers=OURS)).status_code == 202
    assert (await client.post("/events", json=click())).status_code == 202
    assert (await client.post("/events", json=click())).status_code == 429


async def test_behind_a_proxy_that_is_known_a_client_is_who_it_says(open_collector):
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    for proxies, statuses in ((["203.0.113.0/24"], [202, 202]), ([], [202, 429])):
        client, _ = await open_collector(rate=1, proxies=proxies)
        answers = [
            await client.post("/events", json=click()),
            await client.post("/events", json=click(), headers=forwarded),
        ]
        assert [answer.status_code for answer in answers] == statuses


async def test_more_requests_of_one_address_than_allowed_are_refused_and_others_answered(open_collector):
    client, collecting = await open_collector(per_client=2)
    collecting.bus.free.clear()
    waiting = [asyncio.ensure_future(client.post("/events", json=click(n))) for n in range(2)]
    await collecting.bus.called.wait()
    async with asyncio.timeout(20):
        while (refused := await client.post("/events", content=b"x")).status_code != 429:  # noqa: ASYNC110 - the next answer says so
            await asyncio.sleep(0)
    assert refused.json()["title"] == "overloaded"
    async with collecting.client(NEIGHBOUR) as neighbour:
        assert (await neighbour.post("/events", content=b"x")).status_code == 422
    collecting.bus.free.set()
    assert {(await answer).status_code for answer in waiting} == {202}


async def test_a_body_that_comes_too_slowly_is_given_up(open_collector):
    client, _ = await open_collector(body_within="20ms")

    async def dribble():
        yield b"["
        await asyncio.Event().wait()

    answer = await client.post("/events", content=dribble())
    assert (answer.status_code, answer.json()["title"]) == (408, "body.too_slow")


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1", "http://localhost:8000", True),
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1", "http://127.0.0.1.evil.example", False),
        ("127.0.0.1", "https://evil.example", False),
        ("127.0.0.1", "null", False),
        ("10.0.0.7", "http://localhost:8000", False),
        ("10.0.0.7", "https://shop.example", True),
        ("10.0.0.7", "https://shop.example:8443", False),
        ("10.0.0.7", "http://shop.example", False),
        ("10.0.0.7", "https://shop.example.evil.example", False),
    ],
)
async def test_only_pages_of_the_shops_origins_may_send(open_collector, host, origin, allowed):
    client, collecting = await open_collector(host=host, origins=["https://shop.example"])
    asked = await client.options("/events", headers={**PREFLIGHT, "Origin": origin})
    sent = await client.post("/events", json=click(), headers={"Origin": origin})
    assert (asked.status_code, sent.status_code) == ((200, 202) if allowed else (403, 403))
    assert len(collecting.bus.messages) == int(allowed)
    for answer in (asked, sent):
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    if allowed:
        assert asked.headers["access-control-allow-credentials"] == "true", "beacons carry credentials"
        assert "content-type" in asked.headers["access-control-allow-headers"].lower()


async def test_a_page_can_read_why_it_was_refused(open_collector):
    client, _ = await open_collector(rate=1)
    headers = {"Origin": "http://localhost:8000"}
    await client.post("/events", json=click(), headers=headers)
    refused = await client.post("/events", json=click(), headers=headers)
    assert refused.status_code == 429
    assert refused.headers["access-control-allow-origin"] == "http://localhost:8000"
    assert refused.headers["access-control-expose-headers"] == "Retry-After"


async def test_no_page_may_change_the_catalogue(open_collector):
    client, _ = await open_collector(tokens=[TOKEN], origins=["https://shop.example"])
    origin = {"Origin": "https://shop.example"}
    assert (await client.options("/changes", headers={**PREFLIGHT, **origin})).status_code == 405
    answer = await client.post("/changes", json=SHOE, headers={**OURS, **origin})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "shop.example", "https://shop.example/", "https://shop.example/a", "null"]
)
def test_an_origin_that_no_browser_says_is_no_setting(origin):
    with pytest.raises(ValueError, match="origins"):
        CollectorSettings(origins=(origin,))


async def test_the_script_is_served_once_and_then_known(open_collector):
    client, _ = await open_collector()
    script = await client.get("/collector.js")
    assert script.headers["content-type"].startswith("text/javascript")
    again = await client.get("/collector.js", headers={"If-None-Match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await client.get("/collector.js", headers={"Accept-Encoding": "identity"})
    assert plain.text == script.text
    assert plain.headers["etag"] != script.headers["etag"]


async def test_what_there_is_not_is_a_problem_too(open_collector):
    client, _ = await open_collector()
    assert (await client.get("/events")).status_code == 405
    assert (await client.get("/")).json()["status"] == 404
    assert (await client.post("/events?sent=soon", json=click())).status_code == 422


async def test_every_answer_is_described(open_collector):
    client, _ = await open_collector()
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path in ("/events", "/queries", "/changes"):
        assert {"202", "401", "403", "408", "413", "415", "422", "429", "503"} <= paths[path]["post"][
            "responses"
        ].keys()


async def test_nothing_of_a_visitor_is_logged(open_collector, capsys):
    client, _ = await open_collector(rate=1)
    for body in (json.dumps(click(client_id="visitor-17")), "rubbish of visitor-17", "more"):
        await client.post("/events", content=body)
    output = "".join(capsys.readouterr())
    assert "visitor-17" not in output
    assert "203.0.113.9" not in output


async def test_the_script_is_a_few_kilobytes(open_collector):
    client, _ = await open_collector()
    script = await client.get("/collector.js")
    assert len(script.content) < 11_000
    assert int(script.headers["content-length"]) < 4_200, "as it goes over the wire"
