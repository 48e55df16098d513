"""Moments as numbers, ids in paths."""

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given

from schemas.base import EPOCH, MILLISECOND, in_path, is_product_id, milliseconds
from tests.unit.schemas.strategies import moments, product_ids


@given(moments)
def test_milliseconds_are_read_back_as_the_moment(moment: datetime) -> None:
    assert EPOCH + milliseconds(moment) * MILLISECOND == moment


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("1970-01-01T00:00:00.001999Z", 1),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2026-11-29T01:00:00+01:00", None),
    ],
)
def test_milliseconds_are_whole_and_count_down_before_1970(moment: str, number: int | None) -> None:
    parsed = datetime.fromisoformat(moment)
    wanted = int(parsed.astimezone(UTC).timestamp() * 1000) if number is None else number
    assert milliseconds(parsed) == wanted


@given(product_ids)
def test_an_id_in_a_path_is_one_segment_in_ascii_and_read_back_as_it_was(product_id: str) -> None:
    assert is_product_id(product_id)
    segment = in_path(product_id)
    assert segment.isascii()
    assert "/" not in segment
    assert segment.strip(".")
    assert unquote(segment) == product_id
