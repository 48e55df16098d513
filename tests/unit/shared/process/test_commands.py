"""Commands reach the worker they are meant for, and a bad one harms nobody."""

import asyncio
import logging

import pytest

from schemas.control import Command
from shared.errors import TransientError
from shared.process.commands import Commands


@pytest.fixture
def commands():
    level = logging.getLogger().level
    yield Commands("shards")
    logging.getLogger().setLevel(level)


def order(name, worker="", **arguments):
    moment = "2026-01-01T00:00:00Z"
    return Command.model_validate(
        {"command_id": "1", "name": name, "worker": worker, "arguments": arguments, "requested_at": moment}
    ).encode()


async def test_a_command_reaches_its_worker_and_no_other(commands):
    executed = []

    async def snapshot(arguments):
        executed.append(dict(arguments))

    commands.add("shards.snapshot", snapshot)
    await commands.execute(order("shards.snapshot", "embedder"))
    await commands.execute(order("shards.snapshot", "shards", why="now"))
    await commands.execute(order("shards.snapshot"))
    assert executed == [{"why": "now"}, {}]


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"[]", b'{"command_id": "1", "name": "rm", "requested_at": 0}']
)
async def test_rubbish_is_passed_over(commands, value):
    await commands.execute(value)


async def test_a_command_that_fails_does_not_end_the_worker(commands):
    async def fail(_):
        raise TransientError("away")

    commands.add("shards.snapshot", fail)
    await commands.execute(order("shards.snapshot"))


async def test_the_log_level_can_be_changed_while_it_runs(commands):
    await commands.execute(order("log.level", level="error"))
    assert logging.getLogger().level == logging.ERROR
    await commands.execute(order("log.level", level="shout"))
    assert logging.getLogger().level == logging.ERROR


async def test_each_command_since_the_start_is_executed_once_whatever_is_delivered_again(commands):
    executed = []

    async def snapshot(arguments):
        executed.append(arguments["number"])

    commands.add("shards.snapshot", snapshot)
    topic = [order("shards.snapshot", number=str(number)) for number in range(10)]

    async def deliver(first):
        for offset, value in list(enumerate(topic))[first:]:
            await commands.take(value, partition=0, offset=offset)

    first = asyncio.create_task(deliver(0))  # the group is faster than we are
    await asyncio.sleep(0)
    assert commands.waiting()
    commands.begin({0: 6})
    await first
    assert not commands.waiting()
    await deliver(0)
    topic.append(order("shards.snapshot", number="10"))
    await deliver(8)
    assert executed == ["6", "7", "8", "9", "10"]
