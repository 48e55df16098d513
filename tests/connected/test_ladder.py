"""Servers of the ladder start, keep their data over a restart, and end with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from shared.errors import FatalError
from shared.infrastructure.broker import EmbeddedBroker, KafkaHomeBroker, answers_kafka
from shared.infrastructure.containers import docker_answers
from shared.infrastructure.ladder import Rung, choose_broker, choose_redis
from shared.infrastructure.process import free_port
from shared.infrastructure.server import Server
from shared.infrastructure.valkey import EmbeddedValkey

pytestmark = pytest.mark.connected
KAFKA_HOME = os.environ.get("KAFKA_HOME")


@pytest.fixture(params=[Rung.EMBEDDED, Rung.KAFKA_HOME, Rung.DOCKER])
def any_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param is Rung.KAFKA_HOME and not KAFKA_HOME:
        pytest.skip("KAFKA_HOME is not set")
    if request.param is Rung.DOCKER and not docker_answers():
        pytest.skip("no Docker daemon answers")
    server = choose_broker(os.environ, rung=request.param, data_dir=tmp_path)
    server.start()
    yield server
    server.stop()


async def write(address: str, topic: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True, acks="all")
    await producer.start()
    for number in range(count):
        await producer.send(topic, b"%d" % number, partition=0)
    await producer.stop()


async def read(address: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="none")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        while len(values) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


async def create(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def test_a_broker_keeps_its_data_over_a_clean_restart_on_the_same_address(any_broker: Server) -> None:
    address = any_broker.address
    await create(address, "things")
    await write(address, "things", 1000)
    any_broker.stop()
    assert not answers_kafka(address)
    assert any_broker.start() == address
    assert await read(address, "things") == [b"%d" % number for number in range(1000)]


@pytest.mark.skipif(not KAFKA_HOME, reason="the embedded broker may lose its last writes")
async def test_a_killed_kafka_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    broker = KafkaHomeBroker(Path(KAFKA_HOME or ""), os.environ, data_dir=tmp_path)
    address = broker.start()
    try:
        await create(address, "things")
        await write(address, "things", 1000)
        broker.kill()
        broker.start()
        assert len(await read(address, "things")) == 1000
    finally:
        broker.stop()


@pytest.mark.parametrize("rung", [Rung.EMBEDDED, Rung.DOCKER])
async def test_a_killed_valkey_loses_nothing_that_it_acknowledged(rung: Rung, tmp_path: Path) -> None:
    if rung is Rung.DOCKER and not docker_answers():
        pytest.skip("no Docker daemon answers")
    server = choose_redis(os.environ, rung=rung, data_dir=tmp_path)
    server.start()
    try:
        async with Redis.from_url(server.address) as client:
            await client.set("key", "value")
        server.kill()
        server.start()
        async with Redis.from_url(server.address) as client:
            assert await client.get("key") == b"value"
    finally:
        server.stop()


PARENT = """
import sys
from pathlib import Path
from shared.errors import FatalError
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.valkey import EmbeddedValkey
directory = Path(sys.argv[1])
servers = [EmbeddedBroker(directory / "broker"), EmbeddedValkey(directory / "valkey")]
print(*[server.start() for server in servers], *[server._process.pid for server in servers], flush=True)
sys.stdin.read()
"""


def test_servers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    *_, broker, valkey = parent.stdout.readline().split()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while alive(int(broker)) or alive(int(valkey)):
        assert time.monotonic() < deadline, "a server outlived its parent"
        os.sched_yield()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("kind", [EmbeddedBroker, EmbeddedValkey])
def test_the_answers_of_anothers_server_on_the_port_are_not_taken_for_its_own(
    kind: type[EmbeddedBroker | EmbeddedValkey], tmp_path: Path
) -> None:
    port = free_port()
    first, second = kind(tmp_path / "first", port=port), kind(tmp_path / "second", port=port)
    first.start()
    try:
        with pytest.raises(FatalError, match="did not become ready"):
            second.start()
        assert first.running
    finally:
        first.stop()


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    server.stop()
    server.stop()
