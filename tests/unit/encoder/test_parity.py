"""A model that gives other vectors here than where it was evaluated is refused."""

import base64

import numpy as np
import pytest

from schemas.control import Model, ModelProbe
from shared.encoder.parity import PARITY, check_parity, probes_of
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
    with pytest.raises(ConfigurationError, match="gives another vector here than where it was evaluated"):
        check_parity(encoder, record(tuple(probes), precision))


def test_a_record_of_before_has_nothing_to_compare() -> None:
    check_parity(FakeEncoder(), record(()))
