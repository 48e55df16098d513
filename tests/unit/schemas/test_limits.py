"""What is accepted up to its limit, and refused one beyond."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.base import (
    MAX_ATTRIBUTES,
    MAX_MESSAGE_BYTES,
    MAX_TEXT_BYTES,
    MAX_VERSION,
    Fingerprint,
    GenerationName,
    Identifier,
    Message,
    ProductId,
    Timestamp,
)
from schemas.filters import MAX_VALUES, Filter
from schemas.golden import golden
from schemas.search import MAX_ORDINAL, foreign_id
from schemas.wire import DecodedChange, WireError, decode_event, decode_query, read_change
from schemas.wire.strict_json import parse_object
from tests.unit.schemas.strategies import MESSAGES

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TYPES = sorted(MESSAGES, key=lambda kind: kind.__name__)


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def change(**stated: object) -> Any:
    value = json.dumps({"product_id": "P-1", "op": "upsert", "fields": {}, **stated}).encode()
    return decode(value).change


def decode(value: bytes) -> DecodedChange:
    return read_change(key=None, value=value, headers=(), timestamp=NOW, offset=0)


def left_out(**fields: object) -> Any:
    """Return the name and the reason of the one attribute that is left out."""
    value = json.dumps({"product_id": "P-1", "op": "upsert", "fields": fields}).encode()
    ((attribute, reason, _),) = decode(value).left_out
    return attribute, reason


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Identifier, ["!", "~", "x" * 128, "a/b:c"], ["", " ", "x" * 129, "a b", "é", "a\n", "\x7f"]),
        (
            ProductId,
            ["!", " ", "x" * 128, "a b", "é" * 64, "靴", "\u2028"],
            ["", "x" * 129, "é" * 65, "a\n", "a\t", "\x7f", "\x85"],
        ),
        (GenerationName, ["g", "1", "g" * 32, "g-1-"], ["", "-g", "G1", "g_1", "g" * 33, "g1\n"]),
        (Fingerprint, ["0" * 16, "0123456789abcdef"], ["0" * 15, "0" * 17, "0123456789ABCDEF", "g" * 16]),
    ],
    ids=["identifier", "product id", "generation", "fingerprint"],
)
def test_names_are_what_their_pattern_says_from_end_to_end(kind, good, bad):
    assert [value for value in good if not accepts(kind, value)] == []
    assert [value for value in bad if accepts(kind, value)] == []


def test_a_message_may_have_so_many_bytes_and_not_one_more():
    start = b'{"a":"'
    fits = start + b"x" * (MAX_MESSAGE_BYTES - len(start) - 2) + b'"}'
    assert len(fits) == MAX_MESSAGE_BYTES
    assert parse_object(fits)
    with pytest.raises(WireError, match=r"message\.too_large.*262145 bytes"):
        parse_object(fits + b" ")
    assert parse_object(fits + b" ", limit=None)


def test_a_product_may_have_so_many_attributes_and_not_one_more():
    fields = {f"a{number}": 1 for number in range(MAX_ATTRIBUTES)}
    assert len(change(fields=fields).fields) == MAX_ATTRIBUTES
    assert left_out(**fields, **{"one more": 1}) == ("one more", "field.too_many")


def test_a_name_may_have_256_characters_at_each_level():
    assert change(fields={"n" * 256: {"m" * 256: 1}}).fields == {f"{'n' * 256}.{'m' * 256}": 1}
    assert left_out(n={"m" * 257: 1}) == ("n." + "m" * 254, "field.name_invalid")


def test_whole_numbers_have_64_bits():
    edges = {"low": -(2**63), "high": 2**63 - 1}
    assert change(fields=edges).fields == edges
    for beyond in (-(2**63) - 1, 2**63):
        assert left_out(list=[1, {"deep": beyond}]) == ("list.deep", "field.number_too_large")


@pytest.mark.parametrize("version", [0, MAX_VERSION, "0", "007", str(MAX_VERSION)])
def test_versions_run_from_nothing_to_two_to_the_63(version):
    assert change(version=version).version == int(version)


@pytest.mark.parametrize(
    "version", [-1, "-1", "+1", " 1", "1 ", "1e3", "", True, 1.0, [1], str(MAX_VERSION + 1)]
)
def test_what_is_no_version_is_refused(version):
    with pytest.raises(WireError, match=r"version\.invalid"):
        change(version=version)


def test_text_is_kept_to_the_last_byte_of_the_limit():
    for text in ("x" * MAX_TEXT_BYTES, "é" * (MAX_TEXT_BYTES // 2), "🥂" * (MAX_TEXT_BYTES // 4)):
        assert change(fields={"title": text}).fields["title"] == text
        assert change(fields={"title": text + "x"}).fields["title"] == text


def test_a_character_that_straddles_the_limit_is_left_out_whole():
    kept = change(fields={"title": "x" + "🥂" * (MAX_TEXT_BYTES // 4)}).fields["title"]
    assert kept == "x" + "🥂" * (MAX_TEXT_BYTES // 4 - 1)


@pytest.mark.parametrize("ordinal", [0, 1, MAX_ORDINAL])
def test_positions_up_to_the_limit_are_kept_and_others_are_none(ordinal):
    def kept(position: int) -> int | None:
        attributes = {"position": {"ordinal": position}}
        event = {"action_name": "click", "timestamp": 1, "event_attributes": attributes}
        where = decode_event(json.dumps(event).encode()).event_attributes.position
        return where.ordinal if where else None

    assert kept(ordinal) == ordinal
    assert kept(-1 - ordinal) is None
    assert kept(MAX_ORDINAL + 1 + ordinal) is None


@pytest.mark.parametrize("name", ["client_id", "session_id", "user_id", "application", "query_id"])
def test_texts_of_ubi_have_100_characters(name):
    query = {"query_id": "q", "user_query": "shoe", "timestamp": 1}
    assert getattr(decode_query(json.dumps({**query, name: "ä" * 100}).encode()), name) == "ä" * 100
    with pytest.raises(WireError, match=rf"field\.too_long: '{name}'"):
        decode_query(json.dumps({**query, name: "ä" * 101}).encode())


@given(st.text(max_size=300))
def test_any_object_id_of_ubi_becomes_a_product_id_that_stays_as_it_is(value):
    encoded = foreign_id(value)
    if value:
        assert accepts(ProductId, encoded)
    assert foreign_id(encoded) == encoded


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_ids_that_had_to_be_encoded_stay_apart(one, other):
    if one != other and not accepts(ProductId, one) and not accepts(ProductId, other):
        assert foreign_id(one) != foreign_id(other)


def test_a_filter_takes_so_many_values_and_not_one_more():
    assert accepts(Filter, {"op": "in", "field": "a", "values": ["x"] * MAX_VALUES})
    assert not accepts(Filter, {"op": "in", "field": "a", "values": ["x"] * (MAX_VALUES + 1)})
    assert accepts(Filter, {"op": "term", "field": "f" * 256, "value": 1})
    assert not accepts(Filter, {"op": "term", "field": "f" * 257, "value": 1})


# Times


@given(moment=st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), hours=st.integers(-23, 23))  # noqa: DTZ001 - the offset follows
def test_a_time_is_kept_in_utc_whatever_its_offset(moment, hours):
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    read = TypeAdapter(Timestamp).validate_python(aware)
    assert read == aware
    assert read.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("2026-01-31T12:00:00Z", True),
        ("2026-01-31T12:00:00.123456789Z", True),
        ("2026-01-31T12:00:00+05:30", True),
        ("2026-01-31T12:00:00", False),
        ("0001-01-01T00:00:00+00:01", False),
        ("9999-12-31T23:59:59-00:01", False),
        ("2026-13-01T00:00:00Z", False),
        (1_767_225_600_000, True),
    ],
)
def test_a_time_has_an_offset_and_a_place_in_the_calendar(value, good):
    assert accepts(Timestamp, value) is good


# Every message


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_no_message_is_changed_after_it_was_made(kind: type[Message]):
    message = kind.decode(golden(kind.topic))
    for name in kind.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(message, name, None)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_what_is_at_its_default_is_left_out_on_the_wire(kind: type[Message]):
    sample = json.loads(golden(kind.topic))
    needed = {field.alias or name for name, field in kind.model_fields.items() if field.is_required()}
    least = kind.decode(json.dumps({name: sample[name] for name in needed}).encode())
    assert json.loads(least.as_json()).keys() == needed


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_no_message_does_without_what_it_requires(kind: type[Message]):
    sample = json.loads(golden(kind.topic))
    for name, field in kind.model_fields.items():
        if field.is_required():
            value = json.dumps({key: sample[key] for key in sample if key != (field.alias or name)})
            with pytest.raises(ValidationError, match="Field required"):
                kind.decode(value.encode())


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_no_message_has_a_number_that_is_not_finite(kind: type[Message], number: str):
    sample = json.loads(golden(kind.topic))
    for name, value in sample.items():
        if type(value) is float:
            text = json.dumps({**sample, name: float(number.replace("Infinity", "inf"))})
            with pytest.raises(ValidationError):
                kind.decode(text.encode())
