"""A stream of catalogue changes and shoppers for a running installation, reproducible by its seed."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Generic, TypeVar

from schemas.catalogue import ProductChange
from services.lab.simulation import shop
from services.lab.simulation.catalogue import ShopProduct
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Ranker, Simulation, stream
from services.lab.simulation.traffic import Traffic as Shopping
from shared.ports import outgoing
from shared.records import Outgoing
from shared.settings import Settings
from tests.connected.publishing import publish
from tests.data.poison import poison

T = TypeVar("T")
PRODUCTS = 120
DUPLICATES, DISORDER, POISON = 0.1, 0.2, 0.02


class Disorder(Generic[T]):
    """Messages as networks deliver what `make` makes: some twice, some late."""

    def __init__(self, make: Callable[[], T], rng: random.Random) -> None:
        self._make = make
        self._rng = rng
        self._held: list[T] = []

    def take(self, count: int) -> list[T]:
        """Return the next messages."""
        messages: list[T] = []
        while len(messages) < count:
            message = self._make()
            if self._rng.random() < DISORDER:
                self._held.append(message)
            else:
                messages += [message] * (2 if self._rng.random() < DUPLICATES else 1)
            if self._held and self._rng.random() < DISORDER:
                messages.append(self._held.pop(self._rng.randrange(len(self._held))))
        return messages

    def rest(self) -> list[T]:
        """Return what was held up."""
        held, self._held = self._held, []
        return held


class Changes:
    """Products written, patched, repriced, deleted and written again, and some poison."""

    def __init__(self, products: Sequence[ShopProduct], rng: random.Random) -> None:
        self._products = products
        self._rng = rng
        self._versions = dict.fromkeys((product.id for product in products), 0)
        self._poison = poison()

    def next(self) -> Outgoing:
        """Return the next message, as it would come in order."""
        if self._rng.random() < POISON:
            bad = self._rng.choice(self._poison)
            return Outgoing(ProductChange.topic, bad.key, bad.value, bad.headers)
        product = self._rng.choice(self._products)
        self._versions[product.id] += 1
        return outgoing(self._change(product, self._versions[product.id]))

    def _change(self, product: ShopProduct, version: int) -> ProductChange:
        now = datetime.now(UTC)
        what = (
            "write"
            if version == 1
            else self._rng.choices(("write", "price", "text", "delete"), (2, 5, 2, 1))[0]
        )
        if what == "write":
            return product.change(version, now)
        if what == "delete":
            return ProductChange(product_id=product.id, op="delete", version=version, event_time=now)
        fields = {"price": round(self._rng.uniform(1, 99), 2), "stock": self._rng.randrange(50)}
        if what == "text":
            fields = {"title": f"{product.title} {self._rng.choice(('plus', 'pro', 'mini'))}"}
        return ProductChange(
            product_id=product.id, op="patch", version=version, event_time=now, fields=fields
        )


class Traffic:
    """Sends changes and shoppers in bursts; blocking, so that whoever kills workers says when."""

    def __init__(self, settings: Settings, seed: int, *, sessions: int = 200) -> None:
        self._settings = settings
        catalogue = shop.sample()
        rng = random.Random(f"changes {seed}")
        self.changes = Disorder(Changes(catalogue.products[:PRODUCTS], rng).next, rng)
        visits = Shopping(sessions=sessions, until=datetime.now(UTC), span=timedelta(days=3), seed=seed)
        arrivals = stream(Simulation(catalogue, ClickModel(), visits), Ranker.blurred(catalogue, seed=seed))
        self._shoppers = (outgoing(arrival.message) for arrival in arrivals)
        self.sent = 0

    def send(self, changes: int, shoppers: int) -> None:
        """Write so many of each, mixed; returns when they are acknowledged."""
        self._publish([*self.changes.take(changes), *islice(self._shoppers, shoppers)])

    def finish(self) -> None:
        """Write what was held up on its way."""
        self._publish([*self.changes.rest(), *self._shoppers])

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        publish(self._settings, messages)
        self.sent += len(messages)
