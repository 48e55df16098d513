"""Producers whose partitioners put one product in two places, and transactions that end either way."""

import json
import random
from collections import Counter
from collections.abc import Sequence

from confluent_kafka import Message, Producer

from schemas.catalogue import ProductChange
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.stack import Stack
from tests.connected.checker import FIELDS, Change, Checker
from tests.connected.traffic import Disorder

MURMUR2 = {"partitioner": "murmur2_random"}
"""As Java's clients, Debezium and aiokafka do; librdkafka's default is CRC32."""
LAMPS = ("desk", "floor", "wall", "street", "bicycle", "reading", "garden", "ceiling")
TRANSACTIONS, ABORTED = 0.15, 0.4
ACKNOWLEDGED = 60.0


class Producers:
    """Upserts, patches and deletes of so many products, some twice, some late; every choice is of `seed`."""

    def __init__(self, stack: Stack, checker: Checker, *, products: int, seed: int, address: str) -> None:
        self.sent: Counter[str] = Counter()
        self._topic = stack.settings.topic_prefix + ProductChange.topic
        self._checker = checker
        self._rng = random.Random(f"producers {seed}")
        self._versions = {f"LAMP-{number}": 0 for number in range(products)}
        self._changes = Disorder(self._next, self._rng)
        at = {"bootstrap.servers": address, "linger.ms": 0, "log_level": 2}
        self._clients = (Producer(at), Producer(at | MURMUR2))
        self._transactions: Producer | None = None
        if not isinstance(stack.broker, EmbeddedBroker):  # it has no transactions
            self._transactions = Producer(at | MURMUR2 | {"transactional.id": f"lamps-{seed}"})
            self._transactions.init_transactions(ACKNOWLEDGED)

    def write_each(self) -> None:
        """Write every product once."""
        self._send([self._change(product_id, "upsert") for product_id in self._versions])

    def burst(self) -> None:
        """Write some changes; returns when they are acknowledged, or their transaction has ended."""
        if self._transactions is not None and self._rng.random() < TRANSACTIONS:
            self._transact(self._transactions)
        else:
            self._send(self._changes.take(self._rng.randint(3, 15)))

    def finish(self) -> None:
        """Write what was held up."""
        self._send(self._changes.rest())

    def _send(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._checker.write(change)
            self._produce(self._rng.choice(self._clients), change)
        for client in self._clients:
            assert client.flush(ACKNOWLEDGED) == 0
        self.sent["messages"] += len(changes)

    def _transact(self, client: Producer) -> None:
        aborted = self._rng.random() < ABORTED
        client.begin_transaction()
        for _ in range(self._rng.randint(2, 6)):
            change = self._next()
            (self._checker.abort if aborted else self._checker.write)(change)
            self._produce(client, change)
            self.sent["aborted" if aborted else "messages"] += 1
        if aborted:
            client.flush(ACKNOWLEDGED)  # else they would never have been written
            client.abort_transaction(ACKNOWLEDGED)
        else:
            client.commit_transaction(ACKNOWLEDGED)

    def _produce(self, client: Producer, change: Change) -> None:
        client.produce(self._topic, _message(change), key=change.product_id, on_delivery=_delivered)

    def _next(self) -> Change:
        product_id = self._rng.choice(list(self._versions))
        [op] = self._rng.choices(("patch", "upsert", "delete"), (8, 3, 1))
        return self._change(product_id, op)

    def _change(self, product_id: str, op: str) -> Change:
        self._versions[product_id] += 1
        names: Sequence[str] = FIELDS
        if op == "patch":  # mostly one that costs no inference
            names = (self._rng.choices(("price", "stock", "title"), (4, 4, 2))[0],)
        return Change(product_id, self._versions[product_id], op, names)


def _message(change: Change) -> bytes:
    fields = {} if change.op == "delete" else {name: _value(change, name) for name in change.fields}
    message = {"product_id": change.product_id, "op": change.op, "version": change.version, "fields": fields}
    return json.dumps(message).encode()


def _value(change: Change, name: str) -> int | str:
    if name != "title":
        return change.version
    return f"{LAMPS[change.version % len(LAMPS)]} lamp {change.product_id} v{change.version}"


def _delivered(error: object, message: Message) -> None:
    assert error is None, f"{message.key()}: {error}"
