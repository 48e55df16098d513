"""No command hangs: without a broker, a Redis, a worker, or before what says nothing, it ends in one line."""

import socket
from collections.abc import Iterator

import pytest

from shared import patience

COMMANDS = [
    "adopt --yes",
    "alerts resolve freshness:g1",
    "alerts tail",
    "alerts tail --open",
    "canaries add shoe SHOE-1",
    "canaries list",
    "canaries remove shoe",
    "canaries run",
    "catalogue acceptances",
    "catalogue findings",
    "dataset build",
    "dlq list",
    "dlq replay catalogue.changes.v1 --all",
    "dlq show catalogue.changes.v1",
    "drift status",
    "judgements export",
    "judgements rebuild --yes",
    "judgements show shoe",
    "models list",
    "models quantize m-1",
    "models show m-1",
    "negatives",
    "rollout backfill g2 --model m-1",
    "rollout promote g2",
    "rollout retire g2",
    "rollout rollback",
    "rollout status",
    "rollout stop g2",
    "rollout trial g2",
    "search shoe --wait 200ms",
    "shards list",
    "shards move 0 --to other",
    "shards rebuild 0 --yes",
    "shards snapshot",
    "shards verify",
    "simulate --live --sessions 5",
    "topics apply",
    "topics diff",
    "topics show alerts.v1",
    "train",
    "train --jobs",
    "verify index",
    "verify judgements",
    "verify trials",
]


@pytest.fixture
def nowhere(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    point_at(monkeypatch, 1)


@pytest.fixture
def silence(monkeypatch, tmp_path) -> Iterator[None]:
    """Everything is at a port that takes connections and says nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        point_at(monkeypatch, silent.getsockname()[1])
        yield


def point_at(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA", f"127.0.0.1:{port}")
    monkeypatch.setenv("HEADRACE_REDIS", f"redis://127.0.0.1:{port}/0")
    for worker in ("SEARCH", "MONITOR", "ROLLOUT", "TRAINER"):
        monkeypatch.setenv(f"HEADRACE_{worker}__PORT", str(port))


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_there(headrace, nowhere, command) -> None:
    ended = headrace(*command.split())
    assert ended.code == 1
    assert "headrace: " in ended.err.splitlines()[-1]
    assert "start" in ended.err.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_there_says_nothing(headrace, silence, command) -> None:
    ended = headrace(*command.split())
    assert ended.code == 1
    assert "headrace: " in ended.err.splitlines()[-1]
