"""The first rung of the ladder that holds is taken."""

from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.ladder import Rung, choose_broker, choose_redis, decide_broker, decide_redis
from shared.infrastructure.server import External
from shared.infrastructure.valkey import EmbeddedValkey

HOME = {"KAFKA_HOME": "/opt/kafka"}
SET = {"HEADRACE_KAFKA": "broker:9092", "HEADRACE_REDIS": "redis://:secret@cache/0"}


@pytest.mark.parametrize(
    ("environment", "docker", "rung"),
    [
        ({**SET, **HOME}, True, Rung.EXTERNAL),
        (HOME, True, Rung.DOCKER),
        (HOME, False, Rung.KAFKA_HOME),
        ({}, False, Rung.EMBEDDED),
        ({"HEADRACE_KAFKA": "", "KAFKA_HOME": ""}, False, Rung.EMBEDDED),
    ],
)
def test_the_broker_comes_from_the_first_rung_that_holds(
    environment: dict[str, str], docker: bool, rung: Rung
) -> None:
    assert decide_broker(environment, docker=docker).rung is rung


@pytest.mark.parametrize(
    ("environment", "docker", "rung"),
    [(SET, True, Rung.EXTERNAL), (HOME, True, Rung.DOCKER), (HOME, False, Rung.EMBEDDED)],
)
def test_redis_comes_from_the_first_rung_that_holds(
    environment: dict[str, str], docker: bool, rung: Rung
) -> None:
    assert decide_redis(environment, docker=docker).rung is rung


def test_the_reason_never_shows_a_password() -> None:
    assert "secret" not in decide_redis(SET, docker=False).reason


def test_a_rung_can_be_asked_for(tmp_path: Path) -> None:
    assert isinstance(choose_broker(SET, rung=Rung.EMBEDDED, data_dir=tmp_path), EmbeddedBroker)
    assert isinstance(choose_redis(SET, rung=Rung.EMBEDDED, data_dir=tmp_path), EmbeddedValkey)
    assert choose_redis(SET, rung=Rung.EXTERNAL) == External("redis://:secret@cache/0")


@pytest.mark.parametrize("rung", [Rung.EXTERNAL, Rung.KAFKA_HOME])
def test_a_rung_that_was_asked_for_and_is_not_there_is_an_error(rung: Rung) -> None:
    with pytest.raises(ConfigurationError, match="is not set"):
        choose_broker({}, rung=rung)
