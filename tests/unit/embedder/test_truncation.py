"""A truncate means a delete of each row that was in its table, at the very place where it happened."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import milliseconds
from schemas.catalogue import Document
from services.embedder.domain.truncation import Truncation
from shared.catalogue.acceptances import Accepted
from shared.catalogue.changes import ChangeReader
from shared.catalogue.documents import EMPTY, merge
from shared.errors import ConfigurationError
from shared.records import Partition, Record

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT = Partition("catalogue.changes.v1", 0)
SHOP = {"connector": "postgresql", "name": "shop", "db": "goods", "schema": "public"}
READER = ChangeReader()


def place(lsn: int, table: str = "products") -> dict[str, object]:
    return {**SHOP, "table": table, "lsn": lsn}


def record(second: int, key: str | None, value: object) -> Record:
    return Record(
        AT, second, key and key.encode(), orjson.dumps(value), NOON + timedelta(seconds=second), appended=True
    )


def row(second: int, lsn: int, product_id: str, table: str = "products", **columns: object) -> Record:
    after = {"product_id": product_id, **columns} if columns else None
    before = None if columns else {"product_id": product_id}
    value = {"op": "u" if columns else "d", "before": before, "after": after, "source": place(lsn, table)}
    return record(second, product_id, value)


def truncate(second: int, source: dict[str, object]) -> Record:
    return record(second, None, {"op": "t", "source": source})


def deletes(
    at: Record, source: dict[str, object], log: Sequence[Record], reader: ChangeReader = READER
) -> list[Record]:
    """Return the deletes as they are appended after all that is there."""
    truncation = Truncation(at, source, reader)
    for one in log:
        if one is not at:
            truncation.take(reader.read(one))
    return [
        Record(AT, 1000 + number, one.key, one.value, NOON + timedelta(seconds=1000 + number), appended=True)
        for number, one in enumerate(truncation.deletes())
    ]


def products(log: Sequence[Record], reader: ChangeReader = READER) -> dict[str, Document]:
    documents: dict[str, Document] = {}
    for one in log:
        change = reader.read(one).change
        before = documents.get(change.product_id, EMPTY)
        documents[change.product_id] = merge(before, change).document
    return documents


EMPTIED = truncate(5, place(500))
LOG = [
    row(1, 100, "lamp", title="lamp"),
    row(2, 200, "sofa", title="sofa"),
    row(3, 300, "gone", title="gone"),
    row(4, 400, "gone"),
    row(4, 410, "shelf", table="furniture", title="shelf"),
    record(4, "rug", {"product_id": "rug", "op": "upsert", "version": 3, "fields": {"title": "rug"}}),
    row(6, 600, "sofa", title="new sofa"),
]


@given(st.randoms(use_true_random=False))
def test_what_was_in_the_table_is_gone_and_what_came_after_stays(rng: Random) -> None:
    published = deletes(EMPTIED, place(500), LOG)
    assert [one.key for one in published] == [b"lamp"]
    shuffled = [*LOG, *published, *published]
    rng.shuffle(shuffled)
    exist = {name for name, document in products(shuffled).items() if document.exists}
    assert exist == {"sofa", "shelf", "rug"}
    assert deletes(EMPTIED, place(500), [*LOG, *published]) == [], "a second run has nothing to do"


def test_a_row_that_is_inserted_while_its_delete_is_on_its_way_stays() -> None:
    published = deletes(EMPTIED, place(500), LOG)
    back = row(2000, 700, "lamp", title="lamp again")
    assert products([*LOG, back, *published])["lamp"].fields == {"title": "lamp again"}


def test_a_part_loses_its_own_fields_only() -> None:
    reader = ChangeReader(frozenset({"prices"}))
    emptied = truncate(5, place(500, "prices"))
    log = [row(1, 100, "lamp", title="lamp"), row(2, 200, "lamp", table="prices", price=5)]
    [delete] = deletes(emptied, place(500, "prices"), log, reader)
    assert products([*log, delete], reader)["lamp"].fields == {"title": "lamp"}


@pytest.mark.parametrize("product_id", ['{"sku":"A","size":4}', "7", '"quoted"', "Struct{a=b}", "STÜHLE 1"])
def test_any_id_is_named_as_it_is(product_id: str) -> None:
    value = {"op": "u", "before": None, "after": {"product_id": product_id, "title": "a"}, "source": place(1)}
    written = record(1, None, value)
    assert READER.read(written).change.product_id == product_id
    [delete] = deletes(EMPTIED, place(500), [written])
    assert not products([written, delete])[product_id].exists


def test_rows_that_another_server_of_the_cluster_wrote_since_stay() -> None:
    def source(uuid: str, number: int) -> dict[str, object]:
        gtid = f"{uuid}:{number}"
        return {"connector": "mysql", "name": "shop", "db": "goods", "table": "p", "gtid": gtid, "pos": 4}

    def written(second: int, product_id: str, block: dict[str, object]) -> Record:
        row = {"product_id": product_id, "title": "a"}
        return record(second, product_id, {"op": "c", "before": None, "after": row, "source": block})

    emptied = truncate(5, source("aa", 50))
    log = [
        written(1, "lamp", source("aa", 10)),
        written(2, "sofa", source("before", 9000)),
        written(6, "rug", source("bb", 1)),
    ]
    assert [one.key for one in deletes(emptied, source("aa", 50), log)] == [b"lamp", b"sofa"]


def test_a_truncate_without_a_place_or_of_a_source_that_went_back_since_is_refused() -> None:
    later = NOON + timedelta(hours=1)
    Truncation(EMPTIED, place(500), READER).check(later)
    with pytest.raises(ConfigurationError, match="where in its database"):
        Truncation(EMPTIED, {"table": "products"}, READER).check(later)
    accepted = Accepted("debezium/postgresql/shop", milliseconds(NOON + timedelta(minutes=1)))
    with pytest.raises(ConfigurationError, match="accepted anew after the truncate"):
        Truncation(EMPTIED, place(500), ChangeReader(acceptances=frozenset({accepted}))).check(later)
