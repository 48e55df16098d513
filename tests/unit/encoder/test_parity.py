"""A model that gives other vectors here than where it was evaluated is refused."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from schemas.control import Model, ModelProbe
from shared.encoder.parity import (
    PARITY,
    PROBES,
    RECORD,
    check_parity,
    check_stages,
    probes_of,
    training_probes,
)
from shared.errors import ConfigurationError
from shared.testing.encoder import FakeEncoder


def record(probes: tuple[ModelProbe, ...], precision: str = "fp32") -> Model:
    fields = {
        "model_id": "m",
        "fingerprint": "0" * 16,
        "location": "/models/m",
        "precision": precision,
        "dimensions": 8,
        "verdict": "imported",
        "created_at": "2026-11-30T00:00:00Z",
    }
    return Model.model_validate(fields).model_copy(update={"probes": probes})


def turned(probe: ModelProbe, cosine: float) -> ModelProbe:
    """Return the probe with its vector turned away to this cosine."""
    row = np.frombuffer(base64.b64decode(probe.vector), "<f2").astype(np.float64)
    aside = np.eye(len(row))[np.abs(row).argmin()]
    aside -= (aside @ row) * row / (row @ row)
    other = cosine * row + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside)
    return probe.model_copy(update={"vector": base64.b64encode(other.astype("<f2").tobytes()).decode()})


def test_the_same_vectors_are_the_same_model_and_the_record_keeps_them() -> None:
    encoder = FakeEncoder()
    model = record(probes_of(encoder))
    assert {probe.role for probe in model.probes} == {"query", "document"}
    check_parity(encoder, Model.decode(model.encode()))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("place", [0, -1])
def test_one_vector_beyond_the_bound_refuses_the_model(precision: str, place: int) -> None:
    encoder, bound = FakeEncoder(), PARITY[precision]
    probes = list(probes_of(encoder))
    honest = probes[place]
    probes[place] = turned(honest, bound + (1 - bound) / 2)
    check_parity(encoder, record(tuple(probes), precision))
    probes[place] = turned(honest, bound - (1 - bound) / 2)
    words = f"m: serving differs from evaluation, cosine .* .at least {bound}. of the {honest.role} "
    with pytest.raises(ConfigurationError, match=words + repr(honest.text)[:20]):
        check_parity(encoder, record(tuple(probes), precision))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_record_whose_own_stages_differ_is_refused_without_a_model(precision: str) -> None:
    probes, bound = list(probes_of(FakeEncoder())), PARITY[precision]
    trained = list(probes)
    trained[2] = turned(probes[2], bound - (1 - bound) / 2)
    differing = record(tuple(probes), precision).model_copy(update={"training_probes": tuple(trained)})
    with pytest.raises(ConfigurationError, match=r"evaluation differs from training, .* of the query 'LED"):
        check_stages(differing)
    with pytest.raises(ConfigurationError, match="evaluation differs from training"):
        check_parity(FakeEncoder(), differing)
    trained[2] = turned(probes[2], bound + (1 - bound) / 2)
    check_stages(differing.model_copy(update={"training_probes": tuple(trained)}))


@pytest.mark.parametrize(
    "vector", ["", "no base64", "AAA=", "AHwAfAB8", base64.b64encode(bytes(64)).decode()]
)
def test_what_is_no_vector_never_agrees(vector: str) -> None:
    probes = list(probes_of(FakeEncoder()))
    probes[0] = probes[0].model_copy(update={"vector": vector})
    with pytest.raises(ConfigurationError, match=r"no vector|differs from evaluation"):
        check_parity(FakeEncoder(), record(tuple(probes)))


def test_what_training_noted_is_read_from_the_directory_of_its_model(tmp_path: Path) -> None:
    assert training_probes(tmp_path) == ()
    probes = probes_of(FakeEncoder())
    noted = {PROBES: [probe.model_dump(mode="json") for probe in probes], "steps": 7}
    (tmp_path / RECORD).write_text(json.dumps(noted))
    assert training_probes(tmp_path) == probes
    (tmp_path / RECORD).write_text(json.dumps({PROBES: [{"role": "oracle"}]}))
    with pytest.raises(ConfigurationError, match=RECORD):
        training_probes(tmp_path)


def test_a_record_of_before_has_nothing_to_compare() -> None:
    check_parity(FakeEncoder(), record(()))
