import pytest

from services.trainer.evaluation.domain.verdict import AdmissionTerms, MetricComparison, decide


def compared(evaluation_set="held_out", live=0.6, candidate=0.65, low=0.02, high=0.08, **other):
    values = {"measure": "nDCG@10", "code": "384 fp32", "queries": 100, **other}
    return MetricComparison(
        evaluation_set=evaluation_set, live=live, candidate=candidate, low=low, high=high, **values
    )


SAME = compared("novel_query", candidate=0.6, low=-0.03, high=0.03)


def test_better_beyond_doubt_and_harmless_elsewhere_is_admitted():
    verdict = decide([compared(), SAME], AdmissionTerms())
    assert verdict.admitted
    assert verdict.reasons[0].startswith("better: nDCG@10 on held_out: 0.6000 -> 0.6500 (+0.0500")
    assert verdict.reasons[1].startswith("not worse by more than 0.02: nDCG@10 on novel_query")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([compared(low=-0.001), SAME], "not better beyond doubt"),
        ([compared(), compared("general", candidate=0.5, low=-0.12, high=-0.08)], "worse by more than 0.02"),
        ([compared(queries=19), SAME], "too few queries to decide by, 20 are wanted"),
        ([SAME], "nothing was judged on held_out"),
        ([], "nothing was judged on held_out"),
    ],
)
def test_what_is_not_shown_is_refused_with_its_reason(found, reason):
    verdict = decide(found, AdmissionTerms())
    assert not verdict.admitted
    assert any(it.startswith(reason) for it in verdict.reasons)


def test_a_ground_with_few_queries_is_named_and_decides_nothing():
    few = compared("zero_shot", candidate=0.1, low=-0.9, high=-0.1, queries=3)
    verdict = decide([compared(), few], AdmissionTerms())
    assert verdict.admitted
    assert "too few queries to say anything" in verdict.reasons[1]


def test_slices_and_smaller_vectors_do_not_decide():
    bad = {"candidate": 0.1, "low": -0.6, "high": -0.4}
    others = [
        compared(part="tail", **bad),
        compared(code="64 binary", **bad),
        compared(measure="R@10", **bad),
    ]
    assert decide([compared(), *others], AdmissionTerms()).admitted
