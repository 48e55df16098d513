"""What the workers say they did: every message read was applied, changed nothing, or was dead-lettered."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

SERIES = ("consumed", "applied", "no_op", "dead_lettered")


@dataclass(frozen=True, slots=True)
class Balance:
    """The counters of one topic in one worker, since that worker was started."""

    worker: str
    topic: str
    consumed: int
    applied: int
    no_op: int
    dead_lettered: int

    @property
    def even(self) -> bool:
        """Whether every message is accounted for (those in hand at this moment are not yet)."""
        return self.consumed == self.applied + self.no_op + self.dead_lettered

    def json(self) -> dict[str, object]:
        """Return the counters and whether they add up."""
        return {**asdict(self), "even": self.even}


async def balances(workers: Mapping[str, str]) -> list[Balance]:
    """Ask each of the workers (name to URL) for its counters; who does not answer is left out."""
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:

        async def ask(name: str, url: str) -> list[Balance]:
            try:
                answer = (await client.get(f"{url}/metrics")).raise_for_status()
            except httpx.HTTPError:
                return []
            return read_balances(name, answer.text)

        found = await asyncio.gather(*(ask(name, url) for name, url in workers.items()))
    return [balance for each in found for balance in each]


def read_balances(worker: str, exposition: str) -> list[Balance]:
    """Add up the partitions of each topic in what `/metrics` says."""
    topics: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for family in text_string_to_metric_families(exposition):
        name = family.name.removeprefix("headrace_")
        for sample in family.samples if name in SERIES else ():
            if sample.name.endswith("_total"):
                topics[sample.labels["topic"]][name] += int(sample.value)
    return [_balance(worker, topic, counts) for topic, counts in sorted(topics.items())]


def _balance(worker: str, topic: str, counts: Mapping[str, int]) -> Balance:
    consumed, applied, no_op, dead_lettered = (counts[name] for name in SERIES)
    return Balance(worker, topic, consumed, applied, no_op, dead_lettered)


def lines(found: Iterable[Balance]) -> list[str]:
    """Say each balance in one line."""
    return [
        f"{it.worker}, {it.topic}: {it.consumed} read {'=' if it.even else '≠'} {it.applied} applied"
        f" + {it.no_op} without effect + {it.dead_lettered} dead-lettered"
        for it in found
        if it.consumed
    ]
