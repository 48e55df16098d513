"""The worker as a process, before a real index: killed, and started again."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest

from schemas.catalogue import ProductChange
from schemas.judgements import ActionStatistics, Judgement
from services.negatives.evidence import published_negatives
from shared.infrastructure.stack import Stack
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from tests.connected.installation import installation

pytestmark = [pytest.mark.connected, pytest.mark.slow]
QUERY = "red trail shoe"
TITLES = {
    "shoe": "red trail running shoe",
    "twin": "Red Trail Running Shoe",
    "near": "red leather shoe",
    "sock": "red wool sock",
    "lamp": "desk lamp with a red shade",
    "tent": "trail tent for two",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    workers = ("shards", "embedder", "search", "negatives")
    with installation(
        tmp_path_factory.mktemp("negatives"),
        workers,
        settings={"HEADRACE_NEGATIVES__SETTLE": "PT1S", "HEADRACE_NEGATIVES__LIKELY": "1"},
    ) as stack:
        stack.wait_ready()
        yield stack


def send(stack: Stack, messages: list[ProductChange] | list[Judgement]) -> None:
    async def write() -> None:
        publisher = KafkaPublisher(stack.settings)
        await publisher.start()
        await publisher.publish([outgoing(message) for message in messages])
        await publisher.stop()

    asyncio.run(write())


def judged(product_id: str, clicks: int) -> Judgement:
    now = datetime.now(UTC)
    return Judgement(
        query=QUERY,
        product_id=product_id,
        window_start=now.date(),
        window_end=now.date(),
        impressions=50,
        shoppers=20,
        actions={"click": ActionStatistics(count=clicks, expected=5.0)},
        value=2.0,
        grade=2.7 if clicks else 0.3,
        updated_at=now,
    )


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        os.sched_yield()


def negatives(stack: Stack) -> set[str]:
    found = asyncio.run(published_negatives(stack.settings))
    assert {query for query, _ in found} <= {QUERY}
    return {product_id for _, product_id in found}


def metrics(stack: Stack) -> str:
    return httpx.get(f"{stack.url('negatives')}/metrics").text


def precision(stack: Stack) -> dict[str, float]:
    """Return what the command says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment["HEADRACE_DATA_DIR"] = str(stack.settings.data_dir)
    command = [sys.executable, "-m", "services.cli.main", "negatives", "--json"]
    answer: dict[str, float] = json.loads(subprocess.check_output(command, env=environment, timeout=60))
    return answer


def indexed(stack: Stack) -> bool:
    body = {"text": "red", "mode": "dense", "log": False}
    answer = httpx.post(f"{stack.url('search')}/search", json=body)
    return answer.is_success and len(answer.json()["hits"]) == len(TITLES)


def test_judgements_become_negatives_that_are_taken_back_also_after_a_stop_and_a_kill(stack):
    now = datetime.now(UTC)
    send(
        stack,
        [
            ProductChange(product_id=name, op="upsert", version=1, event_time=now, fields={"title": title})
            for name, title in TITLES.items()
        ],
    )
    until(partial(indexed, stack))
    send(stack, [judged("shoe", 20), judged("near", 0)])
    until(lambda: len(negatives(stack)) > 0)
    first = negatives(stack)
    assert "sock" in first
    assert not first & {"shoe", "twin"}

    assert 'headrace_negatives_refused_total{reason="duplicate"}' in metrics(stack)
    assert "headrace_negatives_precision NaN" in metrics(stack)
    assert stack.stop_worker("negatives") == 0
    stack.start_worker("negatives")
    send(stack, [judged("near", 2)])
    until(lambda: "near" not in negatives(stack))

    stack.kill("negatives")
    send(stack, [judged("sock", 2)])
    stack.start_worker("negatives")
    until(lambda: "sock" not in negatives(stack))
    assert not negatives(stack) & {"shoe", "twin", "near", "sock"}
    until(lambda: "headrace_negatives_precision 0.0" in metrics(stack))  # `sock` alone was looked at enough
    assert 'headrace_negatives_withdrawn_total{reason="engaged"} 1.0' in metrics(stack)
    assert precision(stack) == {"looked_at": 1, "acted_upon": 1, "precision": 0.0}
    stack.kill("negatives")
