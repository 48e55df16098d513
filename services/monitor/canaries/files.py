"""Canaries from arguments and from files, checked before they are published."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from schemas.judgements import Canary
from schemas.wire.errors import WireError
from schemas.wire.messages import decode_message
from shared.errors import ConfigurationError


def canary(
    query: str, products: Sequence[str], *, k: int, minimum_recall: float | None, canary_id: str = ""
) -> Canary:
    """Return a canary; raises `ConfigurationError` that says what is wrong with it."""
    try:
        checked = Canary(
            canary_id=canary_id or identifier(query),
            query=query,
            product_ids=tuple(dict.fromkeys(products)),
            k=k,
            minimum_recall=minimum_recall,
        )
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError(f"this is no canary: {'; '.join(faults)}") from error
    if not query.strip():
        raise ConfigurationError("this is no canary: the query is blank")
    reachable = min(1.0, k / len(checked.product_ids))
    if minimum_recall is not None and minimum_recall > reachable:
        raise ConfigurationError(
            f"recall@{k} of {len(checked.product_ids)} products is at most {reachable:.2f}: "
            "raise --k, or lower --minimum-recall"
        )
    return checked


def identifier(query: str) -> str:
    """Return an id that the same query always gets: readable, and a digest to tell queries apart."""
    digest = hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    readable = re.sub(r"[^a-z0-9]+", "-", query.lower()).strip("-")[:40]
    return f"{readable}-{digest}" if readable else digest


def read(file: Path, *, k: int, minimum_recall: float | None) -> list[Canary]:
    """Read JSON lines of canaries, or lines of `query TAB product`, the products of a query together.

    Raises `ConfigurationError` that names the line.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {file}: {error}") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if all(line.lstrip().startswith("{") for _, line in numbered):
        return [_from_json(line, f"{file}:{number}") for number, line in numbered]
    return _from_pairs(file, numbered, k=k, minimum_recall=minimum_recall)


def _from_json(line: str, where: str) -> Canary:
    try:
        return decode_message(Canary, line.encode())
    except WireError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _from_pairs(
    file: Path, numbered: Sequence[tuple[int, str]], *, k: int, minimum_recall: float | None
) -> list[Canary]:
    products: dict[str, list[str]] = {}
    for number, line in numbered:
        query, tab, product = line.partition("\t")
        if not tab or not product.strip():
            raise ConfigurationError(f"{file}:{number}: expected `query TAB product`, or JSON on every line")
        products.setdefault(query.strip(), []).append(product.strip())
    return [
        canary(query, product_ids, k=k, minimum_recall=minimum_recall)
        for query, product_ids in products.items()
    ]
