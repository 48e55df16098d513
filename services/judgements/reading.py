"""Judgements as their readers see them: the compacted topic, read once; and the ways to write them down."""

import csv
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from io import StringIO

from schemas.judgements import Judgement
from services.judgements.domain.statistics import integer_grade
from shared.kafka.compacted import read_items, read_once
from shared.settings import Settings


async def read_judgements(settings: Settings) -> list[Judgement]:
    """Return every judgement that is published now, by query, best product first."""
    values = (await read_once(settings, Judgement.topic)).items.values()
    return sorted(
        read_items(Judgement, values),
        key=lambda judgement: (judgement.query, -judgement.value, judgement.product_id),
    )


def query_id(query: str) -> str:
    """Return a stable name without blanks for a query, as qrels files need it."""
    return blake2b(query.encode(), digest_size=6).hexdigest()


def qrels_lines(judgements: Iterable[Judgement]) -> Iterator[str]:
    """Write TREC qrels: `query-id 0 product-id grade`; the grade is rounded half up to 0, 1, 2 or 3."""
    for judgement in judgements:
        yield f"{query_id(judgement.query)} 0 {judgement.product_id} {integer_grade(judgement.grade)}"


def query_lines(judgements: Iterable[Judgement]) -> Iterator[str]:
    """Write the queries that qrels name: `query-id<TAB>query`."""
    for query in dict.fromkeys(judgement.query for judgement in judgements):
        yield f"{query_id(query)}\t{query}"


def json_lines(judgements: Iterable[Judgement]) -> Iterator[str]:
    """Write each judgement as it is on the topic."""
    for judgement in judgements:
        yield judgement.encode().decode()


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with (OWASP, CSV injection)."""


def csv_lines(judgements: Iterable[Judgement]) -> Iterator[str]:
    """Write a header, then a row for each pair, with count, expected and rate of every action there is."""
    rows = list(judgements)
    actions = sorted({action for judgement in rows for action in judgement.actions})
    columns = [f"{action}{kind}" for action in actions for kind in ("", "_expected", "_rate")]
    yield _row(["query", "product_id", "impressions", "shoppers", *columns, "value", "grade"])
    for judgement in rows:
        figures: list[object] = []
        for action in actions:
            seen = judgement.actions.get(action)
            figures += [seen.count, seen.expected, seen.rate] if seen else [0, 0.0, 1.0]
        counted = (judgement.query, judgement.product_id, judgement.impressions, judgement.shoppers)
        yield _row([*counted, *figures, judgement.value, judgement.grade])


def _row(values: Iterable[object]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(map(_cell, values))
    return text.getvalue()


def _cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: one that begins so gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
