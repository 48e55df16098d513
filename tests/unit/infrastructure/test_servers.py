"""What a server of the ladder promises, and how one is told from whatever else answers on a port."""

import socket
import threading
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.infrastructure.broker import KafkaHomeBroker, answers_kafka
from shared.infrastructure.process import free_port
from shared.infrastructure.server import DataDirectory, External
from shared.infrastructure.valkey import answers_redis

KAFKA_ANSWER = bytes.fromhex("0000001000000001000000000001001200000004")


def answering(reply: bytes) -> str:
    """Answer one connection on the loopback, and return where."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with server, server.accept()[0] as connection:
            connection.recv(1024)
            connection.sendall(reply)

    threading.Thread(target=answer, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("reply", "serves"),
    [
        (KAFKA_ANSWER, True),
        (KAFKA_ANSWER[:8] + b"\0\x23" + KAFKA_ANSWER[10:], False),
        (KAFKA_ANSWER[:4] + b"\0\0\0\x02" + KAFKA_ANSWER[8:], False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"", False),
        (b"\0\0", False),
    ],
    ids=["broker", "an error", "another's answer", "a web server", "nothing", "cut short"],
)
def test_a_broker_is_told_by_its_answer(reply: bytes, serves: bool):
    assert answers_kafka(answering(reply)) is serves


@pytest.mark.parametrize(
    ("reply", "serves"),
    [
        (b"+PONG\r\n", True),
        (b"-LOADING Redis is loading the dataset in memory\r\n", False),
        (b"-NOAUTH Authentication required.\r\n", False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"", False),
    ],
)
def test_a_redis_serves_when_it_answers_a_ping(reply: bytes, serves: bool):
    assert answers_redis(answering(reply)) is serves


def test_where_nobody_listens_nobody_serves():
    address = f"127.0.0.1:{free_port()}"
    assert not answers_kafka(address)
    assert not answers_redis(address)


def test_a_server_of_somebody_else_is_used_and_never_touched():
    server = External("broker.shop:9092")
    assert server.start() == server.address == "broker.shop:9092"
    server.stop()
    server.kill()
    assert server.running


def test_a_directory_that_is_given_is_made_and_left(tmp_path: Path):
    given = tmp_path / "a" / "b"
    directory = DataDirectory(given)
    assert directory.path == given
    (given / "log").write_text("x")
    del directory
    assert (given / "log").read_text() == "x"


def test_one_that_is_not_given_goes_with_its_server():
    directory = DataDirectory(None)
    path = directory.path
    assert path.is_dir()
    del directory
    assert not path.exists()


# An Apache Kafka installation


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an installation whose scripts are ours: `format` writes what it was told, or fails."""
    home = tmp_path / "kafka"
    (home / "bin").mkdir(parents=True)
    fails = '[ -z "$FAILS" ] || { echo "cannot format" >&2; exit 1; }'
    scripts = {
        "kafka-storage.sh": f'{fails}\necho "$@" > "$LOG_DIR.formatted"\n',
        "kafka-server-start.sh": "exit 1\n",
    }
    for name, text in scripts.items():
        (home / "bin" / name).write_text(f"#!/bin/sh\n{text}")
        (home / "bin" / name).chmod(0o755)
    return home


def properties(directory: Path) -> dict[str, str]:
    lines = (directory / "server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_its_node_listens_on_the_loopback_only_and_makes_no_topic_by_itself(home: Path, tmp_path: Path):
    broker = KafkaHomeBroker(home, {}, data_dir=tmp_path / "data", port=19092)
    with pytest.raises(Exception, match="did not become ready"):
        broker.start()
    written = properties(tmp_path / "data")
    assert broker.address == "127.0.0.1:19092"
    assert all("127.0.0.1:" in listener for listener in written["listeners"].split(","))
    assert "PLAINTEXT://127.0.0.1:19092" in written["advertised.listeners"]
    assert written["auto.create.topics.enable"] == "false"
    formatted = (tmp_path / "data" / "log.formatted").read_text()
    assert f"--config {tmp_path / 'data' / 'server.properties'}" in formatted


def test_a_directory_keeps_its_controllers_port_whatever_the_brokers_is(home: Path, tmp_path: Path):
    def controller(port: int) -> str:
        broker = KafkaHomeBroker(home, {}, data_dir=tmp_path / "data", port=port)
        with pytest.raises(Exception, match="did not become ready"):
            broker.start()
        return properties(tmp_path / "data")["controller.quorum.bootstrap.servers"]

    assert controller(19092) == controller(19093)


def test_a_formatted_directory_is_not_formatted_again(home: Path, tmp_path: Path):
    (tmp_path / "data" / "logs").mkdir(parents=True)
    (tmp_path / "data" / "logs" / "meta.properties").write_text("version=1\n")
    broker = KafkaHomeBroker(home, {}, data_dir=tmp_path / "data")
    with pytest.raises(Exception, match="did not become ready"):
        broker.start()
    assert not (tmp_path / "data" / "log.formatted").exists()


def test_an_installation_that_cannot_format_its_storage_is_a_wrong_configuration(home: Path, tmp_path: Path):
    broker = KafkaHomeBroker(home, {"FAILS": "yes", "PATH": "/usr/bin:/bin"}, data_dir=tmp_path / "data")
    with pytest.raises(ConfigurationError, match="cannot format its storage: cannot format"):
        broker.start()
