"""By which settings a recorded model is loaded: in its own precision, whatever is configured."""

from pathlib import Path

import pytest

from schemas.control import Model
from shared.encoder.description import describe, recorded
from shared.settings import ModelSettings
from tests.unit.trainer.tiny import tiny_model


def record(location: Path, **update: object) -> Model:
    fields = {
        "model_id": "m",
        "fingerprint": "0" * 16,
        "location": str(location),
        "dimensions": 24,
        "verdict": "imported",
        "created_at": "2026-11-30T00:00:00Z",
        **update,
    }
    return Model.model_validate(fields)


@pytest.mark.parametrize(
    ("configured", "of_record", "loaded"),
    [
        ("auto", "fp32", "auto"),
        ("bf16", "fp32", "bf16"),
        ("int8", "fp32", "auto"),
        ("auto", "int8", "int8"),
        ("fp32", "int8", "int8"),
    ],
)
def test_the_record_decides_about_int8(configured: str, of_record: str, loaded: str) -> None:
    settings = ModelSettings.model_validate({"precision": configured})
    chosen = recorded(settings, record(Path("/models/m"), precision=of_record))
    assert (chosen.precision, chosen.path) == (loaded, Path("/models/m"))


def test_int8_alone_changes_the_fingerprint(tmp_path: Path) -> None:
    directory = tiny_model(tmp_path / "tiny")
    prints = {
        precision: describe(directory, ModelSettings.model_validate({"precision": precision})).fingerprint
        for precision in ("auto", "fp32", "bf16", "int8")
    }
    assert prints["auto"] == prints["fp32"] == prints["bf16"] != prints["int8"]


def test_a_record_without_a_precision_computes_in_fp32() -> None:
    assert record(Path("/models/m")).precision == "fp32"
