"""Where the logs end, asked beside the consumers: a broker that says nothing stops nobody."""

import pytest

from shared.errors import TransientError
from shared.kafka.offsets import PATIENCE, BrokerLog
from shared.records import Partition
from shared.settings import Settings
from tests.unit.shared.kafka.log import MemoryLogs
from tests.unit.shared.virtual_time import now, virtually

ONE, TWO = Partition("events", 0), Partition("events", 1)


def asking(logs: MemoryLogs) -> BrokerLog:
    """Return it as it is once it has connected."""
    broker = BrokerLog(Settings())
    broker._consumer = logs  # type: ignore[assignment]
    return broker


async def test_ends_are_what_the_broker_says_now():
    logs = MemoryLogs({ONE: 5, TWO: 7})
    broker = asking(logs)
    assert await broker.ends([ONE]) == {ONE: 5}
    logs.logs[ONE] = 6
    assert await broker.ends([ONE, TWO]) == {ONE: 6, TWO: 7}
    assert await broker.ends([]) == {}


async def test_where_a_log_begins_and_ends_is_said_or_the_trouble():
    logs = MemoryLogs({ONE: 5}, {ONE: 2})
    assert await asking(logs).edges(ONE) == (2, 5)
    logs.failures = [TransientError("away")]
    with pytest.raises(TransientError, match="away"):
        await asking(logs).edges(ONE)


async def test_while_the_broker_is_away_ends_are_as_it_said_last_and_others_are_unknown():
    logs = MemoryLogs({ONE: 5, TWO: 7})
    broker = asking(logs)
    await broker.ends([ONE])
    logs.failures = [TransientError("away")] * 2
    assert await broker.ends([ONE, TWO]) == {ONE: 5}
    assert await broker.ends([TWO]) == {}


def test_one_that_does_not_answer_is_not_waited_for():
    async def story() -> float:
        logs = MemoryLogs({ONE: 5})
        broker = asking(logs)
        await broker.ends([ONE])
        logs.silent = True
        assert await broker.ends([ONE]) == {ONE: 5}
        return now()

    assert virtually(story()) == PATIENCE.total_seconds()


async def test_a_broker_that_was_never_asked_is_disconnected_from_in_peace():
    await BrokerLog(Settings()).stop()
