"""The encoder on sentence-transformers: what makes its vectors, and what does not."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.encoder.choice import load_sentence_encoder
from shared.encoder.description import describe, read_encoding
from shared.encoder.pipeline import DESCRIPTION
from shared.encoder.sentence import SentenceEncoder
from shared.encoder.vectors import UNIT_TOLERANCE, unit
from shared.errors import ConfigurationError, FatalError
from shared.settings import ModelSettings
from tests.unit.trainer.tiny import OTHERS, knowing_model, tiny_model

WORDS = ["red", "lamp", "oak", "chair", "for", "home", "zebra"]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def encoders(directory: Path) -> dict[int, SentenceEncoder]:
    """Return encoders of one model, by the tokens of a pass."""
    return {budget: encoder(directory, token_budget=budget) for budget in (1, 7, 4096)}


def encoder(directory: Path, **settings: object) -> SentenceEncoder:
    common = {"path": directory, "device": "cpu", "precision": "fp32", "threads": 2}
    model = ModelSettings.model_validate({**common, **settings})
    return load_sentence_encoder(read_encoding(directory, model), model)


@hypothesis_settings(max_examples=25)
@given(texts)
def test_how_texts_are_packed_into_passes_does_not_change_their_vectors(
    encoders: dict[int, SentenceEncoder], texts: list[str]
) -> None:
    one, *others = (each.encode_documents(texts) for each in encoders.values())
    for other in others:
        np.testing.assert_allclose(other, one, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=UNIT_TOLERANCE)


def test_several_callers_at_once_get_their_own_vectors(encoders: dict[int, SentenceEncoder]) -> None:
    encoder = encoders[7]
    asked = [[f"{word} lamp"] * 3 + WORDS for word in WORDS]
    alone = [encoder.encode_documents(texts) for texts in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(encoder.encode_documents, asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model whose vector of a text is the mean of its words': what it gives is no chance."""
    return knowing_model(tmp_path_factory.mktemp("models") / "knowing")


def test_what_is_beyond_the_longest_input_is_not_read(knowing: Path) -> None:
    short = encoder(knowing, max_tokens=8)
    start = "red lamp for home red lamp"  # six words, between the two tokens that frame a text
    rows = short.encode_documents([start, f"{start} old drum", "old drum"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    assert rows[0] @ rows[2] < 0.5
    whole = encoder(knowing, max_tokens=32).encode_documents([start, f"{start} old drum"])
    assert whole[0] @ whole[1] < 0.99


def test_what_is_described_without_loading_is_what_is_loaded(directory: Path) -> None:
    for settings in ({}, {"max_tokens": 8}, {"max_tokens": 4096}, {"query_prompt": "red "}):
        loaded = encoder(directory, **settings)
        described = describe(directory, ModelSettings.model_validate({"path": directory, **settings}))
        assert described == (loaded.fingerprint, loaded.dimensions)


@pytest.fixture
def prompted(tmp_path: Path) -> Path:
    """Return a model that knows its words, and whose own configuration has prompts."""
    model = knowing_model(tmp_path / "knowing")
    description = json.loads((model / DESCRIPTION).read_text())
    prompts = {"query": "cheap ", "document": "good "}
    (model / DESCRIPTION).write_text(json.dumps({**description, "prompts": prompts}))
    return model


def test_a_models_own_prompts_go_before_its_texts(prompted: Path) -> None:
    model = encoder(prompted)
    plain = knowing_model(prompted.parent / "plain")
    bare = encoder(plain)
    np.testing.assert_allclose(model.encode_queries(["lamp"]), bare.encode_queries(["cheap lamp"]), atol=1e-5)
    np.testing.assert_allclose(
        model.encode_documents(["lamp"]), bare.encode_documents(["good lamp"]), atol=1e-5
    )
    assert {"cheap", "good"} <= set(OTHERS)  # words that it knows


def test_a_configured_prompt_goes_before_the_models_own_and_makes_another_model(prompted: Path) -> None:
    own, configured = encoder(prompted), encoder(prompted, query_prompt="old ")
    assert own.fingerprint != configured.fingerprint
    assert own.encode_queries(["lamp"])[0] @ configured.encode_queries(["lamp"])[0] < 0.999
    np.testing.assert_allclose(
        own.encode_documents(["lamp"]), configured.encode_documents(["lamp"]), atol=1e-6
    )


def test_a_copy_elsewhere_is_the_same_model(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "copy")
    assert encoder(tmp_path / "copy").fingerprint == encoder(directory).fingerprint


def test_so_many_callers_at_once_as_is_configured(directory: Path) -> None:
    assert encoder(directory, threads=3).threads == 3
    assert encoder(directory, threads=0).threads >= 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_a_wrong_configuration(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="no CUDA device; use auto or cpu"):
        encoder(directory, device="cuda")


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf"), float("-inf")])
def test_a_vector_that_is_none_never_gets_into_an_index(bad: float) -> None:
    rows = np.ones((3, 4), np.float32)
    rows[1] = bad
    with pytest.raises(FatalError, match="its weights are damaged"):
        unit(rows)


@given(st.lists(st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_rows_are_brought_to_unit_length_and_keep_their_direction(rows: list[list[float]]) -> None:
    table = np.array(rows, np.float32) + np.float32(0.5)
    norms = np.linalg.norm(table, axis=1)
    if norms.min() < 1e-3:
        return
    made = unit(table)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=UNIT_TOLERANCE)
    np.testing.assert_allclose((made * table).sum(axis=1), norms, rtol=2e-3)
