"""What the workers say they did: messages are applied, without effect, dead-lettered, skipped, forwarded."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shared.streaming.repartition import is_router

HANDLED = ("applied", "no_op", "dead_lettered", "skipped", "forwarded")
"""What becomes of a message."""
SERIES = ("consumed", *HANDLED)


@dataclass(frozen=True, slots=True)
class Balance:
    """The counters of one topic in one worker, since that worker was started."""

    worker: str
    topic: str
    consumed: int
    applied: int
    no_op: int
    dead_lettered: int
    skipped: int = 0
    forwarded: int = 0

    @property
    def even(self) -> bool:
        """Whether every message is accounted for (those in hand at this moment are not yet)."""
        done = self.applied + self.no_op + self.dead_lettered + self.skipped + self.forwarded
        return self.consumed == done

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

        of_workers = await asyncio.gather(*(ask(name, url) for name, url in workers.items()))
    return [balance for answer in of_workers for balance in answer]


def read_balances(worker: str, exposition: str) -> list[Balance]:
    """Add up the partitions of each topic in what `/metrics` says; its router is one by itself."""
    topics: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for family in text_string_to_metric_families(exposition):
        name = family.name.removeprefix("headrace_")
        for sample in family.samples if name in SERIES else ():
            if sample.name.endswith("_total"):
                reader = sample.labels.get("reader", "")
                who = f"{worker} ({reader})" if is_router(reader) else worker
                topics[who, sample.labels["topic"]][name] += int(sample.value)
    return [
        Balance(who, topic, *(counts[name] for name in SERIES))
        for (who, topic), counts in sorted(topics.items())
    ]


def lines(balances_of_topics: Iterable[Balance]) -> list[str]:
    """Say each balance in one line."""
    return [
        f"{balance.worker}, {balance.topic}: {balance.consumed} read {'=' if balance.even else '≠'} "
        f"{balance.applied} applied + {balance.no_op} without effect + {balance.dead_lettered} dead-lettered"
        f"{f' + {balance.skipped} skipped' if balance.skipped else ''}"
        f"{f' + {balance.forwarded} forwarded' if balance.forwarded else ''}"
        for balance in balances_of_topics
        if balance.consumed
    ]
