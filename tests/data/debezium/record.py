"""Record what Debezium really writes: PostgreSQL, Kafka, Connect, four connectors, one file each.

    KAFKA_HOME=... PG_BIN=/usr/lib/postgresql/15/bin python tests/data/debezium/record.py

Needs an Apache Kafka with Connect and the Debezium PostgreSQL connector under `$KAFKA_HOME/plugins`.
Everything runs in a temporary folder, on free ports of the loopback, and is stopped at the end.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

HERE = Path(__file__).parent
KAFKA = Path(os.environ["KAFKA_HOME"]).resolve()
PG_BIN = Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
READABLE = {"decimal.handling.mode": "double", "time.precision.mode": "isostring"}
VARIANTS: dict[str, tuple[bool, dict[str, str]]] = {
    "schema_default": (True, {}),
    "schema_readable": (True, READABLE),
    "plain_default": (False, {}),
    "plain_readable": (False, READABLE),
}
SNAPSHOT = 3
CHANGES = 15
AS_POSTGRES = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: object, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        running = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        try:
            yield
        finally:
            running.terminate()
            running.wait(60)


@contextmanager
def postgres(folder: Path) -> Iterator[int]:
    data, port = folder / "pg", free_port()
    data.mkdir()
    shutil.chown(data, "postgres") if AS_POSTGRES else None
    subprocess.run([*AS_POSTGRES, PG_BIN / "initdb", "-D", data, "-A", "trust", "-U", "postgres"], check=True)
    options = f"-p {port} -c wal_level=logical -c listen_addresses=127.0.0.1 -k {data}"
    control = [*AS_POSTGRES, PG_BIN / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-l", data / "log", "-o", options, "start"], check=True)
    try:
        yield port
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True)


def run_sql(port: int, file: Path) -> None:
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", url, "-f", file], check=True)


def properties(file: Path, values: dict[str, object]) -> Path:
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return file


def connector(folder: Path, name: str, port: int) -> Path:
    wrapped, modes = VARIANTS[name]
    return properties(
        folder / f"{name}.properties",
        {
            "name": name,
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1",
            "database.port": port,
            "database.user": "cdc",
            "database.password": "cdc",
            "database.dbname": "postgres",
            "plugin.name": "pgoutput",
            "slot.name": name,
            "publication.name": name,
            "topic.prefix": name,
            "table.include.list": "public.products,public.offers",
            "skipped.operations": "none",
            "topic.creation.default.replication.factor": 1,
            "topic.creation.default.partitions": 1,
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": str(wrapped).lower(),
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": str(wrapped).lower(),
            **modes,
        },
    )


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    broker, controller = free_port(), free_port()
    lines = (KAFKA / "config/server.properties").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("log.dirs="))
    text = text.replace("127.0.0.1:9092", f"127.0.0.1:{broker}").replace(
        "127.0.0.1:9093", f"127.0.0.1:{controller}"
    )
    file = folder / "server.properties"
    file.write_text(f"{text}\nlog.dirs={folder / 'kafka'}\n")
    storage = KAFKA / "bin/kafka-storage.sh"
    identity = subprocess.run(
        [storage, "random-uuid"], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run([storage, "format", "--standalone", "-t", identity, "-c", file], check=True)
    with process(KAFKA / "bin/kafka-server-start.sh", file, log=folder / "kafka.log"):
        yield f"127.0.0.1:{broker}"


async def read(bootstrap: str, name: str, count: int) -> list[dict[str, object]]:
    """Wait until a connector's topics hold `count` records, and return them by topic and offset."""
    records: list[dict[str, object]] = []
    topics = [TopicPartition(f"{name}.public.{table}", 0) for table in ("offers", "products")]
    async with asyncio.timeout(180):
        consumer = await connected(bootstrap)
        while not {topic.topic for topic in topics} <= await consumer.topics():  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.5)
        consumer.assign(topics)
        await consumer.seek_to_beginning(*topics)
        while len(records) < count:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records.extend(written(record) for record in batch)
        await consumer.stop()
    return sorted(records, key=lambda record: (str(record["topic"]), int(str(record["offset"]))))


async def connected(bootstrap: str) -> AIOKafkaConsumer:
    while True:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        try:
            await consumer.start()
        except KafkaError:
            await consumer.stop()
            await asyncio.sleep(0.5)
        else:
            return consumer


def written(record: object) -> dict[str, object]:
    text = {
        name: None if (raw := getattr(record, name)) is None else raw.decode() for name in ("key", "value")
    }
    headers = [[name, value.decode()] for name, value in record.headers]
    plain = {name: getattr(record, name) for name in ("topic", "offset", "timestamp")}
    return {**plain, **text, "headers": headers}


async def record(folder: Path, bootstrap: str, port: int) -> None:
    worker = properties(
        folder / "worker.properties",
        {
            "bootstrap.servers": bootstrap,
            "listeners": f"http://127.0.0.1:{free_port()}",
            "plugin.path": KAFKA / "plugins",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "offset.storage.file.filename": folder / "offsets",
            "offset.flush.interval.ms": 1000,
        },
    )
    connectors = [connector(folder, name, port) for name in VARIANTS]
    with process(KAFKA / "bin/connect-standalone.sh", worker, *connectors, log=folder / "connect.log"):
        for name in VARIANTS:
            await read(bootstrap, name, SNAPSHOT)
        run_sql(port, HERE / "after.sql")
        for name in VARIANTS:
            lines = await read(bootstrap, name, SNAPSHOT + CHANGES)
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (HERE / f"{name}.jsonl").write_text(text)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="debezium-"))
    folder.chmod(0o755)
    with postgres(folder) as port, kafka(folder) as bootstrap:
        run_sql(port, HERE / "before.sql")
        asyncio.run(record(folder, bootstrap, port))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
