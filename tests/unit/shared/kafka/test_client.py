"""How every client reaches the broker, and what is written in which portions."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import ConfigurationError, FatalError, TransientError
from shared.infrastructure.process import free_port
from shared.kafka.client import partition_counts
from shared.kafka.connection import connection
from shared.kafka.publisher import PORTION_BYTES, KafkaPublisher, _portions, weight
from shared.records import Outgoing
from shared.settings import KafkaSecurity, Settings

PAIR = Path(__file__).with_name("localhost.pem")
SASL = {"sasl_mechanism": "SCRAM-SHA-512", "username": "shop", "password": "open-sesame"}


def secured(**security: object) -> Settings:
    return Settings(kafka="broker:9093", kafka_security=KafkaSecurity.model_validate(security))


# How it is reached


def test_without_security_there_are_only_the_addresses():
    assert connection(Settings(kafka="a:9092, b:9092")) == {"bootstrap_servers": "a:9092, b:9092"}


def test_a_password_is_never_sent_in_the_clear():
    with pytest.raises(ValidationError, match="SASL without TLS would send the password in the clear"):
        KafkaSecurity.model_validate(SASL)
    assert connection(secured(**SASL, tls=True))["security_protocol"] == "SASL_SSL"


def test_sasl_gives_the_mechanism_and_the_secret_to_the_client_alone():
    settings = secured(**SASL, tls=True)
    arguments = connection(settings)
    assert [arguments[f"sasl_{name}"] for name in ("mechanism", "plain_username", "plain_password")] == [
        *SASL.values()
    ]
    assert "open-sesame" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_an_unknown_mechanism_is_refused():
    with pytest.raises(ValidationError, match="SCRAM-SHA-256"):
        KafkaSecurity.model_validate({"tls": True, "sasl_mechanism": "MAGIC"})


def test_tls_checks_the_brokers_name_and_certificate():
    arguments = connection(secured(tls=True))
    assert arguments["security_protocol"] == "SSL"
    assert arguments["ssl_context"].check_hostname
    assert arguments["ssl_context"].verify_mode is ssl.CERT_REQUIRED


@asynccontextmanager
async def tls_server() -> AsyncIterator[tuple[int, asyncio.Queue[object]]]:
    """Serve on the loopback with our certificate; it asks for one, and says who came with which."""
    callers: asyncio.Queue[object] = asyncio.Queue()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.put_nowait(writer.get_extra_info("peercert"))
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=PAIR)
    context.load_cert_chain(PAIR)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], callers


async def caller(security: dict[str, object]) -> object:
    """Connect as a client would, and return the certificate that the server saw."""
    context = connection(secured(tls=True, **security))["ssl_context"]
    async with tls_server() as (port, callers), asyncio.timeout(20):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        writer.close()
        return await callers.get()


async def test_a_broker_whose_authority_is_configured_is_trusted():
    assert not await caller({"ca_file": PAIR})


async def test_a_broker_that_no_authority_vouches_for_is_not():
    with pytest.raises(ssl.SSLCertVerificationError):
        await caller({})


async def test_a_client_certificate_is_shown_to_the_broker():
    shown = await caller({"ca_file": PAIR, "certificate_file": PAIR, "key_file": PAIR})
    assert isinstance(shown, dict)
    assert shown["subject"] == ((("commonName", "localhost"),),)


@pytest.mark.parametrize("name", ["ca_file", "certificate_file"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_is_missing_or_no_certificate_is_a_wrong_configuration(tmp_path, name, content):
    file = tmp_path / "broker.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"kafka_security: .*broker\.pem"):
        connection(secured(tls=True, **{name: file}))


# Who is there


async def test_where_nobody_listens_there_are_no_partitions_to_count():
    settings = Settings(kafka=f"127.0.0.1:{free_port()}")
    with pytest.raises(TransientError, match="no broker answers at"):
        await partition_counts(settings, ["catalogue.changes.v1"])


async def test_a_server_that_hangs_up_is_no_broker():
    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        settings = Settings(kafka=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(TransientError, match="no broker answers at"):
            await partition_counts(settings, ["catalogue.changes.v1"])


async def test_nothing_is_published_before_the_start_or_after_the_end():
    publisher = KafkaPublisher(Settings())
    with pytest.raises(FatalError, match="before start"):
        await publisher.publish([Outgoing("t", b"k", b"v")])
    await publisher.stop()


# Portions

sizes = st.integers(0, 3 * PORTION_BYTES // 2)
messages = st.lists(
    st.builds(lambda key, size: Outgoing("t", key, bytes(size)), st.none() | st.binary(max_size=9), sizes),
    max_size=6,
)


@given(messages)
def test_portions_are_the_messages_in_order_none_empty_and_each_of_one_batch(messages):
    portions = list(_portions(messages))
    assert [message for portion in portions for message in portion] == messages
    assert all(portions)
    for portion in portions:
        assert sum(map(weight, portion)) <= PORTION_BYTES or len(portion) == 1


@given(messages)
def test_a_portion_ends_only_where_the_next_message_has_no_room(messages):
    portions = list(_portions(messages))
    for portion, following in pairwise(portions):
        assert sum(map(weight, portion)) + weight(following[0]) > PORTION_BYTES


@given(
    key=st.none() | st.binary(max_size=9),
    value=st.none() | st.binary(max_size=9),
    headers=st.lists(st.tuples(st.sampled_from(["a", "trace"]), st.binary(max_size=9)), max_size=4).map(
        tuple
    ),
)
def test_a_message_weighs_no_less_than_its_bytes(key, value, headers):
    message = Outgoing("t", key, value, headers, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    payload = len(key or b"") + len(value or b"") + sum(len(name) + len(text) for name, text in headers)
    assert payload < weight(message) < payload + 70 + 11 * len(headers) + 1
