"""The text side of a shard: BM25, attribute filters and stored documents, in one Tantivy index.

Tantivy 0.27 cannot range over JSON attributes (its Python binding refuses, its parser panics on floats),
so each value is one term that sorts as the value does (`domain.filters`), and a range is a range of terms.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tantivy
from tantivy import Occur, Query

from schemas.filters import Filter, RangeFilter, TermFilter
from services.shards.domain.filters import FLAG, NUMBER, STRING, kind, prefix, term, terms
from services.shards.files import Files
from services.shards.rows import Integers
from services.shards.settings import LexicalSettings
from shared.catalogue.plain_text import normal_form
from shared.catalogue.texts import words_in
from shared.disk import pause_of
from shared.errors import FatalError
from shared.retrieval.text import TOKENIZER, add_fields, analyzer, words_query

ENGINE = f"tantivy-{tantivy.__version__}/2"
"""1: words as they came, and nothing stored of a document but what is visible."""
META = "meta.json"
AFTER = {NUMBER: "o", STRING: "t", FLAG: "w"}
"""The letter behind each kind: the open end of a range of its terms."""
LINK_ATTEMPTS = 20


class Text(NamedTuple):
    """A product as the text index takes it: the record's offset, its attributes, and what to store."""

    product_id: str
    offset: int
    fields: dict[str, Any]  # Any: attribute values as the record has them
    shown: bytes
    """What is said of the product, as JSON on one line."""
    revisions: bytes = b""
    """What its document has beside its visible fields."""


def _schema() -> Any:  # Any: tantivy's module is not typed for mypy
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("offset", indexed=True, fast=True)
    add_fields(builder)
    builder.add_text_field("attributes", tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field("stored", stored=True)
    return builder.build()


SCHEMA = _schema()


@dataclass(frozen=True, slots=True)
class LexicalReader:
    """The index as one commit left it; any number of threads may search it."""

    index: Any  # Any: tantivy has no types for mypy
    searcher: Any
    analyzer: Any
    title_boost: float

    @property
    def documents(self) -> int:
        """How many products there are."""
        return int(self.searcher.num_docs)

    def search(
        self, text: str, k: int, *, filters: Sequence[Filter] = (), offsets: Integers | None = None
    ) -> list[tuple[int, float]]:
        """Return (record offset, BM25 score), best first; words joined by OR; never raises for its text."""
        words = self._words(text)
        if words is None or k <= 0 or (offsets is not None and not offsets.size):
            return []
        clauses = [(Occur.Must, words), *self._clauses(filters)]
        if offsets is not None:
            among = Query.term_set_query(SCHEMA, "offset", offsets.tolist())
            clauses.append((Occur.Must, Query.const_score_query(among, 0.0)))
        hits = self.searcher.search(Query.boolean_query(clauses), max(1, k), count=False).hits
        places = self.searcher.fast_field_values("offset", [address for _, address in hits])
        return [(int(offset), float(score)) for offset, (score, _) in zip(places, hits, strict=True)]

    def matching(self, filters: Sequence[Filter]) -> Integers:
        """Return the record offsets of all products that pass every filter, ascending."""
        query = Query.boolean_query([(Occur.Must, Query.all_query()), *self._clauses(filters)])
        hits = self.searcher.search(query, max(1, self.documents), count=False).hits
        values = self.searcher.fast_field_values("offset", [address for _, address in hits])
        return np.sort(np.array(values, np.int64))

    def has(self, field: str, letter: str) -> bool:
        """Say whether a product has a value of that attribute and kind (`domain.filters`)."""
        start = prefix(field)
        some = self.index.parse_query(
            f"attributes:[{start}{letter} TO {start}{AFTER[letter]}}}", ["attributes"]
        )
        return bool(self.searcher.search(Query.const_score_query(some, 0.0), 1, count=False).hits)

    def stored(self, offsets: Integers) -> dict[int, bytes]:
        """Return what was stored with the records at these offsets (those that live)."""
        if not offsets.size:
            return {}
        query = Query.term_set_query(SCHEMA, "offset", offsets.tolist())
        return {offset: shown for offset, shown, _ in self._fetch(query, offsets.size)}

    def everything(self) -> Iterator[tuple[int, bytes]]:
        """Give every living product: record offset and what was stored."""
        for offset, shown, _ in self._fetch(Query.all_query(), self.documents):
            yield offset, shown

    def product(self, product_id: str) -> tuple[int, bytes] | None:
        """Return (record offset, what was stored) of one product; None when it is not here."""
        for offset, shown, _ in self._fetch(Query.term_query(SCHEMA, "id", product_id), 1):
            return offset, shown
        return None

    def merged(self, product_ids: Sequence[str]) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield of these products those that live: record offset, what was stored, and the revisions."""
        if product_ids:
            query = Query.term_set_query(SCHEMA, "id", list(product_ids))
            yield from self._fetch(query, len(product_ids))

    def _fetch(self, query: Any, limit: int) -> Iterator[tuple[int, bytes, bytes]]:
        hits = self.searcher.search(query, max(1, limit), count=False).hits
        addresses = [address for _, address in hits]
        places = self.searcher.fast_field_values("offset", addresses)
        for offset, address in zip(places, addresses, strict=True):
            stored = bytes(self.searcher.doc(address).get_first("stored"))
            shown, _, revisions = stored.partition(b"\n")
            yield int(offset), shown, revisions

    def _words(self, text: str) -> Any:
        return words_query(SCHEMA, self.analyzer.analyze(normal_form(text)), title_boost=self.title_boost)

    def _clauses(self, filters: Sequence[Filter]) -> list[tuple[Any, Any]]:
        queries = [query for condition in filters for query in self._conditions(condition)]
        return [(Occur.Must, Query.const_score_query(query, 0.0)) for query in queries]

    def _conditions(self, condition: Filter) -> list[Any]:
        if isinstance(condition, RangeFilter):
            return self._range(condition)
        wanted = (condition.value,) if isinstance(condition, TermFilter) else condition.values
        wanted_terms = [term(condition.field, value) for value in wanted]
        possible = [wanted_term for wanted_term in wanted_terms if wanted_term is not None]
        return [Query.term_set_query(SCHEMA, "attributes", possible) if possible else Query.empty_query()]

    def _range(self, condition: RangeFilter) -> list[Any]:
        """One range of terms; the bounds are hexadecimal words, so the parser meets no syntax of a user's."""
        bounds = dict(condition.bounds())
        letter = kind(next(iter(bounds.values())))
        start = prefix(condition.field)
        low, high = f"[{start}{letter}", f"{start}{AFTER[letter]}}}"
        lows, highs = [low], [high]
        for name, bound in bounds.items():
            limit = term(condition.field, bound)
            if limit is None:
                return [Query.empty_query()]
            if name in {"gte", "gt"}:
                lows.append(("[" if name == "gte" else "{") + limit)
            else:
                highs.append(limit + ("]" if name == "lte" else "}"))
        tightest = (max(lows, key=_low_order), min(highs, key=_high_order))
        return [self.index.parse_query(f"attributes:{tightest[0]} TO {tightest[1]}", ["attributes"])]


def _low_order(bound: str) -> tuple[str, bool]:
    return bound[1:], bound[0] == "{"


def _high_order(bound: str) -> tuple[str, bool]:
    return bound[:-1], bound[-1] == "]"


class LexicalIndex:
    """The one writer of a shard's text index, in a working directory of its own."""

    def __init__(self, directory: Path, settings: LexicalSettings) -> None:
        self.directory = directory
        self._settings = settings
        self._index = tantivy.Index(SCHEMA, path=str(directory))
        self._analyzer = analyzer()
        self._index.register_tokenizer(TOKENIZER, self._analyzer)
        self._writer = self._index.writer(settings.heap_mib << 20, 1)
        self._failed = False
        self._reader = self._read()

    def reader(self) -> LexicalReader:
        """Return the last commit."""
        return self._reader

    def replace(self, gone: Iterable[str], products: Iterable[Text]) -> None:
        """Take out every product of `gone`, add `products`, commit: all or (when it raises) nothing.

        Raises `TransientError` when the disk takes no more.
        """
        with self._committing():
            for product_id in gone:
                self._writer.delete_documents_by_term("id", product_id)
            for product in products:
                self._writer.add_document(self._document(product))
            self._writer.commit()
        self._reader = self._read()

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Commit, or roll back: after a failed commit Tantivy takes more, calls it done, and drops it."""
        try:
            if self._failed:
                self._writer.rollback()
                self._failed = False
            yield
        except (ValueError, OSError) as error:
            self._failed = True
            pause = pause_of(error, self.directory)
            if pause is None:
                raise FatalError(f"the text index in {self.directory} refused a commit: {error}") from error
            raise pause from error

    def pin(self, target: Path) -> list[Path]:
        """Link the files of the last commit into `target`, where no background merge removes them.

        A merge may finish between reading the list and linking: then the list is read again.
        """
        for _ in range(LINK_ATTEMPTS):
            meta = (self.directory / META).read_bytes()
            try:
                names = [path.name for path in self._immutable(meta)]
                target.mkdir(parents=True)
                for name in names:
                    (target / name).hardlink_to(self.directory / name)
            except FileNotFoundError:
                Files().remove(target)
                continue
            (target / META).write_bytes(meta)
            return [target / name for name in (*names, META)]
        raise FatalError(f"the text index in {self.directory} does not hold still")

    def close(self) -> None:
        """Wait for background merges and let go of the directory; views read on."""
        self._writer.wait_merging_threads()

    def _read(self) -> LexicalReader:
        self._index.reload()
        return LexicalReader(self._index, self._index.searcher(), self._analyzer, self._settings.title_boost)

    def _document(self, product: Text) -> Any:
        document = tantivy.Document()
        document.add_text("id", product.product_id)
        document.add_unsigned("offset", product.offset)
        for name, value in product.fields.items():
            field = self._settings.part_of(name)
            for words in words_in(value):
                document.add_text(field, words)
        for index_term in terms(product.fields):
            document.add_text("attributes", index_term)
        document.add_bytes("stored", product.shown + b"\n" + product.revisions)
        return document

    def _immutable(self, meta: bytes) -> Iterator[Path]:
        for segment in json.loads(meta)["segments"]:
            name = segment["segment_id"].replace("-", "")
            deletes = segment["deletes"]
            current = f"{name}.{deletes['opstamp']}.del" if deletes else None
            files = sorted(self.directory.glob(f"{name}.*"))
            if (current and self.directory / current not in files) or len(files) < 2:
                raise FileNotFoundError(name)
            yield from (path for path in files if path.suffix != ".del" or path.name == current)


def restore(snapshot: Path, directory: Path, files: Files) -> None:
    """Make a working directory from a snapshot; `.managed.json` lets Tantivy clean up what it supersedes."""
    files.directory(directory)
    names = [path.name for path in snapshot.iterdir()]
    for name in names:
        if name == META:
            files.write(directory / name, (snapshot / name).read_bytes())
        else:
            files.copy(snapshot / name, directory / name)
    files.write(directory / ".managed.json", json.dumps(names).encode())
