"""Files of messages, judged in words: which message, on which line, what is wrong, and what to do."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from schemas.binary import is_binary
from schemas.catalogue import ProductChange
from schemas.index import IndexRecord
from schemas.search import SearchEvent, SearchQuery
from schemas.topics import TOPICS, TopicSpec, index_records
from schemas.wire import SkippedMessage, WireError, decode_event, decode_message, decode_query, read_change
from schemas.wire.errors import LeftOut
from schemas.wire.strict_json import parse

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_LINE = re.compile(r"at line (\d+)")
_NAME = re.compile(r"'([^']+)'")


class MessageSample(NamedTuple):
    """One message of a file, and the line it starts on."""

    line: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Fault(NamedTuple):
    """What is wrong with one message."""

    line: int
    reason: str
    explanation: str


class _Reading(NamedTuple):
    """A message's form, how many texts were cut, and the attributes that were left out."""

    form: str
    cut: int = 0
    left_out: tuple[LeftOut, ...] = ()


@dataclass
class ValidationReport:
    """What a file holds: messages, those refused, forms seen, attributes cut to 32 KiB or left out."""

    messages: int = 0
    faults: list[Fault] = field(default_factory=list)
    left_out: list[Fault] = field(default_factory=list)
    forms: Counter[str] = field(default_factory=Counter)
    cut: int = 0


def topic_named(name: str) -> TopicSpec:
    """Return the topic of that name, with or without a prefix; `KeyError` names those there are."""
    if IndexRecord.topic in name and not name.endswith(".dlq"):
        return index_records(name.rpartition(".")[2])
    for topic in TOPICS:
        if name == topic.name or name.endswith(topic.name):
            return topic
    raise KeyError(", ".join([*(topic.name for topic in TOPICS), f"{IndexRecord.topic}.<generation>"]))


Readable = Callable[[MessageSample], MessageSample]
"""Makes JSON of a message that names a schema; raises `WireError`."""


def validate(
    samples: Iterable[MessageSample], topic: TopicSpec, *, readable: Readable = lambda sample: sample
) -> ValidationReport:
    """Read every message as its worker would, and collect what is wrong."""
    report = ValidationReport()
    read = _reader(topic)
    for sample in samples:
        report.messages += 1
        try:
            form, cut, left_out = read(readable(sample))
        except SkippedMessage as message:
            report.forms[f"skipped {message.kind}"] += 1
        except WireError as error:
            report.faults.append(_fault(sample, error))
        else:
            report.forms[form] += 1
            report.cut += cut
            report.left_out += [_fault(sample, attribute) for attribute in left_out]
    return report


def split(text: bytes, *, key: bytes | None = None) -> Iterator[MessageSample]:
    """Return the messages of a file: one JSON document, one message a line, or one that is not text."""
    if text.startswith(b"\0") or is_binary(text):  # bytes that name a schema, or an index record
        yield MessageSample(1, key, text)
        return
    lines = text.splitlines()
    full = [number for number, line in enumerate(lines, 1) if line.strip()]
    if not full:
        return
    if len(full) > 1 and all(lines[number - 1].startswith(b"{") for number in full[:2]) and not _is_one(text):
        for number in full:
            yield MessageSample(number, key, lines[number - 1])
    else:
        yield MessageSample(1, key, text.removesuffix(b"\n"))


def split_kcat(text: bytes) -> Iterator[MessageSample]:
    """Return the messages of `kcat -C -J` output: key, payload and headers of each."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _of_kcat(number, line)


def _of_kcat(number: int, line: bytes) -> MessageSample:
    try:
        record = parse(line)
        names = record.get("headers") or []
        headers = tuple(
            (str(name), _bytes(value) or b"") for name, value in zip(names[::2], names[1::2], strict=False)
        )
        return MessageSample(number, _bytes(record.get("key")), _bytes(record["payload"]), headers)
    except (ValueError, KeyError, AttributeError, TypeError):
        return MessageSample(number, None, b"not a line of 'kcat -J'")


def _bytes(text: Any) -> bytes | None:  # Any: JSON
    return None if text is None else str(text).encode()


def _is_one(text: bytes) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _reader(topic: TopicSpec) -> Callable[[MessageSample], _Reading]:
    """Return what reads one message of the topic."""
    if topic.message is ProductChange:
        return _read_change
    if topic.message is SearchQuery:
        return lambda sample: _Reading(type(decode_query(sample.value, timestamp=_NO_TIME)).__name__)
    if topic.message is SearchEvent:
        return lambda sample: _Reading(type(decode_event(sample.value)).__name__)
    return lambda sample: _Reading(type(decode_message(topic.message, sample.value)).__name__)


def _read_change(sample: MessageSample) -> _Reading:
    reading = read_change(
        key=sample.key, value=sample.value, headers=sample.headers, timestamp=_NO_TIME, offset=sample.line
    )
    return _Reading(reading.form, len(reading.cut), reading.left_out)


def _fault(sample: MessageSample, error: WireError | LeftOut) -> Fault:
    return Fault(_line(sample, error.explanation), error.reason, error.explanation)


def _line(sample: MessageSample, explanation: str) -> int:
    """Return the line to look at: the parser's, else that of the name at fault, else the message's first."""
    value = sample.value or b""
    stated = _LINE.search(explanation)
    if stated is not None:
        return sample.line + int(stated.group(1)) - 1
    named = _NAME.search(explanation)
    if named is not None and b"\n" in value:
        position = value.find(f'"{named.group(1).rpartition(".")[2]}"'.encode())
        return sample.line + (value.count(b"\n", 0, position) if position >= 0 else 0)
    return sample.line
