"""What a shard keeps of a product: texts and their words, state, vectors, and where it came from."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from schemas.base import FieldValue
from schemas.index import IndexRecord
from services.shards.part import Details, State, fragment
from services.shards.rows import Halves
from shared.catalogue.texts import words_in
from shared.retrieval.settings import TextSettings
from shared.retrieval.text import Analyzer


class ParsedProduct(NamedTuple):
    """A product as it is put into the head."""

    product_id: str
    offset: int
    epoch: int
    fields: Mapping[str, FieldValue]
    text: bytes
    """Its attributes with words, as a fragment of JSON."""
    state: State
    title: bytes
    """The terms of its title, eight bytes each; and of everything else."""
    body: bytes
    vectors: Halves


class ProductParser:
    """Reads products off their records, by what is title and what is not."""

    def __init__(self, settings: TextSettings) -> None:
        self._settings = settings
        self._analyzer = Analyzer()

    def product(self, record: IndexRecord, offset: int, vectors: Halves) -> ParsedProduct:
        """Return the product of an index record that lives."""
        fields = record.document.fields
        texts, attributes = split(fields)
        title, body = self._terms(texts)
        return ParsedProduct(
            record.product_id,
            offset,
            record.epoch,
            fields,
            fragment(texts),
            State.of(attributes, details_of(record)),
            title,
            body,
            vectors,
        )

    def _terms(self, texts: Mapping[str, FieldValue]) -> tuple[bytes, bytes]:
        title, body = list[str](), list[str]()
        for name, value in texts.items():
            words = title if self._settings.part_of(name) == "title" else body
            words.extend(words_in(value))
        return self._analyzer.of_texts(title), self._analyzer.of_texts(body)


def split(fields: Mapping[str, FieldValue]) -> tuple[dict[str, FieldValue], dict[str, FieldValue]]:
    """Return the attributes that have words, and those that have none."""
    texts = {name: value for name, value in fields.items() if has_words(value)}
    return texts, {name: value for name, value in fields.items() if name not in texts}


def has_words(value: FieldValue) -> bool:
    """Say whether there is a text in a value."""
    if isinstance(value, (tuple, list)):
        return any(isinstance(scalar, str) for scalar in value)
    return isinstance(value, str)


def details_of(record: IndexRecord) -> Details:
    """Return what is kept of a record beside its attributes and vectors."""
    source = record.source
    return Details(
        record.content_hash,
        tuple([(passage.start, passage.end) for passage in record.passages]),
        (source.topic, source.partition, source.offset),
        record.epoch,
        record.event_time,
        replace(record.document, fields={}),
    )
