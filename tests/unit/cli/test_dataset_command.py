"""`headrace dataset build | show`: what is in a data set, as tables and as its manifest."""

import json

import pytest

from services.cli import dataset as command
from services.trainer.dataset.domain.dataset import (
    Dataset,
    DatasetManifest,
    HardNegative,
    Overlap,
    ProductText,
    ShownProducts,
    TrainingPair,
)
from services.trainer.dataset.files import write


def pair(query: str, product_id: str, split: str, **fields) -> TrainingPair:
    return TrainingPair(
        **{
            "query": query,
            "product_id": product_id,
            "split": split,
            "value": 1.5,
            "grade": 1.5,
            "impressions": 40,
            **fields,
        }
    )


DATASET = Dataset(
    DatasetManifest(
        name="d1",
        ranges=(),
        generation="g1",
        seed=7,
        code_version="abc",
        records={"search.judgements.v1": 1234},
        counts={"train": 3, "zero_shot": 1},
        removed={"few_shoppers": 12, "robot": 40},
        certificate={"zero_shot": Overlap(), "in_domain": Overlap(same_query=3)},
    ),
    pairs=(
        pair("trail shoe", "A", "train", grade=3.0, late=True),
        pair("trail shoe", "B", "train"),
        pair("[bold]boot[/bold]", "A", "train", augmented=True),
        pair("sofa", "C", "zero_shot"),
    ),
    negatives=(
        HardNegative(query="trail shoe", product_id="C", difficulty="hard"),
        HardNegative(query="trail shoe", product_id="D", difficulty="random"),
    ),
    products=(
        ProductText(product_id="A", text="A shoe for trails"),
        ProductText(product_id="B", text="A shoe\n" + "of a very long description " * 9),
        ProductText(product_id="C", text="Sofa"),
    ),
    shown=(ShownProducts(query="sofa", product_ids=("A", "B")),),
)


@pytest.fixture
def kept(headrace, tmp_path):
    manifest = write(DATASET, tmp_path / ".headrace" / "datasets" / "d1")
    return headrace, manifest


def test_a_data_set_is_shown_with_its_splits_and_what_was_left_out(kept, monkeypatch) -> None:
    headrace, _ = kept
    monkeypatch.setenv("COLUMNS", "160")
    done = headrace("dataset", "show", "d1")
    assert done.code == 0
    assert done.lines[0] == "d1: built from 1,234 of search.judgements.v1 messages; code abc"
    assert "3 products, 1 hard and 1 random negatives, 2 more pairs shown" in done.lines
    assert "train 3 2 2 1 1 2.00" in done.lines
    assert "validation 0 0 0 0 0 -" in done.lines
    assert [line for line in done.lines if line in ("robot 40", "few shoppers 12")] == [
        "robot 40",
        "few shoppers 12",
    ]


def test_examples_are_the_best_pair_of_a_query_and_markup_is_not_read(kept, monkeypatch) -> None:
    headrace, _ = kept
    monkeypatch.setenv("COLUMNS", "160")
    lines = headrace("dataset", "show", "d1").lines
    assert "train 3.0 trail shoe A shoe for trails" in lines
    assert "train 1.5 [bold]boot[/bold] A shoe for trails" in lines
    assert not [line for line in lines if "very long" in line], "the other pair of the same query"


def test_the_tables_fit_the_terminal(kept) -> None:
    headrace, _ = kept
    assert headrace("dataset", "show", "d1").fits()


def test_as_json_it_is_the_manifest_with_its_digests(kept) -> None:
    headrace, manifest = kept
    shown = headrace("dataset", "show", "d1", "--json").json
    assert DatasetManifest.model_validate(shown) == manifest
    assert set(shown["files"]) == {"pairs.jsonl", "negatives.jsonl", "products.jsonl", "shown.jsonl"}


def test_a_data_set_that_there_is_not_is_an_error_in_one_line(headrace) -> None:
    done = headrace("dataset", "show", "d9")
    assert done.code == 2
    assert done.error.endswith("datasets/d9 holds no data set: No such file or directory")


def test_a_data_set_that_was_changed_on_disk_is_refused(kept, tmp_path) -> None:
    headrace, _ = kept
    (tmp_path / ".headrace" / "datasets" / "d1" / "pairs.jsonl").write_text("")
    done = headrace("dataset", "show", "d1")
    assert done.code == 1
    assert "pairs.jsonl is not what was written (SHA-256 differs)" in done.error


def test_a_manifest_to_build_again_must_be_there(headrace) -> None:
    done = headrace("dataset", "build", "--like", "missing/manifest.json")
    assert done.code == 2
    assert "missing holds no data set" in done.error


@pytest.mark.parametrize("text", ["0", "a:1-2", "0:9-3", "0:1"])
def test_a_range_that_is_none_is_refused_with_how_to_write_it(headrace, text) -> None:
    done = headrace("dataset", "build", "--judgements", text)
    assert done.code == 2
    assert text in done.error


def test_a_data_set_that_was_built_again_is_compared_file_by_file(kept, capsys) -> None:
    _, manifest = kept
    again = manifest.model_copy(update={"name": "d1-again"})
    command._compare(manifest, again, json_=False)
    assert capsys.readouterr().out == "d1-again is d1, bit for bit\n"
    command._compare(manifest, again, json_=True)
    assert json.loads(capsys.readouterr().out) == {
        "name": "d1-again",
        "like": "d1",
        "same": True,
        "differences": [],
    }


def test_a_data_set_that_differs_says_where_and_fails(kept, capsys) -> None:
    _, manifest = kept
    other = manifest.model_copy(
        update={"name": "d2", "files": {**manifest.files, "pairs.jsonl": "0" * 64}, "records": {}}
    )
    with pytest.raises(command.typer.Exit) as ended:
        command._compare(manifest, other, json_=True)
    assert ended.value.exit_code == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["same"] is False
    assert any("pairs.jsonl" in difference for difference in shown["differences"])
