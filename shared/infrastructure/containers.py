"""Broker and Redis in Docker containers, through testcontainers (for tests and for trying out)."""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

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


class _Container:
    """A container on the host's own port; its data lives as long as the container."""

    def __init__(self, container: "DockerContainer", ready: Callable[[], bool]) -> None:
        self._container = container
        self._ready = ready
        self._created = False

    def start(self) -> None:
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

    @property
    def running(self) -> bool:
        if not self._created:
            return False
        container = self._container.get_wrapped_container()
        container.reload()
        return bool(container.status == "running")

    def stop(self) -> None:
        if self._created:
            self._container.get_wrapped_container().stop(timeout=20)

    def kill(self) -> None:
        if self._created:
            self._container.get_wrapped_container().kill()

    def __del__(self) -> None:
        if self._created:
            self._container.stop()


def _container(image: str) -> "DockerContainer":
    # The reaper is one more image to pull; `_Container` removes what it made.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # noqa: TID251  a library reads it
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  only where it is installed

    return DockerContainer(image)


class DockerBroker:
    """`apache/kafka`, one KRaft node; the same port inside and outside, so that it can call itself."""

    def __init__(self, image: str = KAFKA_IMAGE) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        settings = {
            "NODE_ID": "1",
            "PROCESS_ROLES": "broker,controller",
            "LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093",
            "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
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
        container = _container(image).with_bind_ports(port, port)
        for name, value in settings.items():
            container = container.with_env(f"KAFKA_{name}", value)
        self._container = _Container(container, lambda: answers_kafka(self.address))

    @property
    def running(self) -> bool:
        """Whether the container is up."""
        return self._container.running

    def start(self) -> str:
        """Start and return `host:port` once it serves."""
        self._container.start()
        return self.address

    def stop(self) -> None:
        """Stop cleanly."""
        self._container.stop()

    def kill(self) -> None:
        """End it at once."""
        self._container.kill()


class DockerValkey:
    """`valkey/valkey` with an append-only file."""

    def __init__(self, image: str = VALKEY_IMAGE) -> None:
        port = free_port()
        self.address = f"redis://127.0.0.1:{port}/0"
        container = _container(image).with_bind_ports(6379, port).with_command("--appendonly yes")
        self._container = _Container(container, lambda: answers_redis(f"127.0.0.1:{port}"))

    @property
    def running(self) -> bool:
        """Whether the container is up."""
        return self._container.running

    def start(self) -> str:
        """Start and return the URL once it serves."""
        self._container.start()
        return self.address

    def stop(self) -> None:
        """Stop cleanly."""
        self._container.stop()

    def kill(self) -> None:
        """End it at once."""
        self._container.kill()
