"""A PostgreSQL of its own, as an unprivileged user, with the shop in it."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random

from shared.infrastructure.process import Process, free_port
from tests.connected.databases import columns
from tests.connected.databases.columns import Column, Value, number, one_of, quoted, some_of
from tests.connected.databases.pages import shown
from tests.connected.databases.shop import Dialect, assigned

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: float(path.parent.name))
USER = "postgres"
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--pdeathsig=INT")


def array(values: object) -> str:
    """Return a list as SQL writes it."""
    return quoted(json.dumps(values, ensure_ascii=False)[1:-1].join("{}"))


def numbers(rng: Random) -> list[int]:
    return [rng.randint(36, 46) for _ in range(rng.randint(0, 3))]


OF_PRODUCTS = {
    "title": Column("text", columns.words),
    "description": Column("text", columns.long_text, large=True),
    "brand": Column("varchar(40)", one_of("Köhler & Söhne", "Acme", "")),
    "weight": Column("numeric", number(0, 10**9, 6)),
    "list_price": Column("numeric(10,2)", number(-100, 10**7, 2)),
    "rating": Column("double precision", one_of("4.5", "0.1", "-0", "NaN", "Infinity"), columns.finite),
    "stock": Column("integer", number(0, 100)),
    "ean": Column("bigint", number(-(2**63), 2**63 - 1)),
    "active": Column("boolean", one_of("true", "false")),
    "colour": Column("colour", one_of("red", "dark green", "blau")),
    "attrs": Column("jsonb", columns.document, columns.flat, columns.as_json, large=True),
    "tags": Column("text[]", some_of("neu", "for women", 'a "b"', "ß"), literal=array),
    "sizes": Column("integer[]", numbers, literal=array),
    "released": Column("date", one_of("2026-03-01", "1969-12-31", "infinity", "-infinity"), columns.day),
    "made_at": Column("timestamp(3)", columns.moment, columns.local("milliseconds")),
    "changed_at": Column("timestamp", columns.moment, columns.local("microseconds")),
    "valid_to": Column(
        "timestamptz",
        one_of("2026-07-01 12:00:00.5+02", "infinity", "-infinity"),
        columns.zoned,
    ),
    "serial": Column("uuid", one_of("8f14e45f-ceea-467f-a0e6-0f2b6b6c1d2a")),
    "photo": Column("bytea", one_of("\\x00ff"), columns.content),
}
OF_PRICES = {
    "price": Column("numeric(10,2)", number(0, 10**6, 2)),
    "currency": Column("char(3)", one_of("EUR", "CHF")),
    "offer_until": Column("timestamptz", one_of("2026-12-24 18:00+00", "infinity"), columns.zoned),
}


def tables() -> str:
    """Return the SQL that makes the shop."""
    return "\n".join(
        (
            "CREATE TYPE colour AS ENUM ('red', 'dark green', 'blau');",
            f"CREATE TABLE products (id text PRIMARY KEY, {defined(OF_PRODUCTS)});",
            f"CREATE TABLE prices (product_id text PRIMARY KEY, {defined(OF_PRICES)});",
        )
    )


def defined(of: Mapping[str, Column]) -> str:
    """Return columns as CREATE TABLE has them."""
    return ", ".join(f"{name} {column.type}" for name, column in of.items())


def write(table: str, key: str, values: Mapping[str, str]) -> str:
    """Return an INSERT that overwrites."""
    overwritten = assigned({name: f"excluded.{name}" for name in values if name != key})
    return (
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())}) "
        f"ON CONFLICT ({key}) DO UPDATE SET {overwritten};"
    )


def own(rng: Random) -> str:
    """Return a statement for many rows at once."""
    return f"UPDATE products SET tags = '{{sale}}' WHERE stock > {rng.randint(50, 100)};"


class PostgreSQL:
    """The server; its data are in a directory of the user that it runs as."""

    dialect = Dialect(OF_PRODUCTS, OF_PRICES, ("INSERT INTO", "ON CONFLICT DO NOTHING"), write, own)
    shown = shown("PostgresConnector", "lsn")

    def __init__(self, directory: Path, setup: str = "") -> None:
        assert BIN is not None
        self._setup = setup or f"{tables()}\n{self.shown.rights}"
        self._data = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._as = AS_USER if os.geteuid() == 0 else ()
        self._port = free_port()
        self.address = {"database.port": self._port}
        options = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "wal_level": "logical",
            "max_prepared_transactions": 8,
            "fsync": "off",
            "TimeZone": "UTC",
        }
        self._process = Process(
            [
                *(*self._as, str(BIN / "postgres"), "-D", str(self._data)),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            log=directory / "postgresql.log",
        )

    def start(self) -> None:
        if self._as:
            shutil.chown(self._data, USER, USER)
        initdb = [
            *self._as,
            str(BIN / "initdb"),
            "-D",
            str(self._data),
            "-A",
            "trust",
            "-U",
            USER,
            "-E",
            "UTF8",
        ]
        subprocess.run(initdb, check=True, capture_output=True)
        self._process.start(self._answers, port=self._port, within=timedelta(seconds=60))
        self._psql("CREATE DATABASE shop;", "postgres")
        self.run(self._setup)

    def stop(self) -> None:
        self._process.stop()
        shutil.rmtree(self._data)

    def run(self, sql: str) -> list[str]:
        return self._psql(sql, "shop")

    def select(self, table: str) -> Iterable[Mapping[str, Value]]:
        return map(json.loads, self.run(f"SELECT to_jsonb(t) FROM {table} t;"))

    @property
    def shell(self) -> str:
        """The command that a person types at, but for the statement."""
        return f"psql -X postgresql://{USER}@127.0.0.1:{self._port}/shop"

    def _psql(self, sql: str, database: str) -> list[str]:
        url = f"postgresql://{USER}@127.0.0.1:{self._port}/{database}"
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", url]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def _answers(self) -> bool:
        ready = [str(BIN / "pg_isready"), "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(ready, capture_output=True, check=False).returncode == 0
