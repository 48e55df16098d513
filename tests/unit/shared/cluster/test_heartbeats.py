"""What is worked on is announced again and again, and taken back when it is no more."""

import asyncio
from datetime import UTC, datetime, timedelta

from shared.cluster.members import OwnerRecord, ReaderRecord
from shared.cluster.registry import EVERY, HeartbeatPublisher
from shared.errors import TransientError
from tests.unit.shared.virtual_time import virtually

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TTL = timedelta(seconds=10)
A_BEAT = EVERY.total_seconds()


def reader(partition: int, *, instance: str = "one", topic: str = "events") -> ReaderRecord:
    return ReaderRecord(
        instance=instance,
        topic=topic,
        partition=partition,
        partitions=4,
        next_offset=7,
        end_offset=9,
        updated_at=NOW,
    )


class Board:
    """The living announcements, and how often each was made."""

    def __init__(self) -> None:
        self.living: dict[str, ReaderRecord] = {}
        self.announced = 0
        self.away = False

    async def announce(self, record: ReaderRecord, ttl: timedelta) -> None:
        if self.away:
            raise TransientError("Redis is away")
        assert ttl == TTL
        self.announced += 1
        self.living[record.name] = record

    async def withdraw(self, record: ReaderRecord) -> None:
        del self.living[record.name]


def test_readers_are_told_apart_by_topic_partition_and_instance():
    names = {reader(0).name, reader(1).name, reader(0, instance="two").name, reader(0, topic="queries").name}
    assert len(names) == 4
    common = {
        "instance": "one",
        "partitions": 4,
        "end_offset": 9,
        "next_offset": 7,
        "epoch": 1,
        "ready": True,
    }
    owners = [
        OwnerRecord(**common, partition=partition, url=url, updated_at=NOW)
        for partition in (0, 1)
        for url in ("http://a:1", "http://b:1")
    ]
    assert len({owner.name for owner in owners}) == 4


def test_what_is_worked_on_is_announced_every_beat_as_it_is_then():
    async def story() -> tuple[int, list[str]]:
        board, working = Board(), [reader(0)]
        publisher = HeartbeatPublisher(board, lambda: answered(working), ttl=TTL)
        await publisher.start()
        await asyncio.sleep(2.5 * A_BEAT)
        before = board.announced
        working[:] = [reader(1), reader(2)]
        await asyncio.sleep(A_BEAT)
        living = sorted(board.living)
        await publisher.stop()
        assert board.living == {}
        return before, living

    assert virtually(story()) == (3, ["events-1@one", "events-2@one"])


def test_a_board_that_is_away_for_a_while_ends_nobody():
    async def story() -> list[str]:
        board = Board()
        board.away = True
        publisher = HeartbeatPublisher(board, lambda: answered([reader(0)]), ttl=TTL)
        await publisher.start()
        await asyncio.sleep(10)
        board.away = False
        await asyncio.sleep(10)
        living = list(board.living)
        await publisher.stop()
        await publisher.wait()
        return living

    assert virtually(story()) == ["events-0@one"]


async def answered(records: list[ReaderRecord]) -> list[ReaderRecord]:
    return list(records)
