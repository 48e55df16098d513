"""Kills workers (`kill -9`) at seeded random moments under traffic, and starts them again.

lives = Killer(stack, traffic, seed=7)
lives.kill_each(("embedder", "shards"), rounds=2)
assert_proven(stack)

A `SupervisedKiller` leaves the start to the installation, and the traffic to whoever sends it meanwhile.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.embedder.settings import Settings as EmbedderSettings
from services.judgements.settings import Settings as JudgementSettings
from services.lab.verification.index import verify_index
from services.lab.verification.judgements import verify_judgements
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.infrastructure.supervision import Backoff
from tests.connected.traffic import Traffic

PATIENCE = timedelta(seconds=240)
LOOK = timedelta(seconds=5)
MOMENT = 0.6
"""Seconds after a burst within which the kill comes: while it is being worked on."""
AT_WORK, STARTING, IN_ITS_START = 1.5, 4.0, 0.25
"""Seconds after it is ready within which a worker is killed, and after its last kill; how often so early."""
LOOK_AGAIN = 0.2
AT_ONCE = Backoff(first=timedelta(seconds=0.1), longest=timedelta(seconds=0.1))


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


@dataclass
class _Victim:
    """A worker that is killed again and again."""

    left: int
    due: float | None = None
    """When it is killed next; None: once it is ready."""
    killed: float | None = None
    """When it was killed last, until it is ready again."""
    pid: int | None = None


class SupervisedKiller:
    """Kills workers of an installation that restarts them, each at moments of its own life; from `seed`."""

    def __init__(self, stack: Stack, *, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()
        self.longest = timedelta(0)
        """From a kill until its worker was ready again."""
        self._stack = stack
        self._rng = random.Random(f"supervised kills {seed}")
        self._never = threading.Event()

    def kill_each(self, workers: Sequence[str], times: int) -> None:
        """Kill each worker so many times, whatever the others do; returns when all are ready again."""
        victims = {name: _Victim(times, pid=self._stack.pid(name)) for name in workers}
        while any(victim.left or victim.killed for victim in victims.values()):
            self._stack.supervise_once(AT_ONCE)
            away = self._stack.not_ready()
            for name, victim in victims.items():
                self._look(name, victim, ready=name not in away)
            self._rest(victims.values())

    def _look(self, name: str, victim: _Victim, *, ready: bool) -> None:
        now, pid = time.monotonic(), self._stack.pid(name)
        if pid not in {None, victim.pid}:
            victim.pid = pid
            self.restarts[name] += 1
        if victim.killed is not None:
            waited = timedelta(seconds=now - victim.killed)
            assert waited < PATIENCE, f"{name} does not come back: {self._stack.tail(name)}"
            if ready:
                self.longest = max(self.longest, waited)
                victim.killed = None
        if victim.left and victim.due is None and ready:
            victim.due = now + self._rng.uniform(0, AT_WORK)
        if victim.due is not None and now >= victim.due and pid is not None:
            self._kill(name, victim)

    def _kill(self, name: str, victim: _Victim) -> None:
        self._stack.kill(name)
        self.kills[name] += 1
        victim.left, victim.killed, victim.due = victim.left - 1, time.monotonic(), None
        if victim.left and self._rng.random() < IN_ITS_START:
            victim.due = victim.killed + self._rng.uniform(0, STARTING)

    def _rest(self, victims: Iterable[_Victim]) -> None:
        """Wait for the next look, or kill."""
        now = time.monotonic()
        pauses = [victim.due - now for victim in victims if victim.due is not None]
        self._never.wait(max(0.0, min([LOOK_AGAIN, *pauses])))


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
            stack.supervise_once()
    for verdict in verdicts:
        _say(f"{dict(verdict.figures)} {verdict.notes}")
        told = "\n".join([*verdict.differences[:20], f"not ready: {stack.not_ready()}"])
        assert verdict.equal, f"{len(verdict.differences)} differences\n{told}"


def _say(line: str) -> None:
    print(line)  # noqa: T201 - pytest shows it when a test fails
