"""What orders a change, by Debezium's own words of where it was made; samples are shortened real blocks."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import Document
from schemas.wire import WireError, read_change
from schemas.wire.stamps import ENVELOPED, FLATTENED, position_of
from shared.catalogue.changes import reading_of
from shared.catalogue.documents import merge
from shared.records import Partition, Record
from tests.stamped import NOON

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


@pytest.mark.parametrize(
    ("source", "line", "version"),
    [
        (
            {"connector": "postgresql", "name": "shop", "lsn": 24023128},
            "postgresql/shop",
            (24023128,),
        ),
        ({"connector": "postgresql", "db": "goods", "lsn": "24023128"}, "postgresql/goods", (24023128,)),
        (
            {
                "connector": "mysql",
                "name": "s",
                "gtid": f"{UUID}:23",
                "file": "b.000003",
                "pos": 154,
                "row": 2,
            },
            f"mysql/s/{UUID}",
            (23, 154, 2),
        ),
        (
            {"connector": "mysql", "name": "s", "gtid": f"{UUID}:blue:7", "file": "b.3", "pos": 4, "row": 0},
            f"mysql/s/{UUID}:blue",
            (7, 4, 0),
        ),
        (
            {"connector": "mysql", "name": "s", "server_id": 1, "file": "log.000003", "pos": 4, "row": 2},
            "mysql/s/1/log",
            (3, 4, 2),
        ),
        (
            {"connector": "mariadb", "name": "s", "gtid": "0-1-42", "file": "b.000003", "pos": 9, "row": 0},
            "mariadb/s/0",
            (42, 9, 0),
        ),
        (
            {
                "connector": "sqlserver",
                "name": "s",
                "change_lsn": "00000027:00000758:0003",
                "commit_lsn": "00000027:00000758:0005",
                "event_serial_no": 2,
            },
            "sqlserver/s",
            (0x27, 0x758, 5, 0x27, 0x758, 3, 2),
        ),
        (
            {
                "connector": "oracle",
                "name": "s",
                "scn": "2868546",
                "rs_id": "0x000001.00000010.0020",
                "ssn": 1,
            },
            "oracle/s",
            (2868546, 1, 16, 32, 1),
        ),
        ({"connector": "mongodb", "name": "s", "ts_ms": 1000, "ord": 3}, "mongodb/s", (1000, 3)),
        ({"connector": "postgresql", "name": "s", "lsn": 7, "snapshot": "false"}, "postgresql/s", (7,)),
        (
            {"connector": "postgresql", "name": "s", "lsn": 7, "snapshot": "last"},
            "postgresql/s/snapshot",
            (7,),
        ),
        (
            {"connector": "postgresql", "name": "s", "lsn": 7, "snapshot": "incremental"},
            "postgresql/s/snapshot",
            (7,),
        ),
        ({"connector": "vitess", "name": "s", "ts_ms": 1000}, "vitess/s/time", (1_000_000_000,)),
        ({"connector": "postgresql", "name": "s", "ts_us": 7, "lsn": None}, "postgresql/s/time", (7000,)),
    ],
)
def test_the_source_block_says_the_line_and_the_version(source, line, version) -> None:
    assert position_of(source, ENVELOPED) == (f"debezium/{line}", version)


def test_a_flattened_row_need_not_say_which_connector_made_it() -> None:
    assert position_of({"lsn": 5, "ts_ms": 9}, FLATTENED) == ("rows//", (5,))
    assert position_of({"file": "b.000002", "pos": 4, "row": 1}, FLATTENED) == ("rows///0/b", (2, 4, 1))


def test_a_file_of_thousands_of_digits_has_no_number() -> None:
    source = {"connector": "mysql", "file": "bin." + "9" * 5000, "pos": 4}
    assert position_of(source, ENVELOPED) == ("debezium/mysql//0/bin", (0, 4, 0))


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "connector",
                "name",
                "lsn",
                "gtid",
                "file",
                "pos",
                "row",
                "scn",
                "rs_id",
                "ord",
                "ts_ms",
                "change_lsn",
            ]
        ),
        st.none()
        | st.integers()
        | st.text(max_size=8)
        | st.sampled_from(["mysql", "oracle", "mariadb", "-", ":1"]),
    )
)
def test_a_block_that_nobody_understands_orders_nothing_and_stops_nothing(source) -> None:
    position = position_of(source, ENVELOPED)
    if position is not None:
        assert all(type(number) is int and number >= 0 for number in position.version)
        assert len(position.line) <= 200


def after(*values: bytes | None) -> Document:
    """Return what a product is after these messages under one key, in the order of the topic."""
    document = Document()
    for offset, value in enumerate(values):
        record = Record(Partition("catalogue.changes.v1", 0), offset, b'{"id":2002}', value, NOON)
        document = merge(document, reading_of(record).change).document
    return document


def event(op: str, pos: int, price: int | None) -> bytes:
    row = "null" if price is None else f'{{"id":2002,"price":{price}}}'
    source = (
        f'{{"connector":"mysql","name":"s","file":"binlog.000003","pos":{pos},"row":0,"ts_ms":1795000000000}}'
    )
    return f'{{"op":"{op}","before":null,"after":{row},"source":{source}}}'.encode()


CREATED, DELETED, AGAIN = event("c", 100, 10), event("d", 600, None), event("c", 800, 12)


def test_what_is_deleted_and_inserted_again_within_a_second_is_there() -> None:
    assert after(CREATED, DELETED, None, AGAIN).fields == {"price": 12}
    assert after(AGAIN, DELETED, None, CREATED).fields == {"price": 12}


def test_a_connector_that_repeats_itself_after_a_restart_deletes_nothing() -> None:
    document = after(CREATED, DELETED, None, AGAIN, DELETED, None, AGAIN)
    assert (document.exists, document.fields) == (True, {"price": 12})
    assert not after(CREATED, DELETED, None).exists
    assert not after(None, CREATED, DELETED).exists


LATE = {"connector": "postgresql", "name": "shop", "lsn": 26400704, "snapshot": "false"}
FIRST = {"connector": "postgresql", "name": "shop", "lsn": 26400960, "snapshot": "first"}


@pytest.mark.parametrize("flattened", [False, True])
def test_what_a_transaction_did_that_was_open_when_the_snapshot_began_counts(flattened: bool) -> None:
    """As Debezium 3.3 wrote it: PostgreSQL's snapshot is of a later place in the log than the change."""

    def said(op: str, price: int | None, source: dict[str, object]) -> bytes:
        after = {"id": 2002, "price": price}
        if flattened:
            added = {f"__{name}": value for name, value in source.items() if name != "snapshot"}
            return orjson.dumps({**after, "__op": op, **added})
        return orjson.dumps({"op": op, "before": None, "after": after, "source": source})

    assert after(said("r", 10, FIRST), said("u", 12, LATE)).fields == {"price": 12}
    assert not after(said("r", 10, FIRST), said("d", None, LATE)).exists
    again = {**FIRST, "lsn": 26401000}
    assert after(said("r", 10, FIRST), said("u", 12, LATE), said("r", 14, again)).fields == {"price": 14}


def row(table: str, lsn: int, **columns: object) -> bytes:
    source = {"connector": "postgresql", "name": "shop", "db": "goods", "schema": "public", "table": table}
    after = {"product_id": 4601, **columns} if columns else None
    source |= {"lsn": lsn}
    return orjson.dumps({"op": "u" if columns else "d", "before": None, "after": after, "source": source})


@pytest.mark.parametrize("name", ["prices", "public.prices", "goods.prices", "goods.public.prices"])
def test_a_table_may_write_a_part_of_a_product_that_another_one_writes(name: str) -> None:
    def after(*values: bytes) -> Document:
        document = Document()
        for offset, value in enumerate(values):
            record = Record(Partition("catalogue.changes.v1", 0), offset, b'{"product_id":4601}', value, NOON)
            document = merge(document, reading_of(record, {name}).change).document
        return document

    teapot, price = row("products", 5000, title="teapot"), row("prices", 5100, price=25)
    renamed, gone = row("products", 5200, title="pot"), row("prices", 5300)
    assert after(teapot, price, renamed).fields == {"title": "pot", "price": 25}
    assert after(renamed, price, teapot).fields == {"title": "pot", "price": 25}
    without = after(teapot, price, renamed, gone)
    assert (without.exists, without.fields) == (True, {"title": "pot"})
    assert not after(price).exists
    assert not after(teapot, price, row("products", 5400)).exists


def test_a_table_that_nobody_named_writes_products() -> None:
    record = Record(Partition("catalogue.changes.v1", 0), 0, None, row("prices", 1, price=2), NOON)
    assert not reading_of(record, {"offers"}).change.stamp.partial
    assert not reading_of(record).change.stamp.partial


@pytest.mark.parametrize(
    "source",
    [
        {"connector": "postgresql", "lsn": "9" * 30},
        {"connector": "postgresql", "lsn": 2**64},
        {"connector": "mysql", "file": "bin." + "9" * 30, "pos": 4},
        {"connector": "other", "ts_ms": 2**63},
    ],
)
def test_a_place_that_no_database_has_is_refused_and_stops_nobody(source: dict[str, object]) -> None:
    """Nothing of more than 64 bits can be stored, so whoever merged it would stop."""
    value = json.dumps({"op": "c", "after": {"id": "p"}, "source": {"name": "s", **source}}).encode()
    with pytest.raises(WireError, match="does not fit in 64 bits"):
        read_change(key=b"p", value=value, headers=(), timestamp=NOON, offset=0)
