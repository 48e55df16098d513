"""Dead letters are listed, shown, and replayed byte for byte."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.errors import ConfigurationError, PoisonError
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.records import HEAD_BYTES, Partition, Record
from shared.settings import Settings
from shared.streaming.dead_letter_topic import Letter, LetterSelection, count, read, replay, topic_of
from shared.streaming.dead_letters import DeadLetters

pytestmark = pytest.mark.connected
TOPIC = "catalogue.changes.v1"
POISON: list[tuple[bytes | None, bytes | None, str]] = [
    (b"a", b"\xff\x00{", "json.invalid"),
    (b"b", b"", "json.empty"),
    (None, b'{"op": "explode"}', "schema.invalid"),
    (b"\x00\xff", b"x" * 5000, "json.invalid"),
    (b"c", None, "schema.invalid"),
]


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> AsyncIterator[Settings]:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    await apply(settings)
    publisher = KafkaPublisher(settings)
    await publisher.start()
    office = DeadLetters(publisher, reader="embedder-g1", by=Record)
    for offset, (key, value, reason) in enumerate(POISON):
        headers = (("ce_id", b"e%d" % offset), ("raw", b"\xfe\xff"))
        record = Record(Partition(TOPIC, offset % 2), offset, key, value, datetime.now(UTC), headers)
        await office.write(record, PoisonError(reason, f"message {offset} cannot be used"))
    yield settings
    await publisher.stop()


async def letters_of(settings: Settings, selection: LetterSelection | None = None) -> list[Letter]:
    selection = selection or LetterSelection()
    return await read(settings, [f"{TOPIC}.dlq"], wanted=selection, limit=selection.limit)


async def test_letters_are_counted_by_topic_and_reason(settings: Settings) -> None:
    assert await count(settings, [f"{TOPIC}.dlq", "search.events.v1.dlq"]) == {
        (f"{TOPIC}.dlq", "json.invalid"): 2,
        (f"{TOPIC}.dlq", "json.empty"): 1,
        (f"{TOPIC}.dlq", "schema.invalid"): 2,
    }


async def test_a_selection_is_by_offset_reason_and_limit(settings: Settings) -> None:
    invalid = await letters_of(settings, LetterSelection(reason="json.invalid"))
    assert [letter.record.key for letter in invalid] == [b"a", b"\x00\xff"]
    assert [
        letter.record.offset for letter in await letters_of(settings, LetterSelection(frozenset({3})))
    ] == [3]
    assert len(await letters_of(settings, LetterSelection(limit=2))) == 2


async def test_a_replayed_letter_is_the_message_as_it_was(settings: Settings) -> None:
    await replay(settings, await letters_of(settings))
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(settings.topic_prefix + TOPIC, number) for number in (0, 1)])
        found = {}
        while len(found) < len(POISON):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found |= {r.headers[0][1]: (r.key, r.value, r.partition, r.headers) for r in records}
    finally:
        await consumer.stop()
    for number, (key, value, _) in enumerate(POISON):
        headers = (("ce_id", b"e%d" % number), ("raw", b"\xfe\xff"))
        assert found[b"e%d" % number] == (key, value, number % 2, headers)


async def headrace(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "HEADRACE_KAFKA": settings.kafka,
        "HEADRACE_TOPIC_PREFIX": settings.topic_prefix,
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "services.cli.main", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, env=env
    )


async def test_the_commands_show_and_replay(settings: Settings) -> None:
    listed = json.loads((await headrace(settings, "dlq", "list", "--json")).stdout)["dead_letters"]
    assert {"topic": f"{TOPIC}.dlq", "reason": "json.empty", "count": 1} in listed
    shown = (await headrace(settings, "dlq", "show", TOPIC, "--offset", "0")).stdout
    assert "ff 00 7b" in shown
    assert "message 0 cannot be used" in shown
    dry = (await headrace(settings, "dlq", "replay", TOPIC, "--reason", "json.invalid", "--dry-run")).stdout
    assert "2 would be written back" in dry
    done = (await headrace(settings, "dlq", "replay", TOPIC, "--offset", "2", "--offset", "4")).stdout
    assert "2 written back" in done


async def test_a_replay_without_a_selection_is_refused(settings: Settings) -> None:
    refused = await headrace(settings, "dlq", "replay", TOPIC)
    assert (refused.returncode, "--all" in refused.stderr) == (2, True)


def test_a_topic_without_dead_letters_is_an_error_that_names_those_that_have() -> None:
    with pytest.raises(ConfigurationError, match=r"catalogue\.changes\.v1\.dlq"):
        topic_of("alerts.v1", Settings())


async def test_a_letter_that_has_only_a_part_of_its_message_is_shown_and_not_written_back(
    settings: Settings,
) -> None:
    publisher = KafkaPublisher(settings)
    await publisher.start()
    large = Record(Partition(TOPIC, 0), 99, b"big", os.urandom(5_000_000), datetime.now(UTC))
    await DeadLetters(publisher, reader="embedder-g1", by=Record).write(
        large, PoisonError("too.large", "why")
    )
    await publisher.stop()
    shown = json.loads((await headrace(settings, "dlq", "show", TOPIC, "--json")).stdout)["dead_letters"]
    [cut] = [letter for letter in shown if letter["cut"]]
    assert cut["cut"]["value"]["bytes"] == 5_000_000
    assert large.value is not None
    assert bytes.fromhex(cut["value_hex"]) == large.value[:HEAD_BYTES]
    assert "not to be replayed" in (await headrace(settings, "dlq", "show", TOPIC)).stdout
    replayed = await headrace(settings, "dlq", "replay", TOPIC, "--all")
    assert replayed.returncode == 2
    assert f"{len(POISON)} written back, but not {cut['offset']} ({TOPIC}-0 @ 99)" in replayed.stderr
