"""Waiting for what was written: first the embedder, then the shard; what is said when they do not come."""

import asyncio

import pytest

from shared.errors import TransientError


async def test_what_is_in_the_index_is_searchable_at_once(open_api, shop):
    client = await open_api()
    shop.embedded[0] = 7
    answer = await client.post("/written", json={"offsets": {"0": 7}})
    end = shop.served["a"][0].next_offset
    assert answer.json() == {
        "generation": "g1",
        "searchable": True,
        "waiting_for": None,
        "partitions": 2,
        "min_offsets": {"0": end},
    }


async def test_the_embedder_is_waited_for(open_api, shop):
    client = await open_api()
    shop.embedded[1] = 6
    waiting = asyncio.create_task(client.post("/written", json={"offsets": {"1": 7}}))
    late = await client.post("/written", json={"offsets": {"1": 7}, "timeout_ms": 60})
    assert not late.json()["searchable"]
    assert late.json()["waiting_for"] == "the embedder is at 6 of 7 in partition 1"
    shop.embedded[1] = 7
    assert (await waiting).json()["searchable"]


async def test_a_home_that_has_seen_nothing_is_at_its_beginning(open_api):
    client = await open_api()
    answer = (await client.post("/written", json={"offsets": {"0": 1}, "timeout_ms": 30})).json()
    assert answer["waiting_for"] == "the embedder is at 0 of 1 in partition 0"
    assert (await client.post("/written", json={"offsets": {"0": 0}})).json()["searchable"]


async def test_the_shard_is_waited_for(open_api, shop, monkeypatch):
    client = await open_api()
    shop.embedded[0] = 1
    end = shop.served["a"][0].next_offset

    async def more(generation, home):
        return end + 1

    monkeypatch.setattr(shop, "end", more)
    answer = (await client.post("/written", json={"offsets": {"0": 1}, "timeout_ms": 2000})).json()
    assert not answer["searchable"]
    assert f"has applied up to {end}, not {end + 1}" in answer["waiting_for"]


async def test_a_shard_without_an_owner_is_waited_for_and_others_do_not_matter(open_api, shop):
    client = await open_api()
    shop.embedded.update({0: 1, 1: 1})
    shop.owners = shop.owners[:1]
    assert (await client.post("/written", json={"offsets": {"0": 1}})).json()["searchable"]
    answer = (await client.post("/written", json={"offsets": {"1": 1}, "timeout_ms": 100})).json()
    assert answer["waiting_for"] == "no owner serves this partition"


async def test_a_partition_where_no_product_is_at_home_is_refused(open_api):
    client = await open_api()
    answer = await client.post("/written", json={"offsets": {"2": 1}})
    assert (answer.status_code, answer.json()["title"]) == (422, "partition.unknown")
    assert "among 2" in answer.json()["fix"]


@pytest.mark.parametrize("body", [{}, {"offsets": {}}, {"offsets": {"0": -1}}, {"min_offsets": {"0": 1}}])
async def test_requests_that_do_not_fit_are_refused(open_api, body):
    client = await open_api()
    assert (await client.post("/written", json=body)).status_code == 422


async def test_a_redis_that_is_away_is_told(open_api, shop, monkeypatch):
    client = await open_api()

    async def away(generation, home):
        raise TransientError("no Redis answers")

    monkeypatch.setattr(shop, "applied", away)
    answer = await client.post("/written", json={"offsets": {"0": 1}})
    assert (answer.status_code, answer.json()["title"]) == (503, "index.unavailable")
    assert "no Redis answers" in answer.json()["detail"]


async def test_who_waits_takes_no_place_from_who_searches(open_api, shop, monkeypatch):
    client, asked, go_on = await open_api(concurrency=1, waiting=1), asyncio.Event(), asyncio.Event()

    async def applied(generation, home):
        asked.set()
        await go_on.wait()
        return 1

    monkeypatch.setattr(shop, "applied", applied)
    waiting = asyncio.create_task(client.post("/written", json={"offsets": {"0": 1}}))
    await asked.wait()
    assert (await client.post("/written", json={"offsets": {"0": 1}})).status_code == 429
    assert (await client.post("/search", json={"text": "red shoe"})).status_code == 200
    go_on.set()
    assert (await waiting).json()["searchable"]


async def test_tokens_guard_it(open_api):
    client = await open_api(tokens=["secret"])
    assert (await client.post("/written", json={"offsets": {"0": 1}})).status_code == 401


@pytest.mark.parametrize("question", [("/search", {"text": "red shoe"}), ("/similar", {"product_id": "p1"})])
async def test_a_search_waits_for_what_was_written(open_api, shop, question):
    client, (path, body) = await open_api(), question
    shop.embedded[0] = 6
    searching = asyncio.create_task(client.post(path, json={**body, "written": {"0": 7}}))
    late = await client.post(path, json={**body, "written": {"0": 7}, "timeout_ms": 60})
    assert (late.status_code, late.json()["title"]) == (504, "timeout")
    assert "the embedder is at 6 of 7 in partition 0" in late.json()["detail"]
    shop.embedded[0] = 7
    answer = (await searching).json()
    assert not answer["partial"]
    assert answer["hits"]


async def test_a_shard_that_lacks_what_was_written_is_missing_from_the_search(open_api, shop, monkeypatch):
    client = await open_api()
    shop.embedded[0] = 1
    end = shop.served["a"][0].next_offset

    async def more(generation, home):
        return end + 1

    monkeypatch.setattr(shop, "end", more)
    body = {"text": "red shoe", "written": {"0": 1}, "min_offsets": {"0": 1}, "timeout_ms": 2000}
    answer = (await client.post("/search", json=body)).json()
    assert [part["answered"] for part in answer["partitions"]] == [False, True]
    assert f"has applied up to {end}, not {end + 1}" in answer["partitions"][0]["reason"]


async def test_offsets_that_a_search_names_itself_still_count_beside_what_was_written(open_api, shop):
    client = await open_api()
    shop.embedded[0] = 1
    reached = {number: shard.next_offset for number, shard in shop.served["a"].items()}
    body = {"text": "red shoe", "written": {"0": 1}, "timeout_ms": 500}
    beyond = [{0: reached[0] + 1}, {1: reached[1] + 1}]
    answers = [(await client.post("/search", json={**body, "min_offsets": each})).json() for each in beyond]
    answered = [[part["answered"] for part in answer["partitions"]] for answer in answers]
    assert answered == [[False, True], [True, False]]


async def test_a_search_cannot_have_seen_what_lies_where_no_product_is_at_home(open_api):
    client = await open_api()
    answer = await client.post("/search", json={"text": "red shoe", "written": {"2": 1}})
    assert (answer.status_code, answer.json()["title"]) == (422, "partition.unknown")


async def test_only_a_search_that_names_what_was_written_needs_redis(open_api, shop, monkeypatch):
    client = await open_api()

    async def away(generation, home):
        raise TransientError("no Redis answers")

    monkeypatch.setattr(shop, "applied", away)
    body = {"text": "red shoe"}
    assert (await client.post("/search", json=body)).status_code == 200
    answer = await client.post("/search", json={**body, "written": {"0": 1}})
    assert (answer.status_code, answer.json()["title"]) == (503, "index.unavailable")
