"""Kafka Connect in a process of its own, with one connector."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx

from shared.infrastructure.process import Process, free_port

WORKER = """\
bootstrap.servers={kafka}
listeners=http://127.0.0.1:{port}
plugin.path={home}/plugins
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.storage.file.filename={offsets}
offset.flush.interval.ms=10000
"""
"""It notes its place every ten seconds: what a kill makes it say again."""


def missing(home: str | None) -> str:
    """Return what is not there of an Apache Kafka with Connect and both connectors; "" when all is."""
    if home is None:
        return "KAFKA_HOME names no Apache Kafka"
    needed = ("bin/connect-standalone.sh", "plugins/debezium-postgres", "plugins/debezium-mariadb")
    lacking = [name for name in needed if not (Path(home) / name).exists()]
    return f"KAFKA_HOME has no {', '.join(lacking)}" if lacking else ""


class Connect:
    """One worker; what it is told of its place is in `offsets`."""

    def __init__(self, home: Path, directory: Path, kafka: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self._offsets = directory / "offsets"
        self._connector = directory / "connector.properties"
        worker = directory / "worker.properties"
        worker.write_text(
            WORKER.format(kafka=kafka, port=self._port, home=home, offsets=self._offsets), "utf-8"
        )
        self._process = Process(
            [str(home / "bin" / "connect-standalone.sh"), str(worker), str(self._connector)],
            log=directory / "connect.log",
            environment={**os.environ, "LOG_DIR": str(directory), "KAFKA_HEAP_OPTS": "-Xmx512m"},
        )

    def configure(self, file: str, address: Mapping[str, object]) -> None:
        """Write the connector's file: as it is shown, and after it the addresses of this test."""
        lines = "".join(f"{name}={value}\n" for name, value in address.items())
        self._connector.write_text(f"{file}{lines}", "utf-8")

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def start_without(self) -> None:
        """Start it without a connector; returns when one can be given to it."""
        self._process.command.pop()
        self._process.start(self._answers, port=self._port, within=timedelta(seconds=120))

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/connectors", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def launch(self) -> None:
        """Start it, and return at once."""
        self._process.launch()

    def start(self) -> None:
        """Start it; returns when its connector runs."""
        self._process.start(self._runs, port=self._port, within=timedelta(seconds=120))

    def stop(self) -> None:
        """Stop cleanly."""
        self._process.stop(within=timedelta(seconds=60))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def noted(self) -> bytes:
        """Return what it has noted of its place."""
        return self._offsets.read_bytes() if self._offsets.exists() else b""

    def state(self) -> str:
        """Return how its connector and its task are; "" when nobody answers."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self._port}/connectors/shop/status", trust_env=False)
        except httpx.HTTPError:
            return ""
        if not answer.is_success:
            return ""
        status = answer.json()
        return " ".join(part["state"] for part in (status["connector"], *status["tasks"]))

    def _runs(self) -> bool:
        return self.state() == "RUNNING RUNNING"
