"""`headrace dlq list | show | replay`: which letters are meant, and how their bytes are shown."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli import dlq
from shared.errors import ConfigurationError, PoisonError
from shared.records import Partition, Record
from shared.settings import Settings
from shared.streaming.dead_letter_topic import Letter, LetterSelection, dead_letter_topics, topic_of
from shared.streaming.dead_letters import headers
from tests.schema_registries import register, stand_in

TOPIC = "catalogue.changes.v1"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def letter(
    value: bytes | None = b"{", *, reason: str = "json.invalid", offset: int = 3, key: bytes | None = b"k"
) -> Letter:
    poison = Record(Partition(TOPIC, 1), 7, key, value, NOON, (("ce_id", b"e1"), ("raw", b"\xfe\xff")))
    error = PoisonError(reason, "it ends too soon")
    written = headers(poison, error, reader="embedder-g1", by=Record)
    return Letter(Record(Partition(f"{TOPIC}.dlq", 0), offset, key, value, NOON, written))


def test_a_letter_says_where_it_was_read_and_why_it_could_not_be_used() -> None:
    assert (letter().topic, letter().reason, letter().source) == (TOPIC, "json.invalid", f"{TOPIC}-1 @ 7")
    assert letter().error_header("connector.name") == "headrace-embedder-g1"


def test_a_letter_that_names_a_schema_is_shown_in_json_too(capsys) -> None:
    with stand_in() as site:
        schema_id = register(site.url, "s", "AVRO", '"string"')
        settings = Settings(registry={"url": site.url})
        for number, shown in (
            (schema_id, '"Lamp"'),
            (9, "schema.unknown: the schema registry has no schema 9"),
        ):
            record = letter(b"\0" + number.to_bytes(4, "big") + b"\x08Lamp").record
            dlq._show_as_json(settings, record)
            assert shown in capsys.readouterr().out
        dlq._show_as_json(settings, letter().record)
        assert capsys.readouterr().out == ""


def test_a_letter_of_a_foreign_writer_says_what_is_known() -> None:
    foreign = Letter(Record(Partition(f"{TOPIC}.dlq", 0), 0, None, b"x", NOON))
    assert (foreign.topic, foreign.reason, foreign.source) == (TOPIC, "unknown", f"{TOPIC}-? @ ?")
    assert foreign.message().partition is None


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=50),
    reason=st.sampled_from(["json.invalid", "schema.invalid"]),
)
def test_what_is_written_back_is_the_message_byte_for_byte(key, value, reason) -> None:
    message = letter(value, reason=reason, key=key).message()
    assert (message.topic, message.partition, message.key, message.value) == (TOPIC, 1, key, value)
    assert message.headers == (("ce_id", b"e1"), ("raw", b"\xfe\xff"))


@given(
    offsets=st.frozensets(st.integers(0, 5)),
    reason=st.sampled_from(["", "a", "b"]),
    letters=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b"])), max_size=8),
)
def test_a_selection_takes_what_each_of_its_conditions_takes(offsets, reason, letters) -> None:
    selection = LetterSelection(offsets, reason)
    taken = [(offset, why) for offset, why in letters if selection(letter(offset=offset, reason=why))]
    assert taken == [
        (offset, why)
        for offset, why in letters
        if (not offsets or offset in offsets) and (not reason or why == reason)
    ]


def test_an_empty_selection_takes_everything() -> None:
    assert LetterSelection()(letter())


def test_a_topic_is_named_with_or_without_its_suffix() -> None:
    assert topic_of(TOPIC, Settings()) == topic_of(f"{TOPIC}.dlq", Settings()) == f"{TOPIC}.dlq"
    assert topic_of(TOPIC, Settings()) in dead_letter_topics(Settings())


def test_a_topic_without_dead_letters_is_an_error_that_names_those_that_have() -> None:
    with pytest.raises(ConfigurationError, match=r"catalogue\.changes\.v1\.dlq"):
        topic_of("alerts.v1", Settings())


@pytest.mark.parametrize("command", [("list",), ("show",), ("replay", "--all")])
def test_a_topic_that_has_no_letters_is_refused_before_anything_is_asked(headrace, command) -> None:
    done = headrace("dlq", command[0], "alerts.v1", *command[1:])
    assert done.code == 2
    assert done.error.startswith("alerts.v1 has no dead letters; topics that have: ")


def test_a_replay_must_say_which_letters(headrace) -> None:
    done = headrace("dlq", "replay", TOPIC)
    assert (done.code, done.error) == (2, "say which letters: --offset N, --reason CODE, or --all")


@pytest.mark.parametrize("limit", ["0", "10001"])
def test_a_replay_has_a_limit(headrace, limit) -> None:
    done = headrace("dlq", "replay", TOPIC, "--all", "--limit", limit)
    assert done.code == 2
    assert "--limit" in done.usage


def test_without_a_broker_the_error_is_one_line(headrace) -> None:
    done = headrace("dlq", "list")
    assert done.code == 1
    assert "127.0.0.1" in done.error


@given(st.binary(min_size=1, max_size=70))
def test_a_hexadecimal_dump_holds_every_byte(value: bytes) -> None:
    dump = dlq.hexadecimal(value).splitlines()
    assert bytes.fromhex("".join(line[10:57] for line in dump)) == value
    assert [int(line[:8], 16) for line in dump] == list(range(0, len(value), 16))
    assert max(map(len, dump)) <= 80


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"]), max_size=40))
def test_printable_text_is_shown_as_it_is(text: str) -> None:
    shown = dlq._text(text.encode())
    assert shown == text or not all(c.isprintable() for c in text)


@pytest.mark.parametrize("value", [b"\xff\x00{", b"a\x00b", b"\x1b[31mred"])
def test_what_is_no_text_or_would_move_the_terminal_is_shown_in_hexadecimal(value: bytes) -> None:
    assert dlq._text(value).startswith("00000000  ")


def test_a_letter_as_json_has_its_keys_and_its_bytes() -> None:
    shown = json.loads(json.dumps(dlq._as_json(letter(b"\xff{"))))
    keys = {"topic", "partition", "offset", "timestamp", "reason", "source", "headers", "key_hex", "cut"}
    assert set(shown) == keys | {"value_hex", "value_text"}
    assert (shown["key_hex"], shown["value_hex"]) == ("6b", "ff7b")
    assert ["ce_id", "e1"] in shown["headers"]
    nothing = dlq._as_json(letter(None, key=None))
    assert (nothing["key_hex"], nothing["value_hex"], nothing["value_text"]) == (None, None, None)


def test_the_table_has_a_row_a_letter_without_repeating_the_reason(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    listing = dlq._listing([letter(offset=3), letter(offset=9, reason="schema.invalid")])
    listing.show(dlq.Terminal(), empty="")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "offset when reason read at"
    assert lines[1:3] == [f"3 2026-11-20 12:00:00 json.invalid {TOPIC}-1 @ 7", "it ends too soon"]
    assert lines[3].startswith("9 ")


def test_a_letter_is_shown_whole(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    dlq._show_whole(letter(b"x" * 5000, key=None))
    shown = capsys.readouterr().out
    for part in (f"{TOPIC}.dlq-0 @ 3", "json.invalid", "connector.name", "key, none", "value, 5,000 bytes"):
        assert part in shown
    assert shown.count("x" * 90) < 5000 / 90, "a long value is cut"
