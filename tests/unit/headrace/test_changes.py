"""What is a change, what is refused before anything is sent, and how much is in memory meanwhile."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from headrace.changes import AT_ONCE, WriteReceipt, outgoing, portions
from headrace.errors import ChangeRefusedError
from schemas.catalogue import ProductChange

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def upsert(**parts: object) -> dict[str, object]:
    return {"product_id": "p1", "op": "upsert", "fields": {"title": "red shoe"}, **parts}


def test_a_change_is_written_as_it_is_stated() -> None:
    message = outgoing(0, upsert(version=3, event_time=NOW))
    assert (message.topic, message.key) == ("catalogue.changes.v1", b"p1")
    assert json.loads(message.value or b"") == {
        "product_id": "p1",
        "op": "upsert",
        "version": 3,
        "event_time": "2026-11-21T12:00:00+00:00",
        "fields": {"title": "red shoe"},
    }
    model = ProductChange(product_id="p1", op="delete", version=4, event_time=NOW)
    assert outgoing(0, model).value == model.encode()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal(12), 12),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array([1, 2]), [1, 2]),
        (date(2026, 11, 21), "2026-11-21"),
        (("a", "b"), ["a", "b"]),
        ({"b", "a"}, ["a", "b"]),
        ({"name": "A"}, {"name": "A"}),
        (None, None),
    ],
)
def test_what_programs_have_becomes_what_json_has(value: object, written: object) -> None:
    message = outgoing(0, upsert(fields={"x": value}))
    assert json.loads(message.value or b"")["fields"]["x"] == written


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (upsert(op="replace"), "op.unknown"),
        (upsert(op=None), "op.missing"),
        ({"op": "delete"}, "product_id"),
        (upsert(product_id=""), "id"),
        (upsert(product_id="a\nb"), "id.invalid"),
        (upsert(version=-1), "version.invalid"),
        (upsert(version=True), "version.invalid"),
        (upsert(event_time="yesterday"), "time.invalid"),
        (upsert(event_time=datetime(2026, 11, 21)), "no offset"),  # noqa: DTZ001 - that is it
        (upsert(fields=None), "fields.missing"),
        (upsert(fields=[1]), "fields.invalid"),
        (upsert(fields={"price": float("nan")}), "JSON"),
        (upsert(fields={"price": 2**70}), "field.number_too_large"),
        (upsert(fields={"image": b"\x00"}), "bytes"),
        (upsert(fields={"title": "\ud800"}), "JSON"),
        (upsert(fields={f"f{number}": 1 for number in range(101)}), "field.too_many"),
        (upsert(fields={"title": "x" * 300_000}), "message.too_large"),
        (upsert(verison=1), "'verison' is no part of a change"),
        ("SHOE-1", "ProductChange"),
    ],
)
def test_what_is_no_change_is_refused_by_name(change: object, told: str) -> None:
    with pytest.raises(ChangeRefusedError) as refused:
        outgoing(7, change)  # type: ignore[arg-type]  # that is it
    assert told in str(refused.value)
    assert str(refused.value).startswith("change 7 (")
    assert "nothing was sent" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_of_a_list_all_are_checked_before_the_first_is_sent() -> None:
    changes = [upsert() for _ in range(2 * AT_ONCE)] + [upsert(op="replace")]
    with pytest.raises(ChangeRefusedError, match=f"change {2 * AT_ONCE} "):
        next(portions(changes))


def test_of_a_generator_no_more_than_a_portion_is_taken_before_it_is_sent() -> None:
    taken = 0

    def changes() -> Iterator[dict[str, object]]:
        nonlocal taken
        while True:
            taken += 1
            yield upsert()

    written = portions(changes())
    for portion in (1, 2, 3):
        assert len(next(written)) == AT_ONCE
        assert taken == portion * AT_ONCE


def test_large_changes_are_fewer_at_a_time() -> None:
    big = upsert(fields={"title": "x", **{f"f{number}": "x" * 30_000 for number in range(8)}})
    sizes = [len(portion) for portion in portions(big for _ in range(30))]
    assert sum(sizes) == 30
    assert max(sizes) == 9


def test_receipts_add_up_and_are_texts() -> None:
    both = WriteReceipt({0: 5, 1: 7}, 3, 2) | WriteReceipt({1: 6, 2: 1}, 2, 4)
    assert both == WriteReceipt({0: 5, 1: 7, 2: 1}, 5, 4)
    assert WriteReceipt.parse(str(both)) == both
    for text in ("[]", "{}", '{"offsets": 1}', "x"):
        with pytest.raises(ValueError, match=r"receipt|Expecting"):
            WriteReceipt.parse(text)
