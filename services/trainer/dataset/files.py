"""A data set as a directory: JSON lines beside a manifest that holds their SHA-256.

It is written whole or not at all, and what is read is what was written, or an error that names the file.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from schemas.base import Value
from services.trainer.dataset.domain.dataset import (
    Dataset,
    DatasetManifest,
    HardNegative,
    ProductText,
    ShownProducts,
    TrainingPair,
)
from shared.directories import whole
from shared.errors import ConfigurationError, PoisonError

MANIFEST = "manifest.json"
PAIRS = "pairs.jsonl"
NEGATIVES = "negatives.jsonl"
PRODUCTS = "products.jsonl"
SHOWN = "shown.jsonl"

Line = TypeVar("Line", bound=Value)


def write(dataset: Dataset, directory: Path) -> DatasetManifest:
    """Write the data set to `directory`, which must not exist, and return the manifest with its digests."""
    contents = {
        PAIRS: _lines(dataset.pairs),
        NEGATIVES: _lines(dataset.negatives),
        PRODUCTS: _lines(dataset.products),
        SHOWN: _lines(dataset.shown),
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = dataset.manifest.model_copy(update={"files": digests})
    with whole(directory) as partial:
        for name, content in contents.items():
            (partial / name).write_bytes(content)
        (partial / MANIFEST).write_bytes(manifest.model_dump_json(indent=2).encode() + b"\n")
    return manifest


def read(directory: Path) -> Dataset:
    """Return the data set in `directory`; one of before has nothing in `shown`.

    Raises `ConfigurationError` when there is none, `PoisonError` when a file is not what was written.
    """
    manifest = read_manifest(directory)
    return Dataset(
        manifest,
        pairs=_read(TrainingPair, directory / PAIRS, manifest),
        negatives=_read(HardNegative, directory / NEGATIVES, manifest),
        products=_read(ProductText, directory / PRODUCTS, manifest),
        shown=_read(ShownProducts, directory / SHOWN, manifest) if SHOWN in manifest.files else (),
    )


def read_manifest(directory: Path) -> DatasetManifest:
    """Return the manifest alone; raises like `read`."""
    path = directory / MANIFEST
    try:
        return DatasetManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{directory} holds no data set: {error.strerror}") from error
    except ValidationError as error:
        raise PoisonError("dataset.invalid", f"{path}: {error.errors()[0]['msg']}") from error


def _read(kind: type[Line], path: Path, manifest: DatasetManifest) -> tuple[Line, ...]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PoisonError("dataset.incomplete", f"{path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != manifest.files.get(path.name):
        raise PoisonError("dataset.damaged", f"{path} is not what was written (SHA-256 differs)")
    try:
        return tuple(kind.model_validate_json(line) for line in content.splitlines())
    except ValidationError as error:
        raise PoisonError("dataset.invalid", f"{path}: {error.errors()[0]['msg']}") from error


def _lines(values: Iterable[Value]) -> bytes:
    return b"".join(value.model_dump_json(exclude_defaults=True).encode() + b"\n" for value in values)
