"""A MariaDB of its own, with the shop in it."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random

from shared.infrastructure.process import Process, exchange, free_port
from tests.connected.databases import columns
from tests.connected.databases.columns import Column, Value, number, one_of, quoted, some_of
from tests.connected.databases.pages import shown
from tests.connected.databases.shop import IDS, PRICES, PRODUCTS, Dialect

BIN = shutil.which("mariadbd")
TEXT = "text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
KEY = "varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY"


def as_list(value: Value, flattened: bool) -> Mapping[str, Value]:
    """Return how a set is indexed; without a schema it is text."""
    return {"": value if flattened or value is None else value.split(",") if value else []}


def document(value: Value, _: bool) -> Mapping[str, Value]:
    """Return how JSON is indexed, which is text to MariaDB."""
    return columns.flat(json.loads(value) if isinstance(value, str) else value)


OF_PRODUCTS = {
    "title": Column("text", columns.words),
    "description": Column("longtext", columns.long_text),
    "brand": Column("varchar(40)", one_of("Köhler & Söhne", "Acme", "")),
    "list_price": Column("decimal(10,2)", number(-100, 10**7, 2)),
    "rating": Column("double", one_of("4.5", "0.1", "0")),
    "stock": Column("int", number(0, 100)),
    "ean": Column("bigint unsigned", number(0, 2**63 - 1)),
    "active": Column("boolean", number(0, 1)),
    "colour": Column("enum('red', 'dark green', 'blau')", one_of("red", "dark green", "blau")),
    "attrs": Column("json", columns.document, document, columns.as_json),
    "tags": Column(
        "set('neu', 'for women', 'ß')",
        some_of("neu", "for women", "ß"),
        as_list,
        lambda v: quoted(",".join(v)),
    ),
    "released": Column("date", one_of("2026-03-01", "1969-12-31"), columns.day),
    "made_at": Column("datetime(3)", columns.moment, columns.local("milliseconds")),
    "changed_at": Column("timestamp(6) NULL", columns.moment, columns.zoned),
    "code": Column("varchar(10) UNIQUE", one_of(None), literal=lambda _: "NULL"),
    "photo": Column("blob", one_of("x"), columns.content),
}
OF_PRICES = {
    "price": Column("decimal(10,2)", number(0, 10**6, 2)),
    "currency": Column("char(3)", one_of("EUR", "CHF")),
    "offer_until": Column("datetime(6)", columns.moment, columns.local("microseconds")),
}


def tables() -> str:
    """Return the SQL that makes the shop; a code belongs to one product."""
    return "\n".join(
        (
            f"CREATE TABLE products (id {KEY}, {defined(OF_PRODUCTS)});",
            f"CREATE TABLE prices (product_id {KEY}, {defined(OF_PRICES)});",
        )
    )


def defined(of: Mapping[str, Column]) -> str:
    """Return columns as CREATE TABLE has them."""
    return ", ".join(f"{name} {column.type}" for name, column in of.items())


def write(table: str, key: str, values: Mapping[str, str]) -> str:
    """Return a statement that overwrites: the row with the key, and any with the same code."""
    return f"REPLACE INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())});"


def own(rng: Random) -> str:
    """Return a statement that gives a code to a product, and takes the product that had it, or another."""
    product, code = quoted(rng.choice(IDS)), quoted(f"C{rng.randint(1, 6)}")
    counted = (
        f"INSERT INTO products (id, stock) VALUES ({product}, 1) ON DUPLICATE KEY UPDATE stock = stock + 1;"
    )
    taken = f"REPLACE INTO products (id, code, title) VALUES ({product}, {code}, 'Lampe');"
    return rng.choice((taken, counted, "FLUSH BINARY LOGS;"))


class MariaDB:
    """The server."""

    dialect = Dialect(OF_PRODUCTS, OF_PRICES, ("INSERT IGNORE INTO", ""), write, own)
    shown = shown("MariaDbConnector", "gtid")

    def __init__(self, directory: Path, setup: str = "") -> None:
        self._setup = setup or f"{tables()}\n{self.shown.rights}"
        self._data = directory / "mariadb"
        self._port = free_port()
        self.address = {"database.port": self._port}
        options = {
            "datadir": self._data,
            "socket": self._data / "socket",
            "port": self._port,
            "bind-address": "127.0.0.1",
            "user": "root",
            "log-bin": "binlog",
            "binlog-format": "ROW",
            "binlog-row-image": "FULL",
            "server-id": 1,
            "gtid-strict-mode": 1,
            "character-set-server": "utf8mb4",
            "default-time-zone": "+00:00",
            "sql-mode": "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES",
            "innodb-buffer-pool-size": "32M",
        }
        self._process = Process(
            [str(BIN), "--no-defaults", *(f"--{name}={value}" for name, value in options.items())],
            log=directory / "mariadb.log",
        )

    def start(self) -> None:
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={self._data}", "--skip-test-db"]
        subprocess.run(
            [*install, "--user=root", "--auth-root-authentication-method=normal"],
            check=True,
            capture_output=True,
        )
        self._process.start(self._answers, port=self._port, within=timedelta(seconds=60))
        self._mariadb("CREATE DATABASE shop;", "mysql")
        self.run(self._setup)

    def stop(self) -> None:
        self._process.stop()

    def run(self, sql: str) -> list[str]:
        return self._mariadb(sql, "shop")

    def select(self, table: str) -> Iterable[Mapping[str, Value]]:
        key, of = {PRODUCTS: ("id", OF_PRODUCTS), PRICES: ("product_id", OF_PRICES)}[table]
        values = {key: key} | {
            name: f"hex({name})" if column.type == "blob" else name for name, column in of.items()
        }
        pairs = ", ".join(f"'{name}', {value}" for name, value in values.items())
        return map(json.loads, self.run(f"SELECT JSON_OBJECT({pairs}) FROM {table};"))

    @property
    def shell(self) -> str:
        """The command that a person types at, but for the statement."""
        return f"mariadb --no-defaults --user=root --host=127.0.0.1 --port={self._port} shop"

    def _mariadb(self, sql: str, database: str) -> list[str]:
        command = [
            *("mariadb", "--no-defaults", "--batch", "--raw", "--skip-column-names", "--user=root"),
            *("--host=127.0.0.1", f"--port={self._port}", "--default-character-set=utf8mb4", database),
        ]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def _answers(self) -> bool:
        return exchange(f"127.0.0.1:{self._port}", b"")[4:5] == b"\n"  # version 10 of its protocol
