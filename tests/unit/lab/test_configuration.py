"""The configuration is shown with its sources, and without its secrets."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.lab.configuration import HIDDEN, SettingRow, _in_environment, _readable, rows, without_password
from services.negatives.domain.rules import MiningRules
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
    assert found["partitions"] == ("9", "running"), "a fact, whatever is set"
    assert found["log.level"] == ("debug", "file")
    assert found["model.max_tokens"] == ("128", "environment")
    assert found["generation"] == ("g7", "running")
    assert found["replication"] == ("1", "default")


def test_every_worker_shows_its_section() -> None:
    assert shown()["negatives.margin"] == (str(MiningRules.margin), "default")


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
        ("//token/of-base64", HIDDEN),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://:pass@word@cache/0", f"redis://:{HIDDEN}@cache/0"),
        ("redis://cache/0?password=x", HIDDEN),
    ],
)
def test_a_secret_is_hidden_and_an_address_is_not(secret: str, readable: str) -> None:
    assert without_password(secret) == readable


def test_every_worker_has_its_section() -> None:
    assert {"shards.port", "monitor.port"} <= shown().keys()


SECRETS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#[]@:%\\"), min_size=6
)


@given(secret=SECRETS)
def test_whatever_the_password_is_it_is_not_in_what_is_shown(secret: str) -> None:
    shown = without_password(f"redis://user:{secret}@cache:6379/0")
    assert shown == f"redis://user:{HIDDEN}@cache:6379/0"


@given(st.text(min_size=1, max_size=20).filter(lambda text: "/" not in text))
def test_a_token_is_never_shown(token: str) -> None:
    assert without_password(token) == HIDDEN


def test_a_setting_says_the_variable_that_sets_it() -> None:
    assert (
        SettingRow("search.fusion.dense_weight", "0.5", "default").variable
        == "HEADRACE_SEARCH__FUSION__DENSE_WEIGHT"
    )


def test_the_variable_that_is_shown_is_the_one_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    [row] = [row for row in rows() if row.name == "search.port"]
    monkeypatch.setenv(row.variable, "9999")
    assert shown()["search.port"] == ("9999", "environment")


def test_a_variable_in_small_letters_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("headrace_search__port", "9998")
    assert shown()["search.port"] == ("9998", "environment")


def test_a_section_that_is_no_json_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _in_environment("model.max_tokens", {"HEADRACE_MODEL": "fast"})
    assert not _in_environment("kafka", {})
    assert _in_environment("model.max_tokens", {"HEADRACE_MODEL": '{"max_tokens": 1}'})


@pytest.mark.parametrize(
    ("value", "shown_as"), [(None, ""), ((1, 2), "1, 2"), (True, "True"), (SecretStr("x"), HIDDEN), ([], "")]
)
def test_a_value_is_shown_as_a_person_reads_it(value: object, shown_as: str) -> None:
    assert _readable(value) == shown_as


def test_no_setting_has_two_rows() -> None:
    names = [row.name for row in rows()]
    assert len(names) == len(set(names))
