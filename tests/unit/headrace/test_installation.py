"""Which installation a program means: what it names, the settings, what runs here, the defaults."""

import os
from pathlib import Path

import pytest

from headrace.installation import find
from shared.errors import ConfigurationError
from shared.infrastructure.running import Running


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".headrace").mkdir()
    here = Running(
        pid=os.getpid(),
        kafka="127.0.0.1:19092",
        redis="redis://127.0.0.1",
        namespace="n",
        topic_prefix="p.",
        partitions=3,
        generation="g1",
        ports={"search": 18800},
    )
    here.write(tmp_path / ".headrace")
    return here


def test_what_runs_here_is_meant(running: Running) -> None:
    found = find()
    assert (found.settings.kafka, found.settings.topic_prefix) == (running.kafka, "p.")
    assert (found.search, found.token) == ("http://127.0.0.1:18800", "")


def test_without_it_the_defaults_of_headrace_up_are(running: Running, tmp_path: Path) -> None:
    (tmp_path / ".headrace" / "running.json").unlink()
    found = find()
    assert (found.settings.kafka, found.search) == ("127.0.0.1:9092", "http://127.0.0.1:8800")


def test_settings_come_before_and_arguments_first(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SEARCH__PORT", "28800")
    monkeypatch.setenv("HEADRACE_SEARCH__TOKENS", '["secret"]')
    monkeypatch.setenv("HEADRACE_SEARCH__CONCURRENCY", "3")
    assert find()[1:] == ("http://127.0.0.1:28800", "secret")
    other = {"search": "https://shop", "token": "t"}
    assert find(**other)[1:] == ("https://shop", "t")


def test_who_names_a_broker_gets_nothing_of_what_runs_here(running: Running) -> None:
    found = find(brokers="kafka:9093", security={"tls": True, "sasl_mechanism": "PLAIN", "username": "u"})
    assert (found.settings.kafka, found.settings.topic_prefix) == ("kafka:9093", "")
    assert (found.settings.kafka_security.tls, found.settings.kafka_security.username) == (True, "u")


@pytest.mark.parametrize("security", [{"tsl": True}, {"sasl_mechanism": "PLAIN"}])
def test_what_is_no_security_is_refused_by_name(running: Running, security: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"kafka_security|tls"):
        find(security=security)
