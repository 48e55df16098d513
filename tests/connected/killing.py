"""Kills workers (`kill -9`) at seeded random moments under traffic, and starts them again.

lives = Killer(stack, traffic, seed=7)
lives.kill_each(("embedder", "shards"), rounds=2)
assert_proven(stack)
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from services.cli.verification.index import verify_index
from services.cli.verification.judgements import verify_judgements
from services.embedder.settings import Settings as EmbedderSettings
from services.judgements.settings import Settings as JudgementSettings
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from tests.connected.traffic import Traffic

PATIENCE = timedelta(seconds=240)
LOOK = timedelta(seconds=5)
MOMENT = 0.6
"""Seconds after a burst within which the kill comes: while it is being worked on."""


class Killer:
    """Kills and restarts; every choice comes from `seed`."""

    def __init__(self, stack: Stack, traffic: Traffic, *, seed: int) -> None:
        self._stack = stack
        self._traffic = traffic
        self._rng = random.Random(f"kills {seed}")
        self._never = threading.Event()
        self.kills: list[str] = []
        _say(f"seed {seed}")

    def kill_each(self, workers: Sequence[str], *, rounds: int) -> None:
        """Kill each worker once a round, in another order each time; the last ones are left starting."""
        for _ in range(rounds):
            for name in self._rng.sample(list(workers), len(workers)):
                self.kill(name)

    def kill(self, name: str) -> None:
        """Kill one worker in the midst of a burst; more arrives while it is away."""
        until_ready(self._stack, name)
        self._traffic.send(self._rng.randint(5, 25), self._rng.randint(5, 60))
        self._never.wait(self._rng.uniform(0, MOMENT))  # a random moment, not a wait for something
        self._stack.kill(name)
        self.kills.append(name)
        _say(f"killed {name} after {self._traffic.sent} messages")
        self._traffic.send(self._rng.randint(1, 10), self._rng.randint(1, 20))
        self._stack.start_worker(name)


def until(holds: Callable[[], bool], within: timedelta = PATIENCE, why: Callable[[], str] = str) -> None:
    """Return when it holds; fail with `why()` when it does not in time."""
    deadline, never = time.monotonic() + within.total_seconds(), threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"not in {within}: {why()}"
        never.wait(0.05)


def until_ready(stack: Stack, *names: str) -> None:
    """Return when these workers (all, if none is named) are ready; fail when one has ended."""
    waiting = set(names or stack.ports)

    def ready() -> bool:
        reasons = {name: why for name, why in stack.not_ready().items() if name in waiting}
        ended = [name for name, why in reasons.items() if "ended" in why]
        assert not ended, "\n".join(f"{name} {reasons[name]}: {stack.tail(name)}" for name in ended)
        return not reasons

    until(ready, why=lambda: str(stack.not_ready()))


def assert_proven(stack: Stack, *, supervised: bool = False) -> None:
    """Fail with the differences, unless the live state is what the topics say, within `PATIENCE`.

    With `supervised`, a worker that ends by itself meanwhile is started again, as `headrace up` does.
    """
    directory = stack.settings.data_dir
    index = discover(EmbedderSettings.load(data_dir=directory))
    judgements = discover(JudgementSettings.load(data_dir=directory))
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while True:
        verdicts = (
            asyncio.run(verify_index(index, LOOK)),
            asyncio.run(verify_judgements(judgements, LOOK)),
        )
        if all(verdict.equal for verdict in verdicts) or time.monotonic() > deadline:
            break
        if supervised:
            stack.tend()
    for verdict in verdicts:
        _say(f"{dict(verdict.figures)} {verdict.notes}")
        told = "\n".join([*verdict.differences[:20], f"not ready: {stack.not_ready()}"])
        assert verdict.equal, f"{len(verdict.differences)} differences\n{told}"


def _say(line: str) -> None:
    print(line)  # noqa: T201 - pytest shows it when a test fails
