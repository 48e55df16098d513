"""What a test needs of a database, whichever it is."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from tests.connected.databases.columns import Value, indexed
from tests.connected.databases.pages import Shown
from tests.connected.databases.shop import PRICES, PRODUCTS, Dialect


class Database(Protocol):
    """A server with the shop in it."""

    dialect: Dialect
    shown: Shown
    address: Mapping[str, object]
    """What a connector's file must say otherwise than the page."""

    shell: str
    """The command that a person types at, but for the statement."""

    def start(self) -> None:
        """Start it with the tables, empty unless it was set up otherwise."""

    def stop(self) -> None:
        """Stop it."""

    def run(self, sql: str) -> list[str]:
        """Run statements, each in a transaction of its own; return the lines that they answer."""

    def select(self, table: str) -> Iterable[Mapping[str, Value]]:
        """Return the rows of a table as JSON."""


def expected(database: Database, *, flattened: bool) -> dict[str, dict[str, Value]]:
    """Return the products that the index must have, by what SELECT says."""
    of = database.dialect
    products = {
        row["id"]: indexed(row, of.products, flattened=flattened) for row in database.select(PRODUCTS)
    }
    for row in database.select(PRICES):
        if row["product_id"] in products:
            products[row["product_id"]] |= indexed(row, of.prices, flattened=flattened)
    return products
