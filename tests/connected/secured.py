"""An Apache Kafka with users, rights and certificates of its own: SASL_SSL with SCRAM, and ACLs.

Its certificates are made anew for each test session. What an administrator does comes through a listener of
its own, which every caller may use for everything.
"""

import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from shared.infrastructure.broker import answers_kafka, new_cluster
from shared.infrastructure.process import Process, free_port

USER, PASSWORD = "headrace", "a password"
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://localhost:{port},PLAINTEXT://127.0.0.1:{plain}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={login} required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


class SecuredKafka:
    """One node; `address` is for clients (TLS and SCRAM), `plain` for the administrator."""

    def __init__(self, home: Path, directory: Path) -> None:
        self._home = home
        self._directory = directory
        port, plain, controller = free_port(), free_port(), free_port()
        self.address, self.plain = f"localhost:{port}", f"127.0.0.1:{plain}"
        self.authority = directory / "authority.pem"
        self._environment = {
            **os.environ,
            "KAFKA_HEAP_OPTS": "-Xmx400m -Xms128m",
            "LOG_DIR": str(directory / "log"),
        }
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "server.properties"
        self._file.write_text(
            PROPERTIES.format(
                port=port,
                plain=plain,
                controller=controller,
                login=LOGIN,
                keystore=make_certificate(make_authority(directory, "authority")),
                logs=directory / "logs",
            )
        )
        self._port = plain
        self._process = Process(
            [str(home / "bin" / "kafka-server-start.sh"), str(self._file)],
            log=directory / "broker.log",
            environment=self._environment,
        )

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.running

    @property
    def environment(self) -> dict[str, str]:
        """How a worker reaches it as our user."""
        security = {
            "TLS": "true",
            "CA_FILE": str(self.authority),
            "SASL_MECHANISM": "SCRAM-SHA-256",
            "USERNAME": USER,
            "PASSWORD": PASSWORD,
        }
        return {f"HEADRACE_KAFKA_SECURITY__{name}": value for name, value in security.items()}

    def start(self) -> str:
        """Start it with our user, who has no rights yet; return the address for clients."""
        if not (self._directory / "logs" / "meta.properties").exists():
            user = f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"
            self._run(
                "kafka-storage",
                *("format", "--standalone", "--config", str(self._file)),
                *("--cluster-id", new_cluster(), "--add-scram", user),
            )
        self._process.start(lambda: answers_kafka(self.plain), port=self._port, within=timedelta(seconds=180))
        return self.address

    def stop(self) -> None:
        """Stop cleanly."""
        self._process.stop(within=timedelta(seconds=30))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def grant(self, *what: str) -> None:
        """Give our user a right, in the words of kafka-acls."""
        self._rights("--add", *what)

    def take_away(self, *what: str) -> None:
        """Take it away again."""
        self._rights("--remove", "--force", *what)

    def change_password(self, password: str) -> None:
        """Give our user another password: who is connected stays so, whoever connects needs the new one."""
        self._run(
            "kafka-configs",
            *("--bootstrap-server", self.plain, "--alter"),
            *("--entity-type", "users", "--entity-name", USER),
            *("--add-config", f"SCRAM-SHA-256=[password={password}]"),
        )

    def _rights(self, how: str, *what: str) -> None:
        allowed = ("--allow-principal", f"User:{USER}")
        self._run("kafka-acls", "--bootstrap-server", self.plain, how, *allowed, *what)

    def _run(self, tool: str, *arguments: str) -> None:
        command = [str(self._home / "bin" / f"{tool}.sh"), *arguments]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr


def make_certificate(authority: Path) -> Path:
    """Make a certificate of `localhost` that the authority vouches for; return it, its key before it."""
    directory = authority.parent
    key, request, certificate = (directory / f"server.{kind}" for kind in ("key", "csr", "crt"))
    names = directory / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request),
        *("-subj", "/CN=localhost"),
    )
    openssl(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority.with_suffix(".key")),
        *("-CAcreateserial", "-days", "2", "-extfile", names, "-out", certificate),
    )
    keystore = directory / "keystore.pem"
    keystore.write_text(key.read_text() + certificate.read_text() + authority.read_text())
    return keystore


def make_authority(directory: Path, name: str) -> Path:
    """Make an authority of certificates: `name.key`, and its own certificate, which is returned."""
    key, file = directory / f"{name}.key", directory / f"{name}.pem"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
        *("-addext", "keyUsage=critical,keyCertSign", "-keyout", key, "-out", file),
    )
    return file


def openssl(*arguments: str | Path) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def as_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return kafka_security as settings have it."""
    prefix = "HEADRACE_KAFKA_SECURITY__"
    return {name.removeprefix(prefix).lower(): value for name, value in environment.items()}
