"""A data set on disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from schemas.control import OffsetRange
from services.trainer.dataset.domain.dataset import (
    Dataset,
    DatasetManifest,
    HardNegative,
    Overlap,
    ProductText,
    ShownProducts,
    TrainingPair,
)
from services.trainer.dataset.files import MANIFEST, NEGATIVES, PAIRS, PRODUCTS, SHOWN, read, write
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
    shown=(ShownProducts(query="red shoe", product_ids=("p3", "p4")),),
)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    manifest = write(DATASET, tmp_path / "d1")
    found = read(tmp_path / "d1")
    assert found.manifest == manifest
    assert found == replace(DATASET, manifest=manifest)
    assert set(manifest.files) == {PAIRS, NEGATIVES, PRODUCTS, SHOWN}


def test_one_of_before_says_nothing_of_what_else_was_shown(tmp_path: Path) -> None:
    manifest = write(DATASET, tmp_path / "d1")
    files = {name: digest for name, digest in manifest.files.items() if name != SHOWN}
    before = manifest.model_copy(update={"files": files})
    (tmp_path / "d1" / MANIFEST).write_text(before.model_dump_json())
    (tmp_path / "d1" / SHOWN).unlink()
    assert read(tmp_path / "d1") == replace(DATASET, manifest=before, shown=())


def test_the_same_data_set_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(DATASET, tmp_path / name)
    for file in (MANIFEST, PAIRS, NEGATIVES, PRODUCTS, SHOWN):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("name", [PAIRS, NEGATIVES, PRODUCTS, SHOWN])
def test_a_file_that_was_changed_is_named(tmp_path: Path, name: str) -> None:
    write(DATASET, tmp_path / "d1")
    path = tmp_path / "d1" / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(PoisonError, match=name):
        read(tmp_path / "d1")


@pytest.mark.parametrize("name", [PAIRS, NEGATIVES, PRODUCTS, SHOWN])
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
