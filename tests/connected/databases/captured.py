"""A shop whose tables a connector reads into an installation, as `docs/databases.md` configures it."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from shared.infrastructure.ladder import Rung, choose_broker
from shared.infrastructure.stack import Stack
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from tests.connected.databases import mariadb, pages, postgresql
from tests.connected.databases.columns import Value, quoted
from tests.connected.databases.connect import Connect, missing
from tests.connected.databases.database import Database, expected
from tests.connected.databases.mariadb import MariaDB
from tests.connected.databases.postgresql import PostgreSQL
from tests.connected.databases.shop import Shopkeeper
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready

SERVERS: Mapping[str, tuple[Callable[[Path], Database], object]] = {
    "postgresql": (PostgreSQL, postgresql.BIN),
    "mariadb": (MariaDB, mariadb.BIN),
}


@dataclass
class CapturedShop:
    """A shop whose tables a connector reads into an installation."""

    database: Database
    connect: Connect
    stack: Stack
    keeper: Shopkeeper
    flattened: bool
    marks: int = 0

    def work(self, steps: int) -> None:
        """Write to the database."""
        self.database.run(self.keeper.work(steps))

    def until_indexed(self) -> None:
        """Return when what is written after everything else is found."""
        self.marks += 1
        title = f"mark {self.marks}"
        self.database.run(
            f"DELETE FROM products WHERE id = 'MARK';"
            f"INSERT INTO products (id, title) VALUES ('MARK', {quoted(title)});"
        )
        until(lambda: self.products().get("MARK", {}).get("title") == title, why=self.connect.state)

    def products(self) -> dict[str, dict[str, Value]]:
        """Return what is served, without what cannot be asked now."""
        served = {}
        for number in range(self.stack.settings.partitions):
            parameters = {"generation": "g1", "partition": str(number)}
            try:
                answer = httpx.get(
                    f"{self.stack.url('shards')}/dump",
                    params=parameters,
                    headers=self.stack.settings.cluster.headers,
                    trust_env=False,
                )
            except httpx.HTTPError:
                continue
            lines = answer.text.splitlines() if answer.is_success else ()
            served |= {product["product_id"]: product["fields"] for product in map(json.loads, lines)}
        return served

    def wrong(self) -> list[str]:
        """Return what the index has otherwise than SELECT says."""
        right, served = expected(self.database, flattened=self.flattened), self.products()
        lines = []
        for product in sorted(right.keys() | served.keys()):
            if product not in right or product not in served:
                lines.append(f"{product}: " + ("phantom" if product not in right else "missing"))
                continue
            names = right[product].keys() | served[product].keys()
            for name in sorted(names):
                pair = [of[product].get(name, "(none)") for of in (right, served)]
                if pair[0] != pair[1]:
                    lines.append(f"{product} {name}: {str(pair[0])[:60]} is {str(pair[1])[:60]}")
        return lines

    def read(self, topic: str) -> list[Record]:
        """Return all records of a topic."""

        async def read() -> list[Record]:
            async with TopicReader(self.stack.settings, [topic]) as reader:
                return [record async for record in reader.news()]

        return asyncio.run(read())


@contextmanager
def captured(name: str, directory: Path, *, flattened: bool = False) -> Iterator[CapturedShop]:
    """Run the database and the installation; the connector is not started yet. Skips what lacks a part."""
    server, binary = SERVERS[name]
    if lacking := missing(os.environ.get("KAFKA_HOME")):
        pytest.skip(lacking)
    if binary is None:
        pytest.skip(f"there is no {name}: apt install postgresql mariadb-server")
    home = Path(os.environ["KAFKA_HOME"])
    broker = choose_broker(os.environ, rung=Rung.KAFKA_HOME, data_dir=directory / "broker")
    with ExitStack() as running:
        patch = running.enter_context(pytest.MonkeyPatch.context())
        for variable, value in pages.environment().items():
            patch.setenv(variable, value)
        database = server(directory)
        running.callback(database.stop)
        database.start()
        stack = running.enter_context(installation(directory / "data", ("shards", "embedder"), broker=broker))
        connect = Connect(home, directory / "connect", stack.broker.address)
        running.callback(connect.stop)
        file = database.shown.connector + (database.shown.flattened if flattened else "")
        history = {"schema.history.internal.kafka.bootstrap.servers": stack.broker.address}
        connect.configure(file, {**database.address, **history})
        until_ready(stack)
        yield CapturedShop(database, connect, stack, Shopkeeper(database.dialect, seed=7), flattened)
