"""A text that another product has: embedded once, and told."""

import pytest

from schemas.findings import CatalogueFindings, Finding
from services.embedder import texts
from services.embedder.handler import EmbedderHandler
from services.embedder.texts import GROUPS, LEAST_WORDS, forget

from .conftest import PARTITION, Bench, batch, change

pytestmark = pytest.mark.connected

TITLE = "soft merino wool sock for long walks in winter"


@pytest.fixture
async def handler(bench: Bench) -> EmbedderHandler:
    bench.live = True
    handler = bench.handler()
    await handler.assigned(PARTITION)
    return handler


def told(bench: Bench) -> list[tuple[str, Finding]]:
    messages = [one.value for one in bench.bus.log if one.topic == CatalogueFindings.topic and one.value]
    decoded = [CatalogueFindings.decode(value) for value in messages]
    return [(message.product_id, finding) for message in decoded for finding in message.findings]


async def write(handler: EmbedderHandler, first: int, *titles: tuple[str, str]) -> None:
    changes = [change(product_id, "upsert", first + 1, title=title) for product_id, title in titles]
    await handler.handle(PARTITION, batch(first, *changes))


async def test_an_equal_text_takes_the_vectors_of_the_other_product_and_is_told_once(
    bench: Bench, handler: EmbedderHandler
) -> None:
    await write(handler, 0, ("p", TITLE))
    await write(handler, 1, ("q", TITLE))
    await write(handler, 1, ("q", TITLE))
    assert bench.encoder.embedded == 1
    assert bench.bus.latest["q"].vectors == bench.bus.latest["p"].vectors != b""
    assert [(name, found.reason, found.other) for name, found in told(bench)] == [
        ("q", "text.duplicate", "p")
    ]
    await bench.handler().assigned(PARTITION)
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(3, change("q", "patch", 9, price=3)))
    assert (bench.encoder.embedded, len(told(bench))) == (1, 1)
    assert bench.bus.latest["q"].vectors == bench.bus.latest["p"].vectors


async def test_a_text_that_the_other_product_no_longer_has_is_embedded(
    bench: Bench, handler: EmbedderHandler
) -> None:
    await write(handler, 0, ("p", TITLE))
    await write(handler, 1, ("p", "another text altogether"))
    await write(handler, 2, ("q", TITLE))
    assert bench.encoder.embedded == 3
    assert told(bench) == []


async def test_a_near_duplicate_is_told_with_how_near_it_is(bench: Bench, handler: EmbedderHandler) -> None:
    words = [f"word{number}" for number in range(30)]
    await write(handler, 0, ("p", " ".join(words)))
    await write(handler, 1, ("q", " ".join([*words[:-1], "other"])), ("r", "a red lamp for the desk"))
    [(name, found)] = told(bench)
    assert (name, found.reason, found.other) == ("q", "text.near_duplicate", "p")
    assert found.similarity == pytest.approx(29 / 31, abs=1e-3)
    assert bench.encoder.embedded == 3


async def test_duplicates_in_one_batch_are_told_as_well(bench: Bench, handler: EmbedderHandler) -> None:
    words = [f"word{number}" for number in range(30)]
    same, near = " ".join(words), " ".join([*words[:-1], "other"])
    await write(handler, 0, ("p", same), ("q", same), ("r", near))
    reasons = [(name, found.reason) for name, found in told(bench)]
    assert reasons == [("q", "text.duplicate"), ("r", "text.near_duplicate")]
    assert bench.encoder.embedded == 2


async def test_a_text_of_a_few_words_is_near_to_nothing(bench: Bench, handler: EmbedderHandler) -> None:
    short = " ".join(f"word{number}" for number in range(LEAST_WORDS - 1))
    await write(handler, 0, ("p", short), ("q", short.replace(" ", "  , ")), ("r", short.upper()))
    assert [found.reason for _, found in told(bench)] == []


async def test_vectors_of_another_model_are_not_taken(
    bench: Bench, candidate: Bench, handler: EmbedderHandler
) -> None:
    await write(handler, 0, ("p", TITLE))
    other = candidate.handler()
    await other.assigned(PARTITION)
    await write(other, 0, ("q", TITLE))
    assert candidate.encoder.embedded == 1
    assert told(candidate) == []


async def test_when_the_table_is_lost_a_text_is_embedded_once_more(
    bench: Bench, handler: EmbedderHandler, namespace: str
) -> None:
    await write(handler, 0, ("p", TITLE))
    await forget(bench.redis, namespace, "g1")
    await write(handler, 1, ("q", TITLE))
    await write(handler, 2, ("r", TITLE))
    assert bench.encoder.embedded == 2


async def test_the_table_has_so_many_places_and_no_more(
    bench: Bench, handler: EmbedderHandler, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "PLACES", 2 * GROUPS)
    await write(handler, 0, *((f"p{number}", f"{TITLE} {number}") for number in range(100)))
    sizes = [await bench.redis.hlen(f"{namespace}:{{g1:texts-{group}}}:owners") for group in range(GROUPS)]
    assert max(sizes) <= 2
    await write(handler, 100, *((f"q{number}", f"{TITLE} {number}") for number in range(100)))
    latest = bench.bus.latest
    assert all(latest[f"q{number}"].vectors == latest[f"p{number}"].vectors for number in range(100))


async def test_what_is_empty_is_told(bench: Bench, handler: EmbedderHandler) -> None:
    await write(handler, 0, ("p", ""))
    assert [(name, found.reason) for name, found in told(bench)] == [("p", "text.empty")]


async def test_a_price_change_asks_nobody(bench: Bench, handler: EmbedderHandler, namespace: str) -> None:
    await write(handler, 0, ("p", TITLE))
    await forget(bench.redis, namespace, "g1")
    await handler.handle(PARTITION, batch(1, change("p", "patch", 9, price=3)))
    assert not [key async for key in bench.redis.scan_iter(f"{namespace}:*:owners")]
    assert bench.encoder.embedded == 1
