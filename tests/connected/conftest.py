"""A real broker and a real Redis for a test session, and names of its own for each test.

The ladder decides what runs: `HEADRACE_KAFKA` and `HEADRACE_REDIS` if set, else Docker, else
`KAFKA_HOME`, else the embedded broker and Valkey. Both servers are shared by the whole session; a test
never meets another's data because it writes under its own `topic_prefix` and `namespace`.

    async def test_something(kafka, redis_url, topic_prefix, namespace): ...

`broker` and `valkey` are the servers themselves. A test that kills or restarts a server takes
`own_broker` or `own_valkey`, which nobody else uses.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.ladder import Rung, choose_broker, choose_redis
from shared.infrastructure.server import Server
from tests.connected.faults import observed, traffic
from tests.connected.worker_logs import pytest_runtest_makereport

__all__ = ["observed", "pytest_runtest_makereport", "traffic"]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the session's broker; its `address` is `host:port`."""
    server = choose_broker(os.environ, data_dir=tmp_path_factory.mktemp("broker"))
    server.start()
    if isinstance(server, EmbeddedBroker):
        os.environ["HEADRACE_KAFKA_EMBEDDED"] = "true"  # as `headrace up` says to workers
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the session's Redis or Valkey; its `address` is a URL."""
    server = choose_redis(os.environ, data_dir=tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Server]:
    """Run a broker for this test alone, to kill and restart: durable where there is one."""
    environment = {name: value for name, value in os.environ.items() if name != "HEADRACE_KAFKA"}
    server = choose_broker(environment, data_dir=tmp_path / "broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    """Run a Valkey for this test alone, to kill and restart."""
    server = choose_redis({}, rung=Rung.EMBEDDED, data_dir=tmp_path / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def kafka(broker: Server) -> str:
    """Return the bootstrap address of the session's broker."""
    return broker.address


@pytest.fixture
def redis_url(valkey: Server) -> str:
    """Return the URL of the session's Redis."""
    return valkey.address


@pytest.fixture
def topic_prefix() -> str:
    """Return a topic prefix that nobody else uses: `Settings(topic_prefix=topic_prefix, ...)`."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture
def namespace() -> str:
    """Return a first part of Redis keys and consumer groups that nobody else uses."""
    return f"t{uuid.uuid4().hex[:12]}"
