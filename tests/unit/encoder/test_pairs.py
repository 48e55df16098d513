"""Models that read a query beside a product: one score a text, whatever else is asked and remembered."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder, MultiVectorEncoder

from shared.encoder.pairs import LateInteraction, load
from shared.errors import ConfigurationError
from tests.unit.trainer.tiny import tiny_model

QUERY = "red lamp for home"
TEXTS = ["red lamp", "old drum", "", "small oak chair for home", "red lamp"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a random model of each kind."""
    directory = tmp_path_factory.mktemp("models")
    tiny_model(directory / "encoder")
    base = str(directory / "encoder-parts")
    CrossEncoder(base, num_labels=1, device="cpu").save_pretrained(str(directory / "cross"))
    MultiVectorEncoder(base, device="cpu").save_pretrained(str(directory / "late"))
    return directory


@pytest.mark.parametrize("kind", ["cross", "late"])
def test_each_text_has_its_own_score_in_its_place(models: Path, kind: str) -> None:
    model = load(models / kind)
    scores = model.score(QUERY, TEXTS)
    assert len(scores) == len(TEXTS)
    assert all(type(score) is float for score in scores)
    for text, score in zip(TEXTS, scores, strict=True):
        assert model.score(QUERY, [text]) == pytest.approx([score], abs=1e-4)
    assert model.score(QUERY, list(reversed(TEXTS))) == pytest.approx(scores[::-1], abs=1e-4)


@pytest.mark.parametrize("kind", ["cross", "late"])
def test_no_texts_have_no_scores(models: Path, kind: str) -> None:
    assert load(models / kind).score(QUERY, []) == []


def test_a_cross_encoders_score_is_the_logit_before_any_squashing(models: Path) -> None:
    plain = CrossEncoder(str(models / "cross"), device="cpu").predict([(QUERY, text) for text in TEXTS])
    scores = load(models / "cross").score(QUERY, TEXTS)
    assert [1 / (1 + math.exp(-score)) for score in scores] == pytest.approx(
        [float(p) for p in plain], abs=1e-5
    )


def test_to_late_interaction_nothing_is_nearer_than_the_query_itself(models: Path) -> None:
    same, *others = load(models / "late").score(QUERY, [QUERY, *TEXTS])
    assert same == pytest.approx(1, abs=1e-3)
    assert max(others) <= same + 2e-3  # they are kept in half precision


def test_another_kind_of_model_is_refused(models: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither a cross-encoder nor a late-interaction model"):
        load(models / "encoder")


def test_a_damaged_model_is_refused_with_its_directory(models: Path, tmp_path: Path) -> None:
    for file in (models / "cross").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "no such architecture"}')
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        load(tmp_path)


def test_a_cross_encoder_calls_an_activation_and_nothing_else_of_torch(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "cross", tmp_path / "cross")
    file = tmp_path / "cross" / "config_sentence_transformers.json"
    said = json.loads(file.read_bytes())
    assert said["activation_fn"] == "torch.nn.modules.activation.Sigmoid"
    file.write_text(json.dumps({**said, "activation_fn": "torch.random.seed"}))
    CrossEncoder(str(tmp_path / "cross"), device="cpu")  # the library calls it
    with pytest.raises(ConfigurationError, match=r"activation_fn is 'torch\.random\.seed'"):
        load(tmp_path / "cross")


def test_pickled_weights_are_refused_before_anything_is_loaded(models: Path, tmp_path: Path) -> None:
    for file in (models / "cross").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=r"no \.safetensors weights"):
        load(tmp_path)


# What is remembered


class Letters:
    """A multi-vector model whose tokens are letters; it counts what it was asked to embed."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def encode_query(self, texts: Sequence[str], **_: object) -> list[np.ndarray]:
        return [self._rows(text) for text in texts]

    def encode_document(self, texts: Sequence[str], **_: object) -> list[np.ndarray]:
        self.embedded += texts
        return [self._rows(text) for text in texts]

    def _rows(self, text: str) -> np.ndarray:
        rows = np.zeros((len(text), 26), np.float32)
        for row, letter in enumerate(text):
            rows[row, ord(letter) - ord("a")] = 1
        return rows


asked = st.lists(st.lists(st.text("abc", max_size=3), max_size=5), min_size=1, max_size=5)


def test_the_score_is_the_mean_over_the_querys_tokens_of_the_best_in_the_text() -> None:
    model = LateInteraction(Letters(), remember=0)  # type: ignore[arg-type]
    assert model.score("abcd", ["abcd", "ab", "xy", "ba", ""]) == [1.0, 0.5, 0.0, 0.5, 0.0]


@given(asked, st.integers(0, 6))
def test_memory_never_changes_a_score_and_never_grows_beyond_what_it_may_hold(asked, remember) -> None:
    one, other = LateInteraction(Letters(), remember=remember), LateInteraction(Letters(), remember=0)  # type: ignore[arg-type]
    for texts in asked:
        assert one.score("abca", texts) == other.score("abca", texts)
        assert len(one._known) <= remember


@given(asked, st.integers(1, 6))
def test_what_was_seen_last_is_not_embedded_again(asked, remember) -> None:
    letters = Letters()
    model = LateInteraction(letters, remember=remember)  # type: ignore[arg-type]
    seen: list[str] = []
    for texts in asked:
        letters.embedded.clear()
        model.score("a", texts)
        remembered = list(dict.fromkeys(reversed(seen)))[:remember]
        assert letters.embedded == [text for text in dict.fromkeys(texts) if text not in remembered]
        seen += texts
