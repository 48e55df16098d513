"""A data set on disk."""

from pathlib import Path

import pytest

from schemas.control import OffsetRange
from services.trainer.dataset.domain.dataset import (
    Dataset,
    DatasetManifest,
    HardNegative,
    Overlap,
    ProductText,
    TrainingPair,
)
from services.trainer.dataset.files import MANIFEST, NEGATIVES, PAIRS, PRODUCTS, read, write
from shared.errors import ConfigurationError, PoisonError

DATASET = Dataset(
    DatasetManifest(
        name="d1",
        ranges=(OffsetRange(topic="search.judgements.v1", partition=0, start=3, end=9),),
        generation="g1",
        filters={"shoppers": 5},
        seed=7,
        counts={"train": 1, "zero_shot": 1},
        removed={"rare": 2},
        certificate={"zero_shot": Overlap()},
    ),
    pairs=(
        TrainingPair(query="red shoe", product_id="p1", value=1.5, grade=1.5, impressions=9, split="train"),
        TrainingPair(
            query="zoë\u2028 shoe", product_id="p2", value=0, grade=0, impressions=1, split="zero_shot"
        ),
    ),
    negatives=(HardNegative(query="red shoe", product_id="p2", difficulty="hard", skipped=True),),
    products=(ProductText(product_id="p1", text="Red\nshoe", fields={"title": "Red"}),),
)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    manifest = write(DATASET, tmp_path / "d1")
    found = read(tmp_path / "d1")
    assert found.manifest == manifest
    assert (found.pairs, found.negatives, found.products) == (
        DATASET.pairs,
        DATASET.negatives,
        DATASET.products,
    )
    assert set(manifest.files) == {PAIRS, NEGATIVES, PRODUCTS}


def test_the_same_data_set_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(DATASET, tmp_path / name)
    for file in (MANIFEST, PAIRS, NEGATIVES, PRODUCTS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("name", [PAIRS, NEGATIVES, PRODUCTS])
def test_a_file_that_was_changed_is_named(tmp_path: Path, name: str) -> None:
    write(DATASET, tmp_path / "d1")
    path = tmp_path / "d1" / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(PoisonError, match=name):
        read(tmp_path / "d1")


@pytest.mark.parametrize("name", [PAIRS, NEGATIVES, PRODUCTS])
def test_a_file_that_is_gone_is_named(tmp_path: Path, name: str) -> None:
    write(DATASET, tmp_path / "d1")
    (tmp_path / "d1" / name).unlink()
    with pytest.raises(PoisonError, match=name):
        read(tmp_path / "d1")


def test_a_manifest_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    write(DATASET, tmp_path / "d1")
    (tmp_path / "d1" / MANIFEST).write_text("[]")
    with pytest.raises(PoisonError, match=MANIFEST):
        read(tmp_path / "d1")


def test_there_is_no_data_set_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no data set"):
        read(tmp_path / "d1")


def test_a_data_set_is_never_written_over(tmp_path: Path) -> None:
    write(DATASET, tmp_path / "d1")
    with pytest.raises(ConfigurationError, match="already"):
        write(DATASET, tmp_path / "d1")
