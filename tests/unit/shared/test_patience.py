"""A worker waits for its neighbours; a command says that they are away."""

import asyncio
from contextvars import copy_context

import pytest

from shared import patience
from shared.errors import TransientError
from shared.kafka.client import wait_for_broker
from shared.kafka.metadata import describe
from shared.settings import Settings

GONE = TransientError("gone")


@pytest.fixture
async def silent_port():
    """Listen at a port, and say nothing."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def test_nobody_is_in_a_hurry_by_default_and_only_who_says_so_is() -> None:
    copy_context().run(patience.hurry)
    assert patience.answer_seconds() is None


async def test_a_broker_that_is_away_is_told_at_once_in_a_hurry() -> None:
    patience.hurry()
    with pytest.raises(TransientError, match=r"no broker answers at 127\.0\.0\.1:1: start one"):
        await wait_for_broker(Settings.load(kafka="127.0.0.1:1"), ["alerts.v1"])


async def test_what_takes_connections_and_says_nothing_is_not_waited_for(silent_port, monkeypatch) -> None:
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 0.2)
    patience.hurry()
    with pytest.raises(TransientError, match=f"what listens at 127.0.0.1:{silent_port} does not answer as"):
        await describe(Settings.load(kafka=f"127.0.0.1:{silent_port}"))


async def test_who_is_missing_is_asked_once_when_the_silence_is_long(monkeypatch) -> None:
    asked = []

    async def missing() -> TransientError | None:
        asked.append(True)
        return None

    silence = patience.Silence(missing)
    await silence.look()
    assert asked == []
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 0.0)
    await silence.look()
    await silence.look()
    assert asked == [True]


async def test_nobody_there_ends_the_silence(monkeypatch) -> None:
    async def missing() -> TransientError | None:
        return GONE

    monkeypatch.setattr(patience, "ANSWER_SECONDS", 0.0)
    with pytest.raises(TransientError, match="gone"):
        await patience.Silence(missing).look()
