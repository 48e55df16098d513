"""When a model may compute in int8: judged queries decide, and without them what it finds."""

from pathlib import Path

import pytest

from services.trainer.evaluation.domain.quantization import decide
from services.trainer.evaluation.domain.statistics import PairedDifference
from services.trainer.evaluation.quantization import assess
from shared.settings import ModelSettings
from tests.unit.trainer.tiny import KINDS, LOOKS, knowing_model


@pytest.mark.parametrize(("low", "admitted"), [(-0.009, True), (-0.011, False)])
def test_judged_queries_decide_by_the_lower_end_of_the_relative_difference(
    low: float, admitted: bool
) -> None:
    verdict = decide(PairedDifference(0.5, 0.499, low, 0.01, 150), overlap=0.5)
    assert (verdict.admitted, verdict.queries) == (admitted, 150)
    assert verdict.low == pytest.approx(2 * low)
    assert "nDCG@10 -0.2%" in verdict.reason


@pytest.mark.parametrize(("overlap", "admitted"), [(0.9, True), (0.89, False)])
@pytest.mark.parametrize("judged", [None, PairedDifference(0.5, 0.5, 0.0, 0.0, 29)])
def test_with_few_or_none_the_ten_best_decide(
    judged: PairedDifference | None, overlap: float, admitted: bool
) -> None:
    verdict = decide(judged, overlap)
    assert (verdict.admitted, verdict.queries, verdict.effect) == (admitted, 0, None)


def test_a_model_that_knows_its_words_keeps_its_answers_in_int8(tmp_path: Path) -> None:
    model = ModelSettings(path=knowing_model(tmp_path / "knowing"), max_tokens=32, cache=tmp_path / "cache")
    corpus = {f"{kind}-{look}": f"{look} {kind}" for kind in KINDS for look in LOOKS}
    grades = {kind: {f"{kind}-{look}": 3 for look in LOOKS} for kind in KINDS}
    judged, sampled = assess(model, corpus, grades), assess(model, corpus, {})
    assert judged.overlap > 0.5
    assert sampled.overlap > 0.5
    assert judged.queries == 0  # eight are too few
