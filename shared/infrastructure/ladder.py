"""Which broker and which Redis to run on: the first rung of the ladder that holds.

`HEADRACE_KAFKA` / `HEADRACE_REDIS` if set; else Docker, if a daemon answers; else, for the broker,
`KAFKA_HOME` if it is an Apache Kafka installation; else the embedded ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from shared.errors import ConfigurationError
from shared.infrastructure import containers
from shared.infrastructure.broker import EmbeddedBroker, KafkaHomeBroker
from shared.infrastructure.server import External, Server
from shared.infrastructure.valkey import EmbeddedValkey

log = structlog.get_logger()


class Rung(StrEnum):
    """The ways to get a server, best first."""

    EXTERNAL = "external"
    DOCKER = "docker"
    KAFKA_HOME = "kafka-home"
    EMBEDDED = "embedded"


@dataclass(frozen=True)
class Choice:
    """A rung, and in a few words why."""

    rung: Rung
    reason: str


def decide_broker(environment: Mapping[str, str], *, docker: bool) -> Choice:
    """Choose where the broker comes from."""
    if address := environment.get("HEADRACE_KAFKA"):
        return Choice(Rung.EXTERNAL, f"HEADRACE_KAFKA={address}")
    if docker:
        return Choice(Rung.DOCKER, "a Docker daemon answers")
    if home := environment.get("KAFKA_HOME"):
        return Choice(Rung.KAFKA_HOME, f"KAFKA_HOME={home}")
    return Choice(Rung.EMBEDDED, "no HEADRACE_KAFKA, no Docker, no KAFKA_HOME")


def decide_redis(environment: Mapping[str, str], *, docker: bool) -> Choice:
    """Choose where Redis comes from."""
    if environment.get("HEADRACE_REDIS"):
        return Choice(Rung.EXTERNAL, "HEADRACE_REDIS is set")
    if docker:
        return Choice(Rung.DOCKER, "a Docker daemon answers")
    return Choice(Rung.EMBEDDED, "no HEADRACE_REDIS, no Docker")


def choose_broker(
    environment: Mapping[str, str], *, rung: Rung | None = None, data_dir: Path | None = None, port: int = 0
) -> Server:
    """Return the broker of the given rung, or of the first one that holds; it is not started yet."""
    choice = (
        Choice(rung, "asked for") if rung else decide_broker(environment, docker=containers.docker_answers())
    )
    log.info("broker.chosen", rung=choice.rung.value, because=choice.reason)
    if choice.rung is Rung.EXTERNAL:
        return External(_required(environment, "HEADRACE_KAFKA"))
    if choice.rung is Rung.DOCKER:
        return containers.kafka()
    if choice.rung is Rung.KAFKA_HOME:
        home = Path(_required(environment, "KAFKA_HOME"))
        if not (home / "bin" / "kafka-server-start.sh").exists():
            raise ConfigurationError(f"KAFKA_HOME={home} has no bin/kafka-server-start.sh")
        return KafkaHomeBroker(home, environment, data_dir=data_dir, port=port)
    return EmbeddedBroker(data_dir, port=port)


def choose_redis(
    environment: Mapping[str, str], *, rung: Rung | None = None, data_dir: Path | None = None, port: int = 0
) -> Server:
    """Return the Redis of the given rung, or of the first one that holds; it is not started yet."""
    choice = (
        Choice(rung, "asked for") if rung else decide_redis(environment, docker=containers.docker_answers())
    )
    log.info("redis.chosen", rung=choice.rung.value, because=choice.reason)
    if choice.rung is Rung.EXTERNAL:
        return External(_required(environment, "HEADRACE_REDIS"))
    if choice.rung is Rung.DOCKER:
        return containers.valkey()
    return EmbeddedValkey(data_dir, port=port)


def _required(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise ConfigurationError(f"{name} is not set")
