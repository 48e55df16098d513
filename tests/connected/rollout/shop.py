"""An installation whose generations are built, promoted and refused: its workers, and who operates it."""

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

import httpx
from typer.testing import CliRunner

from schemas.alerts import Alert
from schemas.base import Message
from schemas.control import Rollout
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
from shared.kafka.compacted import read_once
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.process.worker import Worker
from shared.state.redis import connect
from tests.connected.killing import until, until_ready
from tests.connected.rollout.candidates import NOW

LOOK = timedelta(seconds=5)


@contextmanager
def operated(stack: Stack) -> Iterator["Shop"]:
    """Run search and the rollout worker in this process beside the stack's workers, until the block ends."""
    directory = stack.settings.data_dir
    search = discover(SearchSettings.load(data_dir=directory))
    changed = {
        "search": search.search.model_copy(update={"port": 0}),
        "model": search.model.model_copy(update={"threads": 1}),
    }
    rollout = discover(RolloutSettings.load(data_dir=directory))
    rollout = rollout.model_copy(update={"rollout": rollout.rollout.model_copy(update={"port": 0})})
    searching = build_search(search.model_copy(update=changed))
    with Workers(searching, build_rollout(rollout)):
        until_ready(stack)
        yield Shop(stack, searching)


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

    def alerts(self, key: str) -> list[Alert]:
        """Return the last of the alert with this key, if it was ever raised."""
        items = asyncio.run(read_once(self.stack.settings, Alert.topic)).items
        return [Alert.decode(items[key.encode()])] if key.encode() in items else []

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
