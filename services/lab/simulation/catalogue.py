"""Products, the queries asked for them, and how relevant each product is to each query."""

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.base import FieldValue, ProductId
from schemas.catalogue import ProductChange
from services.lab.simulation.grading import read_grade
from services.loader.domain.money import NumberError, read_number
from shared.errors import ConfigurationError

EXACT, SUBSTITUTE, COMPLEMENT, IRRELEVANT = 3, 2, 1, 0


def _number(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return read_number(value, ".")
    except NumberError as error:
        raise ValueError(error.fix) from error


AnyNumber = BeforeValidator(_number)
"""A number that may also be a text, in any usual form; with one separator alone it is the decimal one."""


class ShopProduct(BaseModel):
    """One product; the names and shapes are those of the ESCI documents, plus `stock`."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    id: ProductId
    title: str
    description: str = ""
    bullets: str = ""
    brand: str = ""
    color: str = ""
    category: tuple[str, ...] = ()
    price: Annotated[float, Field(ge=0), AnyNumber] | None = None
    rating: Annotated[float, AnyNumber] | None = None
    rating_count: Annotated[int, AnyNumber] | None = None
    stock: Annotated[int, AnyNumber] | None = None

    def fields(self) -> dict[str, FieldValue]:
        """Return the product's attributes; those that are empty are absent."""
        values = self.model_dump(exclude={"id"})
        return {name: value for name, value in values.items() if value not in (None, "", ())}

    def change(self, version: int, now: datetime) -> ProductChange:
        """Return the message that writes the whole product."""
        return ProductChange(
            product_id=self.id, op="upsert", version=version, event_time=now, fields=self.fields()
        )


@dataclass(frozen=True, slots=True)
class ShopQuery:
    """One query, as shoppers type it."""

    id: str
    text: str


@dataclass(frozen=True)
class GradedCatalogue:
    """A shop: `grades[query id][product id]` is 3 exact, 2 substitute, 1 complement; not graded is 0."""

    products: tuple[ShopProduct, ...]
    queries: tuple[ShopQuery, ...]
    grades: Mapping[str, Mapping[str, int]]

    def grade(self, query_id: str, product_id: str) -> int:
        """Return how relevant the product is to the query."""
        return self.grades.get(query_id, {}).get(product_id, IRRELEVANT)


def queries_beyond_words(catalogue: GradedCatalogue, count: int) -> list[ShopQuery]:
    """Return queries that plain word search would miss: none of their exact titles has all the words.

    Those with the most exact products come first; when there is no such query, the first of all.
    """
    titles = {product.id: product.title.lower() for product in catalogue.products}
    exact = {
        query.id: [product for product, grade in catalogue.grades.get(query.id, {}).items() if grade == EXACT]
        for query in catalogue.queries
    }

    def has_all_words(product_id: str, query: ShopQuery) -> bool:
        title = titles.get(product_id, "")  # graded, and not in the catalogue
        return all(word in title for word in query.text.lower().split())

    missed_by_words = [
        query
        for query in catalogue.queries
        if not any(has_all_words(product_id, query) for product_id in exact[query.id])
    ]
    most_answers = sorted(missed_by_words, key=lambda query: -len(exact[query.id]))
    return (most_answers or list(catalogue.queries))[:count]


def relevant_to(catalogue: GradedCatalogue) -> frozenset[str]:
    """Return the queries that some product is relevant to: of the others no order is better than another.

    Raises `ConfigurationError` when there is none.
    """
    graded = ((query.id, catalogue.grades.get(query.id, {})) for query in catalogue.queries)
    relevant = frozenset(query for query, grades in graded if any(grades.values()))
    if not relevant:
        raise ConfigurationError("no query has a relevant product: qrels.tsv says nothing of any order")
    return relevant


def load(directory: Path, highest_grade: float | None = None) -> GradedCatalogue:
    """Read `docs.jsonl.gz` (or `docs.jsonl`), `queries.tsv` and `qrels.tsv`, the form of the ESCI sample.

    Grades are read as `grading.read_grade` has it. A graded product that is not there is never found.
    Raises `ConfigurationError` that names the file and the line that cannot be used.
    """
    queries = tuple(ShopQuery(*row) for row in _rows(directory / "queries.tsv", columns=2))
    grades: dict[str, dict[str, int]] = {query.id: {} for query in queries}
    file = directory / "qrels.tsv"
    for number, (query_id, product_id, grade) in enumerate(_rows(file, columns=3), start=1):
        try:
            whole = read_grade(grade, highest_grade)
        except ValueError as error:
            raise ConfigurationError(f"{file}, line {number}: {error}") from error
        grades.setdefault(query_id, {})[product_id] = whole
    return GradedCatalogue(tuple(_products(directory)), queries, grades)


def save(catalogue: GradedCatalogue, directory: Path) -> None:
    """Write the three files that `load` reads."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = (orjson.dumps(product.model_dump()) + b"\n" for product in catalogue.products)
    (directory / "docs.jsonl.gz").write_bytes(gzip.compress(b"".join(lines), mtime=0))
    queries = "".join(f"{query.id}\t{query.text}\n" for query in catalogue.queries)
    (directory / "queries.tsv").write_text(queries, encoding="utf-8")
    qrels = (
        f"{query_id}\t{product_id}\t{grade}\n"
        for query_id, products in catalogue.grades.items()
        for product_id, grade in products.items()
    )
    (directory / "qrels.tsv").write_text("".join(qrels), encoding="utf-8")


def _rows(file: Path, columns: int) -> Iterator[list[str]]:
    if not file.is_file():
        raise ConfigurationError(
            f"{file} is missing: a data directory has docs.jsonl.gz, queries.tsv, qrels.tsv"
        )
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
            if len(row) != columns:
                raise ConfigurationError(f"{file}, line {number}: {columns} columns wanted, {len(row)} found")
            yield row


def _products(directory: Path) -> Iterator[ShopProduct]:
    packed, plain = directory / "docs.jsonl.gz", directory / "docs.jsonl"
    if not packed.is_file() and not plain.is_file():
        raise ConfigurationError(f"{packed} is missing")
    file = packed if packed.is_file() else plain
    content = gzip.decompress(file.read_bytes()) if file == packed else file.read_bytes()
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            yield ShopProduct.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join(map(str, fault["loc"])) or "the line"
            raise ConfigurationError(f"{file}, line {number}: {field}: {fault['msg']}") from error
