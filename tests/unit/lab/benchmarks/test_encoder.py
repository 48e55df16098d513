"""What `headrace bench encoder` says of a model, in each runtime that takes it."""

from pathlib import Path

import pytest
from rich.progress import Progress

from services.lab.benchmarks.encoder import KINDS, PLAIN, Measured, measure, rows
from shared.settings import ModelSettings
from tests.unit.trainer.tiny import KINDS as WORDS
from tests.unit.trainer.tiny import tiny_model


def test_the_first_row_holds_the_best_of_fp32_against_the_best_bare_loop_of_fp32() -> None:
    measured = {
        "torch fp32": Measured(ours=4.0, bare=3.8, query_ms=20, cosines=(1, 1)),
        "ctranslate2 fp32": Measured(ours=2.0, bare=1.9, query_ms=9, cosines=(1, 1)),
        "ctranslate2 int8": Measured(ours=1.0, bare=0.9, query_ms=5, cosines=(0.99, 0.996)),
    }
    by_name = {row.name: row for row in rows(measured, 5.0, 100)}
    assert (by_name["texts"].value, by_name["texts"].ratio) == (50, pytest.approx(0.95))
    assert by_name[f"times {PLAIN}, ctranslate2 int8"].value == 5
    assert by_name["texts, ctranslate2 int8"].ratio == pytest.approx(0.9)


def test_a_model_is_measured_in_each_runtime_with_its_vectors_compared(tmp_path: Path) -> None:
    model = ModelSettings(path=tiny_model(tmp_path / "tiny"), max_tokens=32, cache=tmp_path / "cache")
    kinds = {name: kind for name, kind in KINDS.items() if not name.startswith("onnx")}
    with Progress(disable=True) as progress:
        report = measure(model, WORDS, progress=progress, kinds=kinds)
    values = {row.name: row.value for row in report}
    assert values["cosine, least, ctranslate2 fp32"] > 0.9999
    assert 0.9 < values["cosine, least, ctranslate2 int8"] < 1
    assert all(values[f"texts, {name}"] > 0 for name in kinds)
