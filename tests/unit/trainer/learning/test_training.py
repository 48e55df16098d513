"""Fits of a tiny model: they learn, they resume bit for bit, and leave one whole directory."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.lab.models.shapes import make
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.encoder import TrainableEncoder
from services.trainer.learning.precision import Precision
from services.trainer.learning.train import Trained, train
from shared.encoder.description import read_encoding
from shared.encoder.directory import check_directory
from shared.encoder.loading import load_encoder
from shared.encoder.parity import difference, probes_of, training_probes
from shared.encoder.pipeline import DESCRIPTION
from shared.errors import ConfigurationError
from shared.settings import ModelSettings
from tests.unit.trainer.learning import killed_training
from tests.unit.trainer.tiny import blind_model, tiny_dataset, tiny_model

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "base")


def silent(*_: object) -> None:
    """Tell nobody."""


def fit(base, here, progress=silent, *, model=None, dataset=None, **options) -> Trained:
    return train(
        dataset or tiny_dataset(),
        Recipe.of({"learning_rate": 5e-3, "rows": 16, **options}),
        base=base,
        work=here / "work",
        out=here / "out",
        progress=progress,
        model=model,
    )


def test_an_encoder_learns_and_is_loaded_like_any_other_model(tmp_path):
    base = blind_model(tmp_path / "base")
    trained = fit(base, tmp_path, epochs=8, queries=4)
    check_directory(trained.directory)
    assert (
        load_encoder(ModelSettings(path=base)).fingerprint
        != load_encoder(ModelSettings(path=trained.directory)).fingerprint
    )
    assert lead(base) == pytest.approx(0, abs=1e-3), "to the base every kind is the same"
    assert lead(trained.directory) > 0.1
    assert not (tmp_path / "work").exists()


def shaped(base: Path, place: Path) -> Path:
    """Return a copy of a model that is cut to half its width, and has prompts as E5 has them."""
    shutil.copytree(base, place)
    description = json.loads((place / DESCRIPTION).read_bytes())
    prompts = {"query": "cheap ", "document": "", "passage": "good "}
    (place / DESCRIPTION).write_text(json.dumps({**description, "prompts": prompts, "truncate_dim": 12}))
    return place


def test_a_candidate_has_prompts_and_truncation_of_its_base_in_training_and_when_it_is_served(base, tmp_path):
    shape = shaped(base, tmp_path / "shaped")
    trained = fit(shape, tmp_path, epochs=1)
    settings = ModelSettings(path=trained.directory, precision="fp32", device="cpu")
    encoding, served = read_encoding(trained.directory, settings), load_encoder(settings)
    assert (encoding.query.text, encoding.document.text) == ("cheap ", "good ")
    assert (encoding.dimensions, encoding.pipeline.width) == (12, 24)
    learning = TrainableEncoder(trained.directory, Recipe(), general=(), precision=Precision("cpu", False))
    texts = ["red lamp", "old chair for home"]
    rows = learning.encode([f"good {text}" for text in texts])
    np.testing.assert_allclose(rows, served.encode_documents(texts), atol=1e-5)
    learning.prepare(texts)
    scores = served.encode_queries(["lamp"])[0] @ served.encode_documents(texts).T
    np.testing.assert_allclose(learning.score("lamp", texts), scores, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"lora": 4, "blend": 0.5}])
def test_a_fit_notes_the_vectors_of_its_model_in_memory_as_the_model_is_served(base, tmp_path, options):
    shape = shaped(base, tmp_path / "shaped")
    model = ModelSettings(precision="fp32", device="cpu", query_prompt="old ", max_tokens=16)
    trained = fit(shape, tmp_path, epochs=1, max_tokens=8, model=model, **options)
    assert trained.probes == training_probes(trained.directory)
    served = probes_of(load_encoder(model.model_copy(update={"path": trained.directory})))
    assert [probe.text for probe in served] == [probe.text for probe in trained.probes]
    assert not difference(trained.probes, served, precision="fp32")
    unprompted = probes_of(load_encoder(ModelSettings(path=trained.directory, device="cpu")))
    assert "of the query" in difference(trained.probes, unprompted, precision="fp32")


def test_a_fit_says_of_how_many_texts_it_reads_a_part_only(base, tmp_path):
    assert fit(base, tmp_path / "whole", epochs=1).cut == 0
    long = [it.model_copy(update={"text": f"{it.text} " * 6}) for it in tiny_dataset().products[::2]]
    products = tuple(sorted((*long, *tiny_dataset().products[1::2]), key=lambda it: it.product_id))
    dataset = replace(tiny_dataset(), products=products)
    assert fit(base, tmp_path / "part", epochs=1, max_tokens=8, dataset=dataset).cut == 0.5


def test_a_reranker_notes_no_vectors(base, tmp_path):
    assert fit(base, tmp_path, epochs=1, kind="late-interaction").probes == ()


def test_a_base_of_another_shape_is_refused_by_what_it_is_made_of(tmp_path):
    base = make("Router, asymmetric", tmp_path / "router" / "model")
    with pytest.raises(ConfigurationError, match=r"Router .*: only a transformer that is pooled whole"):
        fit(base, tmp_path)


def lead(model: Path) -> float:
    """Return how much nearer a lamp is than a chair to who looks for a lamp."""
    encoder = load_encoder(ModelSettings(path=model))
    lamp, chair = encoder.encode_documents(["red lamp", "red chair"])
    query = encoder.encode_queries(["lamp for home"])[0]
    return float(query @ lamp - query @ chair)


@pytest.mark.parametrize("kind", ["reranker", "late-interaction"])
def test_the_same_data_set_fits_the_other_kinds(base, tmp_path, kind):
    losses, epochs = [], 6

    def listen(stage: str, share: float, figures: dict[str, float]) -> None:
        losses.extend([figures["loss"]] if "loss" in figures else [])
        assert 0 <= share <= 1

    # Without the curriculum every epoch has the same pairs, so that gradient descent lowers their loss.
    trained = fit(
        base, tmp_path, listen, kind=kind, epochs=epochs, queries=4, patience=epochs, curriculum=False
    )
    steps = len(losses) // epochs
    assert len(losses) == trained.steps == steps * epochs
    assert sum(losses[-steps:]) < sum(losses[:steps])
    check_directory(trained.directory)


def test_adapters_are_merged_and_the_blend_lies_between(base, tmp_path):
    whole = fit(base, tmp_path / "whole", epochs=1, lora=4)
    half = fit(base, tmp_path / "half", epochs=1, lora=4, blend=0.5)
    weights = [_weights(it) for it in (base, half.directory, whole.directory)]
    assert weights[0].keys() == weights[1].keys() == weights[2].keys()
    moved = [name for name in weights[0] if not np.array_equal(weights[0][name], weights[2][name])]
    assert moved
    for name in moved:
        between = (weights[0][name] + weights[2][name]) / 2
        np.testing.assert_allclose(weights[1][name], between, atol=1e-6)


def test_lower_layers_stay_when_only_the_top_is_learned(base, tmp_path):
    before, after = _weights(base), _weights(fit(base, tmp_path, epochs=1, layers=1).directory)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved
    assert not any("embeddings" in name or "layer.0." in name for name in moved)


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(base, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for here in (killed, whole):
        here.mkdir()
        (here / "base").symlink_to(base)
    told = _killed(killed, "checkpoint", "model")
    assert "checkpoint killed=True out=False" in told
    assert "checkpoint resumed" not in told
    assert "model killed=True out=False" in told
    assert "model resumed" in told
    for here in (killed, whole):
        train(
            tiny_dataset(),
            killed_training.RECIPE,
            base=here / "base",
            work=here / "work",
            out=here / "out",
            progress=silent,
        )
    for file in ("model.safetensors", "headrace.json"):
        assert (killed / "out" / file).read_bytes() == (whole / "out" / file).read_bytes()
    assert not list(killed.glob(".*"))


def test_a_run_that_is_done_is_not_done_again(base, tmp_path):
    first = fit(base, tmp_path, epochs=1)
    weights = (first.directory / "model.safetensors").stat().st_mtime_ns
    assert fit(base, tmp_path, epochs=1) == first
    assert (first.directory / "model.safetensors").stat().st_mtime_ns == weights


def test_a_base_that_may_run_code_is_refused(base, tmp_path):
    hostile = tmp_path / "hostile"
    shutil.copytree(base, hostile)
    (hostile / "model.safetensors").rename(hostile / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=r"no \.safetensors weights"):
        fit(hostile, tmp_path)


def _killed(here: Path, *places: str) -> list[str]:
    command = [sys.executable, "-m", "tests.unit.trainer.learning.killed_training", str(here), *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _weights(directory: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file  # noqa: PLC0415 - comes with transformers

    return load_file(directory / "model.safetensors")
