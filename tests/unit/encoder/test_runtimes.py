"""Every runtime gives torch's vectors of the models that it takes, and says of which others it does not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
)

from shared.encoder.choice import load_sentence_encoder
from shared.encoder.description import read_encoding
from shared.encoder.runtimes.head import read_transformer
from shared.encoder.runtimes.port import AGREEMENT, UnsupportedModelError
from shared.encoder.runtimes.proof import agreement, sample_batches
from shared.encoder.sentence import SentenceEncoder
from shared.errors import ConfigurationError
from shared.settings import ModelSettings
from tests.unit.trainer import tiny
from tests.unit.trainer.tiny import KINDS, WORDS, tiny_model

SMALL = {"vocab_size": len(WORDS), "max_position_embeddings": 40, "pad_token_id": 0}
WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
MODELS = {
    "bert": lambda: BertModel(BertConfig(**SMALL, **WIDE)),
    "roberta": lambda: RobertaModel(RobertaConfig(**SMALL, **WIDE, type_vocab_size=1)),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(**SMALL, dim=32, n_layers=2, n_heads=2, hidden_dim=48)
    ),
    "mpnet": lambda: MPNetModel(MPNetConfig(**SMALL, **WIDE)),
}
POOLED = ("cls", "max", "mean", "mean_sqrt_len_tokens", ("mean", "max"))
TEXTS = ["", "red lamp", "oak chair for home " * 20, *KINDS]


def saved(directory: Path, model: PreTrainedModel, *modules: torch.nn.Module) -> Path:
    """Write the model with what comes behind it, its weights far from nothing, and return the directory."""
    torch.manual_seed(3)
    for weight in model.parameters():
        weight.data.normal_(0, 0.3)
    return tiny.saved(directory, model, *modules)


def loaded(directory: Path, **settings: object) -> SentenceEncoder:
    model = ModelSettings.model_validate(
        {"path": directory, "device": "cpu", "threads": 2, "cache": directory.parent / "cache", **settings}
    )
    return load_sentence_encoder(read_encoding(directory, model), model)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_ctranslate2_gives_torchs_vectors_under_the_same_fingerprint(family: str, tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS[family](), Pooling(32))
    ours, torchs = loaded(directory, runtime="ctranslate2"), loaded(directory, runtime="torch")
    assert (ours.runtime.name, torchs.runtime.name) == ("ctranslate2", "torch")
    assert ours.fingerprint == torchs.fingerprint
    np.testing.assert_allclose(ours.encode_documents(TEXTS), torchs.encode_documents(TEXTS), atol=2e-5)


@pytest.mark.parametrize("runtime", ["ctranslate2", "onnx"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_that_stands_in_a_text_takes_no_place_in_any_runtime(
    runtime: str, pooling: str, tmp_path: Path
) -> None:
    directory = saved(tmp_path / "model", MODELS["roberta"](), Pooling(32, pooling))
    ours, torchs = loaded(directory, runtime=runtime), loaded(directory, runtime="torch")
    library = SentenceTransformer(str(directory), device="cpu")
    texts = ["[PAD] red lamp", "red [PAD] [PAD] lamp", "red lamp [PAD]", "[PAD]", "red lamp", *TEXTS]
    np.testing.assert_allclose(ours.encode_documents(texts), torchs.encode_documents(texts), atol=2e-5)
    own = library.encode_document(texts, normalize_embeddings=True)
    assert (ours.encode_documents(texts) * own).sum(axis=1).min() >= AGREEMENT
    without, within = ours.encode_documents(["red lamp", "red [PAD] lamp"])
    assert without @ within < AGREEMENT, "it is read all the same"


def test_a_family_that_ctranslate2_does_not_know_is_refused_at_once_the_second_time(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["mpnet"](), Pooling(32))
    for _ in range(2):
        with pytest.raises(UnsupportedModelError, match="family mpnet are not converted"):
            loaded(directory, runtime="ctranslate2")


def test_onnx_gives_torchs_vectors_of_another_family(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["mpnet"](), Pooling(32), Normalize())
    ours, torchs = loaded(directory, runtime="onnx"), loaded(directory, runtime="torch")
    assert ours.runtime.name == "onnx"
    np.testing.assert_allclose(ours.encode_queries(TEXTS), torchs.encode_queries(TEXTS), atol=2e-5)


def test_a_conversion_that_gives_other_vectors_is_not_used(tmp_path: Path) -> None:
    model = BertModel(BertConfig(**SMALL, **WIDE, hidden_act="gelu"))
    directory = saved(tmp_path / "model", model, Pooling(32))
    settings = directory / "config.json"
    settings.write_text(
        settings.read_text().replace('"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-12, "is_decoder": true')
    )
    with pytest.raises(UnsupportedModelError, match="gives other vectors than torch"):
        loaded(directory, runtime="ctranslate2")


@pytest.mark.parametrize("mode", POOLED, ids=str)
def test_a_head_in_numpy_gives_the_librarys_rows(mode: str, tmp_path: Path) -> None:
    pooling = Pooling(32, pooling_mode=mode)
    width = pooling.get_embedding_dimension()
    dense = Dense(width, 8, activation_function=torch.nn.Tanh())
    directory = saved(tmp_path / "model", MODELS["bert"](), pooling, dense, Normalize())
    model = SentenceTransformer(str(directory), device="cpu")
    hidden = torch.randn(3, 5, 32)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0]])
    features = {"token_embeddings": hidden, "attention_mask": mask}
    for module in list(model)[1:]:
        features = module(features)
    rows = read_transformer(directory).head.rows(hidden.numpy(), mask.numpy())
    np.testing.assert_allclose(rows, features["sentence_embedding"].detach().numpy(), atol=1e-6)
    assert rows.dtype == np.float32


def test_a_head_that_is_not_known_is_refused(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32, pooling_mode="lasttoken"))
    with pytest.raises(UnsupportedModelError, match="a pooling by lasttoken"):
        read_transformer(directory)


def test_int8_is_another_model_and_near_the_whole_one(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    whole, int8 = loaded(directory, runtime="ctranslate2"), loaded(directory, precision="int8")
    assert int8.fingerprint != whole.fingerprint
    cosines = (whole.encode_documents(TEXTS) * int8.encode_documents(TEXTS)).sum(axis=1)
    assert 0.95 < cosines.min() < 0.99999


def test_int8_reads_padding_in_a_text_as_the_whole_model_does(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["roberta"](), Pooling(32))
    whole, int8 = loaded(directory, runtime="torch"), loaded(directory, precision="int8")
    texts = ["[PAD] red lamp", "red [PAD] [PAD] lamp"]
    assert (whole.encode_documents(texts) * int8.encode_documents(texts)).sum(axis=1).min() > 0.95


def test_int8_is_of_ctranslate2_alone(tmp_path: Path) -> None:
    directory = tiny_model(tmp_path / "tiny")
    with pytest.raises(ConfigurationError, match="int8 is computed by ctranslate2, not by onnx"):
        loaded(directory, precision="int8", runtime="onnx")


def test_by_itself_a_model_too_small_to_gain_stays_on_torch(tmp_path: Path) -> None:
    assert loaded(tiny_model(tmp_path / "tiny")).runtime.name == "torch"
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a model with more weights than `auto` takes for too few."""
    return saved(
        tmp_path / "model", BertModel(BertConfig(**{**SMALL, "vocab_size": 40_000}, **WIDE)), Pooling(32)
    )


def test_by_itself_it_takes_what_was_measured_and_remembers_it(large: Path) -> None:
    first = loaded(large)
    remembered = list((large.parent / "cache").glob("*.json"))
    assert [json.loads(file.read_bytes()) for file in remembered] == [first.runtime.name]
    remembered[0].write_text('"torch"' if first.runtime.name == "ctranslate2" else '"ctranslate2"')
    second = loaded(large)
    assert {first.runtime.name, second.runtime.name} == {"torch", "ctranslate2"}
    np.testing.assert_allclose(first.encode_documents(TEXTS), second.encode_documents(TEXTS), atol=2e-5)


def test_where_nothing_can_be_kept_it_runs_on_torch(large: Path) -> None:
    (large.parent / "cache").write_text("a file where a directory should be")
    assert loaded(large).runtime.name == "torch"


def test_the_proof_sees_what_is_wrong_with_long_texts_alone(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    one, other = loaded(directory, runtime="torch"), loaded(directory, runtime="torch")
    batches = sample_batches(one.tokenizer)
    assert agreement(one.runtime, other.runtime, batches) > 0.99999
    positions = other.runtime.model[0].auto_model.embeddings.position_embeddings.weight
    with torch.no_grad():
        positions[16:] = positions[16:].flip(0)
    assert agreement(one.runtime, other.runtime, batches) < AGREEMENT
