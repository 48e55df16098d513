"""Broker and Redis in Docker containers, through testcontainers (for tests and for trying out)."""

import importlib.util
import os
import shutil
import subprocess
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.errors import FatalError
from shared.infrastructure.broker import answers_kafka
from shared.infrastructure.process import free_port
from shared.infrastructure.valkey import answers_redis

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE = "apache/kafka:4.1.1"
VALKEY_IMAGE = "valkey/valkey:9.0"


def docker_answers() -> bool:
    """Whether a Docker daemon answers and the library to use it is installed."""
    if importlib.util.find_spec("testcontainers") is None or shutil.which("docker") is None:
        return False
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=5, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _docker(image: str, port: int, *, inside: int, **options: Any) -> "DockerContainer":  # Any: its own
    # The reaper is one more image to pull, and we remove what we made.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # noqa: TID251  a library reads it
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  only where it is installed

    container = DockerContainer(image, **options)
    container.ports = {inside: ("127.0.0.1", port)}
    return container


class Container:
    """A server in a container of its own, on a port of this machine's loopback.

    Its data lives as long as this object; the container is removed with it, or at the process's end.
    """

    def __init__(self, container: "DockerContainer", address: str, ready: Callable[[], bool]) -> None:
        self.address = address
        self._container = container
        self._ready = ready
        self._created = False
        self._remove = weakref.finalize(self, container.stop)

    @property
    def running(self) -> bool:
        """Whether the container is up."""
        if not self._created:
            return False
        container = self._container.get_wrapped_container()
        container.reload()
        return bool(container.status == "running")

    def start(self) -> str:
        """Start and return the address once it serves."""
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        deadline = time.monotonic() + 90
        while not self._ready():
            if time.monotonic() > deadline:
                logs = b"".join(self._container.get_logs()).decode(errors="replace")
                raise FatalError(f"container {self._container.image} did not become ready:\n{logs[-2000:]}")
            time.sleep(0.1)
        return self.address

    def stop(self) -> None:
        """Stop cleanly."""
        if self._created:
            self._container.get_wrapped_container().stop(timeout=20)

    def kill(self) -> None:
        """End it at once."""
        if self.running:
            self._container.get_wrapped_container().kill()


def kafka(image: str = KAFKA_IMAGE) -> Container:
    """Return `apache/kafka`, one KRaft node; the same port inside and outside, so that it can call itself."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    settings = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://127.0.0.1:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://{address}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "HEAP_OPTS": "-Xmx400m -Xms128m",
    }
    environment = {f"KAFKA_{name}": value for name, value in settings.items()}
    container = _docker(image, port, inside=port, env=environment)
    return Container(container, address, lambda: answers_kafka(address))


def valkey(image: str = VALKEY_IMAGE) -> Container:
    """Return `valkey/valkey` with an append-only file."""
    port = free_port()
    container = _docker(image, port, inside=6379, command="--appendonly yes")
    return Container(container, f"redis://127.0.0.1:{port}/0", lambda: answers_redis(f"127.0.0.1:{port}"))
