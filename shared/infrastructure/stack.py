"""A whole installation on this machine: broker, Redis, topics, and every worker as its own process."""

import asyncio
import fcntl
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Self, TypeVar

import structlog
from pydantic import SecretStr

from shared.errors import ConfigurationError, FatalError, TransientError
from shared.infrastructure import running, topics
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.process import Process, free_port
from shared.infrastructure.server import Server
from shared.infrastructure.supervision import Backoff, RestartVerdict, decide
from shared.infrastructure.workers import WORKERS, WorkerSpec
from shared.process.installation import enter
from shared.settings import Settings, environment

log = structlog.get_logger()

S = TypeVar("S", bound=Settings)
Lines = Callable[[str, str], None]
"""Takes a worker's name and one line of its output; called from several threads."""

DRAIN = timedelta(seconds=30)
_POLL_SECONDS = 0.1


@dataclass
class _Member:
    """A worker's process, and what the supervisor remembers of it."""

    spec: WorkerSpec
    process: Process
    port: int
    started: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    wanted: bool = False


class Stack:
    """Starts, watches and stops an installation; one at a time on a data directory.

    Blocking: call it from the main thread, outside an event loop (its processes end with the thread that
    started them). `kill`, `stop_worker` and `start_worker` are there for tests; a killed worker stays away
    until it is started again, unless `supervise` runs.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        broker: Server,
        redis: Server,
        workers: Sequence[WorkerSpec] = WORKERS,
        lines: Lines | None = None,
    ) -> None:
        self.settings = settings
        self.broker = broker
        self.redis = redis
        self._lines = lines
        self._members: dict[str, _Member] = {}
        self._lock: IO[str] | None = None
        ports = {spec.label: spec.port or free_port() for spec in workers}
        self.ports: Mapping[str, int] = ports
        self._specs = workers

    def __enter__(self) -> Self:
        """Start everything."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    def start(self) -> None:
        """Start servers, topics and workers; returns before the workers are ready (`wait_ready`)."""
        self._take()
        try:
            self.start_servers()
            for spec in self._specs:
                self.start_worker(spec.label)
        except BaseException:
            self.stop()
            raise

    def start_servers(self) -> None:
        """Start broker and Redis, make the topics, and write down where everything is."""
        kafka, redis = self.broker.start(), self.redis.start()
        servers: dict[str, object] = {"kafka": kafka, "redis": SecretStr(redis)}
        if not self.settings.cluster.tokens:
            servers["cluster"] = running.shared_secret(self.settings.data_dir)
        if isinstance(self.broker, EmbeddedBroker):
            servers |= {"kafka_embedded": True, "kafka_cluster": self.broker.cluster}
        self.settings = self.settings.model_copy(update=servers)
        asyncio.run(topics.apply(self.settings, wait=timedelta(seconds=10)))
        self.settings = asyncio.run(enter(self.settings))
        self._write()

    def _take(self) -> None:
        """Take the data directory for this process; raises `ConfigurationError` when another has it."""
        directory = self.settings.data_dir
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "up.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = running.read(directory)
            by = f" (process {owner.pid})" if owner else ""
            lock.close()
            raise ConfigurationError(
                f"something already runs on {directory}{by}: stop it, or give another HEADRACE_DATA_DIR"
            ) from None
        self._lock = lock

    def _write(self) -> None:
        running.Running(
            pid=os.getpid(),
            kafka=self.settings.kafka,
            kafka_embedded=self.settings.kafka_embedded,
            kafka_cluster=self.settings.kafka_cluster,
            redis=self.settings.redis.get_secret_value(),
            cluster_secret=self.settings.cluster.secret.get_secret_value(),
            namespace=self.settings.namespace,
            topic_prefix=self.settings.topic_prefix,
            partitions=self.settings.partitions,
            generation=self.settings.generation,
            ports=self.ports,
        ).write(self.settings.data_dir)

    def environment(self, spec: WorkerSpec) -> dict[str, str]:
        """Return the environment of one worker: ours, the addresses, and its own port."""
        shared = {
            "HEADRACE_KAFKA": self.settings.kafka,
            "HEADRACE_KAFKA_EMBEDDED": str(self.settings.kafka_embedded),
            "HEADRACE_KAFKA_CLUSTER": self.settings.kafka_cluster,
            "HEADRACE_REDIS": self.settings.redis.get_secret_value(),
            "HEADRACE_CLUSTER__SECRET": self.settings.cluster.secret.get_secret_value(),
            "HEADRACE_DATA_DIR": str(self.settings.data_dir.resolve()),
            "HEADRACE_NAMESPACE": self.settings.namespace,
            "HEADRACE_TOPIC_PREFIX": self.settings.topic_prefix,
            "HEADRACE_PARTITIONS": str(self.settings.partitions),
            "HEADRACE_GENERATION": self.settings.generation,
            "HEADRACE_INSTANCE": spec.label,
            "HEADRACE_LOG__FORMAT": "json",
            f"HEADRACE_{spec.kind.upper()}__PORT": str(self.ports[spec.label]),
            "PYTHONUNBUFFERED": "1",
        }
        if "search" in self.ports:
            for asking in ("MONITOR", "NEGATIVES"):
                shared[f"HEADRACE_{asking}__SEARCH_URL"] = self.url("search")
        return {**environment(), **shared, **spec.environment}

    def url(self, name: str) -> str:
        """Return the base URL of a worker."""
        return self.settings.url(name, self.ports[name])

    def start_worker(self, name: str) -> None:
        """Start one worker; returns at once."""
        member = self._members.get(name) or self._member(name)
        if not member.process.running:
            member.process.launch()
        member.started, member.restart_at, member.wanted = time.monotonic(), None, True

    def _member(self, name: str) -> _Member:
        spec = next(spec for spec in self._specs if spec.label == name)
        lines = self._lines
        process = Process(
            [sys.executable, "-m", spec.module or f"services.{spec.kind}"],
            log=self.settings.data_dir / "logs" / f"{name}.log",
            environment=self.environment(spec),
            death_signal=signal.SIGKILL,
            lines=(lambda line: lines(name, line)) if lines else None,
        )
        self._members[name] = _Member(spec, process, self.ports[name])
        return self._members[name]

    def stop_worker(self, name: str, *, within: timedelta = DRAIN) -> int | None:
        """Stop one worker cleanly (SIGTERM, then SIGKILL) and return its exit code."""
        member = self._members[name]
        member.wanted = False
        return member.process.stop(within=within)

    def kill(self, name: str) -> None:
        """End one worker at once (`kill -9`)."""
        self._members[name].process.kill()

    def pid(self, name: str) -> int | None:
        """Return a worker's process id."""
        return self._members[name].process.pid

    def tail(self, name: str) -> str:
        """Return the end of a worker's log."""
        return self._members[name].process.tail()

    def not_ready(self) -> dict[str, str]:
        """Return the workers that are not ready, each with its reason."""
        reasons = {name: self._reason(member) for name, member in self._members.items() if member.wanted}
        return {name: reason for name, reason in reasons.items() if reason}

    def _reason(self, member: _Member) -> str:
        if member.process.exit_code is not None:
            return f"ended with code {member.process.exit_code}"
        connection = http.client.HTTPConnection(
            self.url(member.spec.label).removeprefix("http://"), timeout=2
        )
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return "does not answer yet"
        finally:
            connection.close()
        return "" if answer.status == http.HTTPStatus.OK else _reasons(body)

    def wait_ready(self, *, within: timedelta = timedelta(seconds=120)) -> None:
        """Return when every worker is ready.

        Raises `FatalError` when one has ended, and `TransientError` with the reasons when it takes longer.
        """
        deadline = time.monotonic() + within.total_seconds()
        while reasons := self.not_ready():
            for name, member in self._members.items():
                if member.wanted and member.process.exit_code is not None:
                    raise FatalError(f"{name} {reasons.get(name)}; the end of its log:\n{self.tail(name)}")
            if time.monotonic() > deadline:
                waiting = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
                raise TransientError(f"not ready after {within.total_seconds():.0f} s: {waiting}")
            time.sleep(_POLL_SECONDS)

    def supervise_once(self, backoff: Backoff | None = None) -> None:
        """Look once after everything: restart what failed and is due; raises `FatalError` when hopeless."""
        for server in (self.broker, self.redis):
            if not server.running:
                log.error("server.ended", address=server.address, action="restart")
                server.start()
        for name, member in self._members.items():
            if member.restart_at is not None and time.monotonic() >= member.restart_at:
                self.start_worker(name)
            elif member.wanted and member.restart_at is None and not member.process.running:
                self._judge(name, member, backoff)

    def _judge(self, name: str, member: _Member, backoff: Backoff | None) -> None:
        code = member.process.exit_code
        code = -signal.SIGKILL if code is None else code  # None: `kill` ended it
        uptime = timedelta(seconds=time.monotonic() - member.started)
        decision = decide(code, uptime=uptime, failures=member.failures, backoff=backoff)
        member.failures = decision.failures
        if decision.verdict is RestartVerdict.GIVE_UP:
            raise FatalError(f"{name} cannot start; the end of its log:\n{member.process.tail(4)}")
        if decision.verdict is RestartVerdict.LEAVE:
            member.wanted = False
            log.warning("worker.ended", worker=name, code=code)
            return
        member.restart_at = time.monotonic() + decision.delay.total_seconds()
        log.error("worker.died", worker=name, code=code, restart_in=f"{decision.delay.total_seconds():g} s")

    def stop(self) -> None:
        """Stop everything: all workers drain at once (30 s at most), then Redis and broker."""
        if self._lock is None:  # never started: the directory, and all that runs on it, is another's
            return
        with ThreadPoolExecutor(max(1, len(self._members))) as pool:
            list(pool.map(self.stop_worker, self._members))
        self.redis.stop()
        self.broker.stop()
        running.forget(self.settings.data_dir)
        self._lock.close()
        self._lock = None

    def kill_workers(self) -> None:
        """End every worker at once; `stop` then has little left to do."""
        for name, member in self._members.items():
            member.wanted = False
            self.kill(name)

    def logs(self) -> Path:
        """Return the directory of the workers' log files."""
        return self.settings.data_dir / "logs"


def _reasons(body: bytes) -> str:
    try:
        reasons: Mapping[str, str] = json.loads(body)["reasons"]
    except (ValueError, KeyError, TypeError):
        return "not ready"
    return ", ".join(f"{name}: {reason}" for name, reason in reasons.items())
