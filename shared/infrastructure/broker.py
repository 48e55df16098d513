"""Kafka brokers that we start ourselves: the embedded one, and an Apache Kafka installation."""

import base64
import importlib.util
import os
import re
import subprocess
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from shared.errors import ConfigurationError
from shared.extras import install_command
from shared.infrastructure.process import Process, exchange, free_port
from shared.infrastructure.server import DataDirectory

# ApiVersions v0, correlation id 1, no client id: the one request that every broker answers to anybody.
_API_VERSIONS = bytes.fromhex("0000000a0012000000000001ffff")
_KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


def answers_kafka(address: str) -> bool:
    """Whether a broker at `host:port` serves requests."""
    answer = exchange(address, _API_VERSIONS)
    return answer[4:8] == b"\0\0\0\1" and answer[8:10] == b"\0\0"


def new_cluster() -> str:
    """Return an identity for a new cluster, as Kafka makes them: 16 bytes, 22 characters of base64."""
    first, *others = uuid.uuid4().bytes
    # Not with a dash in front: Kafka's tools would take it for an option.
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *others])).decode().rstrip("=")


class EmbeddedBroker:
    """The `noida-db` wheel: one process, ready in a second.

    For trying out and quick tests: a `kill -9` loses its last writes.
    """

    def __init__(self, data_dir: Path | None = None, *, port: int = 0) -> None:
        self._directory = DataDirectory(data_dir)
        self.address = f"127.0.0.1:{port or free_port()}"
        self._process = Process(
            [
                str(_embedded_binary()),
                *("start", "--only", "kafka", "--data-dir", str(self._directory.path)),
                *("--kafka-port", self.address.rpartition(":")[2]),
            ],
            log=self._directory.path / "broker.log",
        )

    @property
    def cluster(self) -> str:
        """The identity of its data: kept beside them, because all embedded brokers give the same one."""
        file = self._directory.path / "cluster"
        if not file.exists():
            file.write_text(new_cluster())
        return file.read_text()

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.running

    def start(self) -> str:
        """Start and return `host:port` once it serves."""
        port = int(self.address.rpartition(":")[2])
        self._process.start(lambda: answers_kafka(self.address), port=port, within=timedelta(seconds=20))
        return self.address

    def stop(self) -> None:
        """Stop cleanly; the data is saved."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once; the last writes may be lost."""
        self._process.kill()


def _embedded_binary() -> Path:
    package = importlib.util.find_spec("noida_db")
    if package is None or package.origin is None:
        raise ConfigurationError(
            f"the embedded broker is not installed: {install_command('embedded')}, or set HEADRACE_KAFKA"
        )
    binary = Path(package.origin).parent / "noida-db"
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


class KafkaHomeBroker:
    """An Apache Kafka installation (`KAFKA_HOME`): one KRaft node, broker and controller in one."""

    def __init__(
        self, home: Path, environment: Mapping[str, str], *, data_dir: Path | None = None, port: int = 0
    ) -> None:
        self._directory = DataDirectory(data_dir)
        self._home = home
        self._environment = {
            **environment,
            "KAFKA_HEAP_OPTS": environment.get("KAFKA_HEAP_OPTS", "-Xmx400m -Xms128m"),
            "LOG_DIR": str(self._directory.path / "log"),
        }
        self.address = f"127.0.0.1:{port or free_port()}"
        self._file = self._directory.path / "server.properties"
        self._controller = self._known_controller() or free_port()
        self._process = Process(
            [str(home / "bin" / "kafka-server-start.sh"), str(self._file)],
            log=self._directory.path / "broker.log",
            environment=self._environment,
        )

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.running

    def start(self) -> str:
        """Format the directory when it is new, start, and return `host:port` once it serves."""
        logs = self._directory.path / "logs"
        port = self.address.rpartition(":")[2]
        self._file.write_text(_KAFKA_PROPERTIES.format(broker=port, controller=self._controller, logs=logs))
        if not (logs / "meta.properties").exists():
            self._format()
        self._process.start(
            lambda: answers_kafka(self.address), port=int(port), within=timedelta(seconds=120)
        )
        return self.address

    def _known_controller(self) -> int | None:
        # The quorum remembers its voters by their port: keep the one that the directory was formatted with.
        listener = re.search(r"127\.0\.0\.1:(\d+)", self._file.read_text()) if self._file.exists() else None
        return int(listener[1]) if listener else None

    def _format(self) -> None:
        command = [str(self._home / "bin" / "kafka-storage.sh"), "format", "--standalone", "--config"]
        done = subprocess.run(
            [*command, str(self._file), "--cluster-id", new_cluster()],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ConfigurationError(
                f"KAFKA_HOME={self._home} cannot format its storage: {done.stderr.strip()}"
            )

    def stop(self) -> None:
        """Stop cleanly."""
        self._process.stop(within=timedelta(seconds=30))

    def kill(self) -> None:
        """End it at once; acknowledged writes are in the page cache and survive."""
        self._process.kill()
