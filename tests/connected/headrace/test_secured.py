"""The client before a Kafka with TLS, users and rights: let in by its arguments, else told what to set."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace import Client
from shared.errors import TransientError
from shared.infrastructure.topics import apply
from shared.settings import Settings
from tests.connected.secured import PASSWORD, USER, SecuredKafka

pytestmark = [
    pytest.mark.connected,
    pytest.mark.timeout(240),
    pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME names no Apache Kafka"),
]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    broker = SecuredKafka(Path(os.environ["KAFKA_HOME"]), tmp_path_factory.mktemp("secured"))
    broker.start()
    asyncio.run(apply(Settings(kafka=broker.plain, partitions=2)))
    yield broker
    broker.stop()


def client(secured: SecuredKafka, **security: object) -> Client:
    ours = {
        "tls": True,
        "ca_file": str(secured.authority),
        "sasl_mechanism": "SCRAM-SHA-256",
        "username": USER,
        "password": PASSWORD,
    }
    return Client(secured.address, NOBODY, security={**ours, **security})


def test_rights_decide_and_are_named(secured: SecuredKafka) -> None:
    with client(secured) as shop:
        with pytest.raises(TransientError, match="forbids our user topics catalogue"):
            shop.upsert("p1", {"title": "t"})
        secured.grant("--operation", "All", "--topic", "*")
        assert shop.upsert("p1", {"title": "t"}).changes == 1
        assert [*shop.alerts(follow=False)] == []


def test_a_wrong_password_and_no_tls_are_told_with_what_to_set(secured: SecuredKafka) -> None:
    with (
        client(secured, password="wrong") as shop,  # noqa: S106 - that is it
        pytest.raises(TransientError, match=r"refuses user 'headrace' or its password: .*PASSWORD"),
    ):
        shop.upsert("p1", {"title": "t"})
    with (
        client(secured, tls=False, sasl_mechanism="") as shop,
        pytest.raises(TransientError, match=r"speaks TLS, and this client does not.*TLS=true"),
    ):
        shop.upsert("p1", {"title": "t"})
