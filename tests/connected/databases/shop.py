"""A shop at work: a seeded sequence of transactions, in either database's SQL."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.connected.databases.columns import Column, quoted

PRODUCTS, PRICES = "products", "prices"
IDS = (*(f"P-{n}" for n in range(24)), "AB 123", "STÜHLE-1", "it's", "a/b?c#d", "x:y", "007", "{7}")


@dataclass(frozen=True)
class Dialect:
    """The columns of both tables but their keys, and what each database calls differently."""

    products: Mapping[str, Column]
    prices: Mapping[str, Column]
    insert: tuple[str, str]
    """Around an INSERT that does nothing where the product is there."""
    write: Callable[[str, str, Mapping[str, str]], str]
    """An INSERT of values that overwrites: of a table, by its key."""
    own: Callable[[Random], str] = field(default=lambda _: "")
    """Statements that only this database has."""


class Shopkeeper:
    """Returns SQL for so many steps; every choice comes from `seed`, and any step may meet any state."""

    def __init__(self, dialect: Dialect, *, seed: int) -> None:
        self._dialect = dialect
        self._rng = Random(f"shop {seed}")
        self.statements = 0

    def work(self, steps: int) -> str:
        """Return the transactions of so many steps."""
        weighed = [step for step, weight in self._steps() for _ in range(weight)]
        lines = [self._rng.choice(weighed)() for _ in range(steps)]
        self.statements += sum(line.count(";\n") + 1 for line in lines)
        return "\n".join(lines)

    def _steps(self) -> list[tuple[Callable[[], str], int]]:
        return [
            (self._insert, 5),
            (self._update, 10),
            (self._update_many, 2),
            (self._write, 5),
            (self._delete, 3),
            (lambda: transaction(self._delete(), self._insert()), 1),
            (self._again_in_a_transaction, 4),
            (self._again_at_once, 3),
            (self._rename, 4),
            (self._come_and_go, 2),
            (lambda: transaction(self._update(), self._delete(), end="ROLLBACK"), 1),
            (self._price, 8),
            (self._no_price, 3),
            (lambda: self._dialect.own(self._rng), 4),
        ]

    def _id(self) -> str:
        return quoted(self._rng.choice(IDS))

    def _values(self, columns: Mapping[str, Column]) -> dict[str, str]:
        return {name: column.write(self._rng) for name, column in columns.items()}

    def _insert(self, product: str = "") -> str:
        before, after = self._dialect.insert
        values = {"id": product or self._id()} | self._values(self._dialect.products)
        return f"{before} products ({', '.join(values)}) VALUES ({', '.join(values.values())}) {after};"

    def _update(self, where: str = "") -> str:
        names = self._rng.sample(sorted(self._dialect.products), self._rng.randint(1, 3))
        values = self._values({name: self._dialect.products[name] for name in names})
        return f"UPDATE products SET {assigned(values)} WHERE {where or f'id = {self._id()}'};"

    def _update_many(self) -> str:
        return self._update(f"stock < {self._rng.randint(0, 60)}")

    def _write(self) -> str:
        values = {"id": self._id()} | self._values(self._dialect.products)
        return self._dialect.write("products", "id", values)

    def _delete(self, product: str = "") -> str:
        return f"DELETE FROM products WHERE id = {product or self._id()};"

    def _again_in_a_transaction(self) -> str:
        product = self._id()
        return transaction(self._delete(product), self._insert(product))

    def _again_at_once(self) -> str:
        product = self._id()
        return "\n".join(
            (self._delete(product), self._insert(product), self._delete(product))[: self._rng.randint(2, 3)]
        )

    def _rename(self) -> str:
        """Change a key; what is large is written too: PostgreSQL would not log it under the new key."""
        old, new = (quoted(name) for name in self._rng.sample(IDS, 2))
        large = {name: column for name, column in self._dialect.products.items() if column.large}
        values = {"id": new} | self._values(large)
        return transaction(self._delete(new), f"UPDATE products SET {assigned(values)} WHERE id = {old};")

    def _come_and_go(self) -> str:
        product = self._id()
        update = self._update(f"id = {product}")
        return transaction(self._delete(product), self._insert(product), update, self._delete(product))

    def _price(self) -> str:
        values = {"product_id": self._id()} | self._values(self._dialect.prices)
        return self._dialect.write("prices", "product_id", values)

    def _no_price(self) -> str:
        return f"DELETE FROM prices WHERE product_id = {self._id()};"


def transaction(*statements: str, end: str = "COMMIT") -> str:
    """Return the statements as one transaction."""
    return "\n".join(("BEGIN;", *statements, f"{end};"))


def assigned(values: Mapping[str, str]) -> str:
    """Return what follows SET."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())
