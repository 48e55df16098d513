"""A Redis Cluster of real processes: three masters, each with a replica that takes over."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from shared.infrastructure.process import Process, free_port
from shared.infrastructure.valkey import answers_redis, valkey_command
from tests.connected.killing import until

MASTERS = 3
SLOTS = 16384
ARRIVAL = timedelta(seconds=60)


class Node:
    """One process of the cluster."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(directory),
            "cluster-enabled": "yes",
            "cluster-node-timeout": "1500",
            "cluster-port": str(free_port()),
            "appendonly": "no",
            "save": "",
        }
        directory.mkdir(parents=True)
        self._process = Process(valkey_command(options), log=directory / "valkey.log")
        self.bus = int(options["cluster-port"])

    def start(self) -> None:
        """Start it."""
        answers = partial(answers_redis, f"127.0.0.1:{self.port}")
        self._process.start(answers, port=self.port, within=timedelta(seconds=60))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def ask(self, *command: str | int) -> object:
        """Return what it answers."""
        with Redis(port=self.port) as client:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py

    @property
    def identity(self) -> str:
        """Its name in the cluster."""
        answer = self.ask("CLUSTER", "MYID")
        return answer.decode() if isinstance(answer, bytes) else str(answer)


class ClusterOfNodes:
    """`address` is what `HEADRACE_REDIS` takes; masters are the first nodes, replicas the others."""

    def __init__(self, directory: Path) -> None:
        self.nodes = [Node(directory / str(number)) for number in range(2 * MASTERS)]

    @property
    def address(self) -> str:
        """The URL of one that nobody kills here."""
        return f"redis+cluster://127.0.0.1:{self.nodes[MASTERS - 1].port}"

    def start(self) -> None:
        """Start the nodes and make them a cluster."""
        for node in self.nodes:
            node.start()
        masters, replicas = self.nodes[:MASTERS], self.nodes[MASTERS:]
        for number, master in enumerate(masters):
            first, last = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS - 1
            master.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        _until(lambda: all(self._knows_all(node) for node in self.nodes))
        for master, replica in zip(masters, replicas, strict=True):
            replica.ask("CLUSTER", "REPLICATE", master.identity)
        _until(lambda: all(self._is_whole(node) for node in self.nodes))

    def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.kill()

    def kill_master_of(self, key: str) -> None:
        """End the master that has this key."""
        slot = int(str(self.nodes[0].ask("CLUSTER", "KEYSLOT", key)))
        self.nodes[slot * MASTERS // SLOTS].kill()

    @staticmethod
    def _knows_all(node: Node) -> bool:
        info = node.ask("CLUSTER", "INFO")
        return isinstance(info, bytes) and f"cluster_known_nodes:{2 * MASTERS}".encode() in info

    @staticmethod
    def _is_whole(node: Node) -> bool:
        info, role = node.ask("CLUSTER", "INFO"), node.ask("INFO", "replication")
        replicates = isinstance(role, dict) and role["role"] == "slave"
        linked = not replicates or (isinstance(role, dict) and role["master_link_status"] == "up")
        return isinstance(info, bytes) and b"cluster_state:ok" in info and linked


def _until(holds: Callable[[], bool]) -> None:
    def answered_and_holds() -> bool:
        try:
            return holds()
        except RedisError:
            return False

    until(answered_and_holds, ARRIVAL, why=lambda: "the nodes have not become a cluster")
