"""What a model directory says of itself, in each of the ways that models in the field say it."""

import json
from pathlib import Path

import pytest

from shared.encoder.description import Prompt, default_prompt, describe, describe_pairs, prompts
from shared.encoder.directory import check_directory, sha256_of
from shared.encoder.pipeline import DESCRIPTION, model_type
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

LIBRARY = "sentence_transformers.models."


def model(directory: Path, modules: dict[str, dict[str, object]], **files: object) -> Path:
    """Write a directory of these modules (the first is the transformer) and configuration files."""
    directory.mkdir()
    listed = []
    for number, (kind, config) in enumerate(modules.items()):
        path = "" if number == 0 else f"{number}_{kind}"
        (directory / path).mkdir(exist_ok=True)
        (directory / path / "config.json").write_text(json.dumps(config))
        listed.append({"type": LIBRARY + kind, "path": path})
    (directory / "modules.json").write_text(json.dumps(listed))
    (directory / "model.safetensors").write_bytes(b"weights")
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


BERT = {"hidden_size": 384}
USUAL = {"Transformer": BERT, "Pooling": {}}
POOLING = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}


@pytest.mark.parametrize(
    ("modules", "description", "dimensions"),
    [
        ({"Transformer": BERT, "Pooling": {}}, {}, 384),
        ({"Transformer": BERT, "Pooling": POOLING}, {}, 384),
        ({"Transformer": {}, "Pooling": POOLING}, {}, 384),
        ({"Transformer": BERT, "Pooling": {**POOLING, "pooling_mode_cls_token": True}}, {}, 768),
        ({"Transformer": BERT, "Pooling": {"embedding_dimension": 512}}, {}, 512),
        ({"Transformer": BERT, "Pooling": POOLING, "Dense": {"out_features": 128}}, {}, 128),
        ({"Transformer": BERT, "Pooling": POOLING, "Dense": {}, "Normalize": {}}, {}, 384),
        ({"Transformer": BERT, "Pooling": {**POOLING, "pooling_mode": ["cls", "mean"]}}, {}, 768),
        ({"Transformer": BERT, "Pooling": POOLING}, {"truncate_dim": 64}, 64),
        ({"Transformer": BERT, "Pooling": POOLING}, {"truncate_dim": 4096}, 384),
    ],
)
def test_the_dimensions_are_those_of_what_comes_out_at_the_end(tmp_path, modules, description, dimensions):
    directory = model(tmp_path / "model", modules, config_sentence_transformers=description)
    check_directory(directory)
    assert describe(directory, ModelSettings()).dimensions == dimensions


@pytest.mark.parametrize("config", [{}, {"hidden_size": "384"}, {"hidden_size": 0}, {"hidden_size": -1}])
def test_one_that_does_not_say_how_wide_it_is_is_refused(tmp_path, config):
    directory = model(tmp_path / "model", {"Transformer": config, "Pooling": {}})
    with pytest.raises(ConfigurationError, match="does not say how many dimensions"):
        describe(directory, ModelSettings())


@pytest.mark.parametrize("kept", [0, -3, True, 12.5, "12"])
def test_a_truncation_to_no_number_is_refused(tmp_path, kept):
    said = {"truncate_dim": kept}
    directory = model(tmp_path / "model", USUAL, config_sentence_transformers=said)
    with pytest.raises(ConfigurationError, match=r"truncate_dim is .*: give a number above 0"):
        describe(directory, ModelSettings())


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        ({"Transformer": BERT}, "no module makes one vector of a text: is Pooling missing"),
        ({"Transformer": BERT, "CNN": {}}, "its vectors depend on the texts that it is given together"),
        ({"BoW": {}}, "BoW: it reads lists of words"),
        ({"CLIPModel": {}}, "CLIPModel: it reads images"),
        ({"Transformer": BERT, "SpladePooling": {}}, "SpladePooling: is a sparse model"),
        ({"Transformer": BERT, "Pooling": {}, "Quantum": {}}, "Quantum is not a module that is known here"),
    ],
)
def test_modules_that_make_no_vector_of_their_own_are_refused_by_name(tmp_path, modules, why):
    directory = model(tmp_path / "model", modules)
    check_directory(directory)
    with pytest.raises(ConfigurationError, match=why):
        describe(directory, ModelSettings())


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("CrossEncoder", "is a cross-encoder: .* set search.reranker.model"),
        ("MultiVectorEncoder", "is a multi-vector model: .* set search.reranker.model"),
        ("SparseEncoder", "is a sparse model"),
    ],
)
def test_a_model_of_another_class_is_refused_by_name(tmp_path, kind, why):
    directory = model(tmp_path / "model", USUAL, config_sentence_transformers={"model_type": kind})
    with pytest.raises(ConfigurationError, match=why):
        describe(directory, ModelSettings())
    assert describe_pairs(directory, ModelSettings()).dimensions == 384


@pytest.mark.parametrize(
    ("files", "longest"),
    [
        ({"sentence_bert_config": {"max_seq_length": 16}}, 16),
        ({"sentence_bert_config": {"max_seq_length": 16}, "tokenizer_config": {"model_max_length": 8}}, 16),
        ({"tokenizer_config": {"model_max_length": 16}}, 16),
        ({"tokenizer_config": {"model_max_length": 10**30}}, 256),
        ({}, 256),
        ({"sentence_bert_config": {"max_seq_length": 10_000}}, 256),
        (
            {"sentence_bert_config": {"max_seq_length": None}, "tokenizer_config": {"model_max_length": 16}},
            16,
        ),
    ],
)
def test_the_longest_input_is_the_models_own_limit_or_the_configured_one_if_that_is_less(
    tmp_path, files, longest
):
    """The fingerprint tells: settings of up to `longest` tokens make other models, longer ones do not."""
    directory = model(tmp_path / "model", USUAL, **files)

    def described(max_tokens: int) -> str:
        return describe(directory, ModelSettings(max_tokens=max_tokens)).fingerprint

    assert described(longest) == described(256)
    assert described(longest - 1) != described(256)


def test_prompts_are_those_of_the_models_configuration_that_are_text(tmp_path):
    said = {
        "prompts": {"query": "query: ", "document": "", "odd": 7, "none": None},
        "model_type": "CrossEncoder",
    }
    directory = model(tmp_path / "model", {"Transformer": BERT}, config_sentence_transformers=said)
    assert prompts(directory) == (Prompt("query", "query: "), Prompt())
    assert model_type(directory) == "CrossEncoder"


@pytest.mark.parametrize(
    ("named", "document"),
    [
        ({"document": "doc: ", "passage": "passage: "}, Prompt("document", "doc: ")),
        ({"passage": "passage: ", "corpus": "corpus: "}, Prompt("passage", "passage: ")),
        ({"document": "", "passage": "passage: "}, Prompt("passage", "passage: ")),
        ({"document": None, "corpus": "corpus: "}, Prompt("corpus", "corpus: ")),
        ({"query": "query: ", "sts": "sts: "}, Prompt()),
    ],
)
def test_the_prompt_of_a_document_has_three_names(tmp_path, named, document):
    """Of an empty one nobody can tell whether its owner wrote it: the library adds it to every model."""
    directory = model(tmp_path / "model", USUAL, config_sentence_transformers={"prompts": named})
    assert prompts(directory)[1] == document


@pytest.mark.parametrize(
    ("name", "shown"), [("sts", "sts"), ("query", ""), ("passage", ""), (None, ""), (7, "")]
)
def test_a_default_prompt_is_told_unless_it_is_one_of_a_query_or_document(tmp_path, name, shown):
    said = {"default_prompt_name": name}
    directory = model(tmp_path / "model", USUAL, config_sentence_transformers=said)
    assert default_prompt(directory) == shown


@pytest.mark.parametrize("said", [None, {}, {"prompts": None}, {"model_type": 7}, [], "text"])
def test_one_that_says_nothing_has_no_prompts_and_no_kind(tmp_path, said):
    directory = model(tmp_path / "model", {"Transformer": BERT})
    if said is not None:
        (directory / DESCRIPTION).write_text(json.dumps(said))
    assert (prompts(directory), model_type(directory)) == ((Prompt(), Prompt()), None)


def test_a_file_that_was_changed_is_hashed_again(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = sha256_of(file)
    assert sha256_of(file) == first
    file.write_bytes(b"other")
    assert sha256_of(file) != first
    file.write_bytes(b"one")
    assert sha256_of(file) == first


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        ({}, "not a list of modules"),
        (["Transformer"], "not a list of modules"),
        ([{"type": "my_package.Pooling", "path": ""}], "is not one of sentence-transformers"),
        ([{"type": "sentence_transformersx.Pooling", "path": ""}], "is not one of sentence-transformers"),
        ([{"path": ""}], "is not one of sentence-transformers"),
        ([{"type": LIBRARY + "Transformer", "path": "../elsewhere"}], "leads out of the model directory"),
        ([{"type": LIBRARY + "Transformer", "path": "/etc"}], "leads out of the model directory"),
    ],
)
def test_modules_of_other_libraries_and_of_other_places_are_refused(tmp_path, modules, why):
    directory = model(tmp_path / "model", {"Transformer": BERT})
    (directory / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ConfigurationError, match=why):
        check_directory(directory)


def test_json_that_is_too_deep_to_be_read_is_refused_and_not_a_crash(tmp_path):
    directory = model(tmp_path / "model", {"Transformer": BERT})
    (directory / "tokenizer.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json: not JSON"):
        check_directory(directory)


def test_code_is_found_however_deep_it_is_named(tmp_path):
    deep: object = {"auto_map": {"AutoModel": "modeling.py"}}
    for _ in range(50):
        deep = [{"a": deep}]
    directory = model(tmp_path / "model", {"Transformer": BERT}, tokenizer={"added": deep})
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json: auto_map names code to run"):
        check_directory(directory)
