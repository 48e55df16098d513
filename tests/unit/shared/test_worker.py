"""Commands reach the worker they are meant for, and a bad one harms nobody."""

import logging

import pytest

from schemas.control import Command
from shared.errors import TransientError
from shared.settings import Settings
from shared.worker import Worker


@pytest.fixture
def worker(tmp_path):
    level = logging.getLogger().level
    yield Worker("shards", Settings(data_dir=tmp_path), port=0)
    logging.getLogger().setLevel(level)


def order(name, worker="", **arguments):
    moment = "2026-01-01T00:00:00Z"
    return Command.model_validate(
        {"command_id": "1", "name": name, "worker": worker, "arguments": arguments, "requested_at": moment}
    ).encode()


async def test_a_command_reaches_its_worker_and_no_other(worker):
    obeyed = []

    async def snapshot(arguments):
        obeyed.append(dict(arguments))

    worker.command("shards.snapshot", snapshot)
    await worker.obey(order("shards.snapshot", "embedder"))
    await worker.obey(order("shards.snapshot", "shards", why="now"))
    await worker.obey(order("shards.snapshot"))
    assert obeyed == [{"why": "now"}, {}]


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"[]", b'{"command_id": "1", "name": "rm", "requested_at": 0}']
)
async def test_rubbish_is_passed_over(worker, value):
    await worker.obey(value)


async def test_a_command_that_fails_does_not_end_the_worker(worker):
    async def fail(_):
        raise TransientError("away")

    worker.command("shards.snapshot", fail)
    await worker.obey(order("shards.snapshot"))


async def test_the_log_level_can_be_changed_while_it_runs(worker):
    await worker.obey(order("log.level", level="error"))
    assert logging.getLogger().level == logging.ERROR
    await worker.obey(order("log.level", level="shout"))
    assert logging.getLogger().level == logging.ERROR
