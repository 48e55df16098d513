"""The configuration is shown with its sources, and without its secrets."""

import os
from pathlib import Path

import pytest

from services.cli.configuration import HIDDEN, rows, without_password
from services.negatives.domain.rules import Rules
from shared.infrastructure.running import Running


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def shown() -> dict[str, tuple[str, str]]:
    return {row.name: (row.value, row.source) for row in rows()}


def test_every_value_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text("partitions = 6\nkafka = 'file:1'\n[log]\nlevel = 'debug'\n")
    monkeypatch.setenv("HEADRACE_KAFKA", "environment:1")
    monkeypatch.setenv("HEADRACE_MODEL", '{"max_tokens": 128}')
    (tmp_path / ".headrace").mkdir()
    Running(
        pid=os.getpid(),
        kafka="running:1",
        redis="redis://running/0",
        namespace="headrace",
        topic_prefix="",
        partitions=9,
        generation="g7",
    ).write(tmp_path / ".headrace")
    found = shown()
    assert found["kafka"] == ("environment:1", "environment")
    assert found["partitions"] == ("6", "file")
    assert found["log.level"] == ("debug", "file")
    assert found["model.max_tokens"] == ("128", "environment")
    assert found["generation"] == ("g7", "running")
    assert found["replication"] == ("1", "default")


def test_every_worker_shows_its_section() -> None:
    assert shown()["negatives.margin"] == (str(Rules.margin), "default")


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_REDIS", "redis://user:hunter2@cache:6379/0")
    monkeypatch.setenv("HEADRACE_KAFKA_SECURITY__PASSWORD", "hunter2")
    found = shown()
    assert "hunter2" not in str(found)
    assert found["redis"][0] == f"redis://user:{HIDDEN}@cache:6379/0"
    assert found["kafka_security.password"][0] == HIDDEN


@pytest.mark.parametrize(
    ("secret", "readable"),
    [
        ("", ""),
        ("token", HIDDEN),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://:pass@word@cache/0", f"redis://:{HIDDEN}@cache/0"),
        ("redis://cache/0?password=x", HIDDEN),
    ],
)
def test_a_secret_is_hidden_and_an_address_is_not(secret: str, readable: str) -> None:
    assert without_password(secret) == readable


def test_every_worker_has_its_section() -> None:
    assert {"shards.port", "monitor.port"} <= shown().keys()
