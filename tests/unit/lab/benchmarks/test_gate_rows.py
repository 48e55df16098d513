"""The rows of `headrace bench gate`: their names are what others read."""

import numpy as np
import pytest

from services.lab.benchmarks import gate_plan, gate_rows
from services.lab.benchmarks.gate import CandidateOutcome
from services.lab.benchmarks.gate_candidates import CandidateSpec, FitSpec
from services.lab.benchmarks.gate_logs import LogSpec
from services.lab.benchmarks.gate_trials import ENDS, SessionPool
from services.lab.benchmarks.gate_truth import TrueDifference
from services.lab.benchmarks.gate_verdict import GateVerdict
from services.lab.simulation.shoppers import SHOPPERS
from shared.errors import ConfigurationError

TRUTH = {
    "better": TrueDifference(0.6, 0.03, 0.01, 0.05),
    "equal": TrueDifference(0.6, 0.0, -0.01, 0.01),
    "worse": TrueDifference(0.6, -0.05, -0.07, -0.03),
}
LOG = LogSpec(1000)


def outcome(worth: str, gate: str, *, today: bool = False, better: float = 0.0, **fields) -> CandidateOutcome:
    ends = {**dict.fromkeys(ENDS, 0.0), "better": better, "worse": 1 - better}
    true = TRUTH[worth]
    return CandidateOutcome(
        **{
            "name": f"{worth} {gate}",
            "hybrid": true,
            "novel": true,
            "traffic": true,
            "vectors": true,
            "today": today,
            "gate": GateVerdict(answer=gate, reason="", weight=0.5),
            "shown": 0.7,
            "ends": dict.fromkeys(SHOPPERS, ends),
            "preference": dict.fromkeys(SHOPPERS, 0.0),
            **fields,
        }
    )


OUTCOMES = [
    outcome("better", "admitted"),
    outcome("better", "undecided", better=0.75),
    outcome("better", "refused", today=True),
    outcome("equal", "undecided", better=0.5),
    outcome("worse", "refused"),
    outcome("worse", "undecided", today=True, better=0.1),
]


def table(outcomes=OUTCOMES) -> dict[str, float]:
    return {row.name: row.value for row in gate_rows.decision_rows(outcomes)}


def test_the_rows_are_named_as_they_are_read_and_the_rule_of_before_comes_first() -> None:
    names = [row.name for row in gate_rows.decision_rows(OUTCOMES)]
    assert names[:4] == [
        "today: better refused",
        "today: better accepted",
        "today: worse accepted",
        "today: equal promoted",
    ]
    assert {"better refused", "better accepted", "worse accepted"} <= set(names)


def test_what_is_undecided_counts_as_its_trials_end() -> None:
    rows = table()
    assert rows["better accepted"] == pytest.approx((1 + 0.75 + 0) / 3)
    assert rows["better refused"] == pytest.approx((0 + 0.25 + 1) / 3)
    assert rows["worse accepted"] == pytest.approx(0.1 / 2)
    assert rows["better left to a trial"] == pytest.approx(1 / 3)


def test_the_rule_of_before_has_no_trials() -> None:
    rows = table()
    assert rows["today: better accepted"] == pytest.approx(1 / 3)
    assert rows["today: better refused"] == pytest.approx(2 / 3)
    assert rows["today: worse accepted"] == pytest.approx(1 / 2)
    assert rows["today: equal promoted"] == 0


def test_where_there_is_no_candidate_of_a_kind_the_note_says_so() -> None:
    rows = {row.name: row for row in gate_rows.decision_rows(OUTCOMES[:3])}
    assert rows["worse accepted"].note == "there is no such candidate"


def test_an_equal_pair_has_its_row_beside_the_stated_error() -> None:
    rng = np.random.default_rng(1)
    pool = SessionPool(rng.normal(0.2, 0.5, 1000).clip(-1, 1), np.ones(1000))
    rows = list(gate_rows.null_rows(dict.fromkeys(SHOPPERS, pool), 500, seed=1))
    assert rows[-1].name == "equal promoted"
    assert rows[-1].bound == 0.05
    assert rows[-1].value == max(row.value for row in rows)


def test_a_term_is_held_against_the_same_fit_without_it_over_fits() -> None:
    outcomes = []
    for seed, gain in enumerate((0.01, 0.02, 0.03)):
        fit = FitSpec(LOG, seed=seed)
        without = fit._replace(options=gate_plan.TERMS["judgement weights"][1])
        for spec, extra in ((fit, gain), (without, 0.0)):
            true = TrueDifference(0.6, extra, 0.0, 0.0)
            outcomes.append(outcome("equal", "undecided", fit=spec, hybrid=true, vectors=true, novel=true))
    rows = {row.name: row for row in gate_rows.term_rows(outcomes)}
    row = rows["term: judgement weights, hybrid"]
    assert row.value == pytest.approx(0.02)
    assert row.interval == pytest.approx((0.02 - 0.0248, 0.02 + 0.0248), abs=1e-3)
    assert not any("mined negatives" in name for name in rows), "what was not fitted has no row"


def test_an_outcome_is_read_as_it_was_written() -> None:
    fitted = outcome("better", "undecided", fit=FitSpec(LOG, options=(("weighted", False), ("negatives", 0))))
    assert CandidateOutcome.model_validate_json(fitted.model_dump_json()) == fitted


def test_the_full_table_has_forty_candidates_and_a_fit_without_each_term() -> None:
    specs = gate_plan.full_table([20_000, 5_000, 1_000], 1)
    assert len(specs) >= 40
    assert len({spec.name for spec in specs}) == len(specs)
    fits = {spec.fit for spec in specs if spec.is_sound}
    for labels, options in gate_plan.TERMS.values():
        assert any(fit is not None and (fit.labels, fit.options) == (labels, options) for fit in fits)


def test_the_first_table_has_good_ones_and_damaged_ones_among_its_first() -> None:
    first = gate_plan.first_table([20_000, 5_000], 1)[:4]
    assert any(spec.fit for spec in first)
    assert any(spec.noise or spec.forgotten for spec in first)
    assert len({spec.fit for spec in gate_plan.first_table([20_000, 5_000], 1)}) <= 5


@pytest.mark.parametrize(("logs", "most"), [([20_000, 5_000, 1_000], 17), ([20_000, 5_000], 16), ([500], 15)])
def test_all_of_the_first_table_can_be_asked_for_and_no_more(logs, most) -> None:
    assert gate_plan.first_of_table(logs, 1, most) == gate_plan.first_table(logs, 1)
    assert gate_plan.first_of_table(logs, 1, 3) == gate_plan.first_table(logs, 1)[:3]
    with pytest.raises(ConfigurationError, match=f"has {most}"):
        gate_plan.first_of_table(logs, 1, most + 1)


def test_what_was_done_to_a_fit_makes_it_another_candidate() -> None:
    assert CandidateSpec("a", LOG, FitSpec(LOG)).is_sound
    assert not CandidateSpec("a", LOG, FitSpec(LOG), share=0.5).is_sound
    assert not CandidateSpec("a", LOG, noise=0.1).is_sound


def test_the_plot_is_drawn(tmp_path) -> None:
    gate_rows.plot(OUTCOMES, tmp_path / "gate.svg")
    assert (tmp_path / "gate.svg").read_text().startswith("<?xml")
