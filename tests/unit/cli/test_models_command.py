"""`headrace models import`: a directory that could run code, or is not whole, is refused with its reason."""

from pathlib import Path

import pytest

from services.lab.models.shapes import make


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "modules.json").write_text('[{"type": "sentence_transformers.models.Transformer"}]')
    (directory / "model.safetensors").write_bytes(b"weights")
    (directory / "config.json").write_text("{}")
    return directory


def refused(headrace, directory: Path, *options: str) -> str:
    done = headrace("models", "import", str(directory), *options)
    assert (done.code, done.out) == (2, "")
    return done.error


def test_a_directory_that_is_not_there_is_named(headrace, tmp_path) -> None:
    assert f"{tmp_path / 'missing'} is not a directory" in refused(headrace, tmp_path / "missing")


def test_what_could_run_code_is_refused_by_its_name(headrace, directory) -> None:
    (directory / "config.json").write_text('{"auto_map": {"AutoModel": "modeling.Evil"}}')
    assert "config.json: auto_map names code to run" in refused(headrace, directory)


@pytest.mark.parametrize("name", ["modules.json", "config.json"])
def test_what_is_no_sentence_transformers_directory_is_refused(headrace, directory, name) -> None:
    (directory / name).unlink()
    assert refused(headrace, directory).endswith(f"no {name}; is it a sentence-transformers directory?")


def test_a_link_out_of_the_directory_is_refused(headrace, directory, tmp_path) -> None:
    (tmp_path / "secret").write_text("x")
    (directory / "weights.safetensors").symlink_to(tmp_path / "secret")
    assert "weights.safetensors" in refused(headrace, directory)


def test_which_model_is_shown_must_be_said(headrace) -> None:
    done = headrace("models", "show")
    assert done.code == 2
    assert "model_id" in done.usage


def test_a_directory_that_would_be_served_is_described(headrace, tmp_path) -> None:
    directory = make("a downloaded folder", tmp_path / "model")
    done = headrace("models", "check", str(directory), "--json")
    assert (done.code, done.json["refused"], done.json["dimensions"]) == (0, "", 32)
    assert min(done.json["cosines"]) > 0.9999
    assert "never read: card.png" in done.json["notes"][0]
    shown = headrace("models", "check", str(directory)).out
    assert "prompt '', as encode_query(), cosine 1.000000" in shown
    assert shown.rstrip().endswith("served")


def test_one_that_would_not_be_is_told_with_its_reason(headrace, tmp_path) -> None:
    directory = make("a cross-encoder", tmp_path / "model")
    done = headrace("models", "check", str(directory))
    assert done.code == 1
    assert "refused: " in done.out
    assert "is a cross-encoder" in " ".join(done.out.split())
    assert "is a cross-encoder" in refused(headrace, directory)
