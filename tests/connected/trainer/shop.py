"""A small shop with judgements and negatives, written to real topics."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.base import Message
from schemas.catalogue import ProductChange
from schemas.judgements import ActionStatistics, Judgement, Negative
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.records import Outgoing
from shared.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUERIES = [
    f"{colour} {thing}" for colour in ("red", "blue", "green") for thing in ("shoe", "tent", "lamp", "rug")
]


def send(settings: Settings, messages: Sequence[Message | Outgoing]) -> None:
    async def write() -> None:
        publisher = KafkaPublisher(settings)
        await publisher.start()
        await publisher.publish([it if isinstance(it, Outgoing) else outgoing(it) for it in messages])
        await publisher.stop()

    asyncio.run(write())


def judged(query: str, product_id: str, grade: float = 2.5) -> Judgement:
    return Judgement(
        query=query,
        product_id=product_id,
        window_start=NOW.date(),
        window_end=NOW.date(),
        impressions=50,
        shoppers=9,
        actions={"click": ActionStatistics(count=5, expected=2.0)},
        value=2.0,
        grade=grade,
        updated_at=NOW,
    )


def negative(query: str, product_id: str) -> Negative:
    return Negative(
        query=query,
        product_id=product_id,
        difficulty="hard",
        score=0.5,
        positive_score=0.7,
        rank=1,
        generation="g1",
        fingerprint="0" * 16,
        mined_at=NOW,
    )


def shop() -> list[Message]:
    titles = [f"{query} {brand}" for query in QUERIES for brand in ("acme", "zoom")]
    products = [
        ProductChange(
            product_id=f"p{number}", op="upsert", version=1, event_time=NOW, fields={"title": title}
        )
        for number, title in enumerate(titles)
    ]
    pairs = [(query, f"p{number}") for query in QUERIES for number in range(len(titles))]
    return [*products, *(judged(*pair) for pair in pairs[::2]), *(negative(*pair) for pair in pairs[1::2])]
