"""What `headrace rollout` says of a trial: before it starts, and as it stands."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from schemas.control import Model, TrialTerms
from services.cli.trial_view import advice, power_table, share_of, trial_lines, trial_row
from services.rollout.domain.announcement import WIDTH, line
from services.rollout.domain.standing import TrialStanding
from services.rollout.domain.trials.decision import Look, TrialState
from services.rollout.domain.trials.plan import planned_sessions
from shared.errors import ConfigurationError
from shared.generations.trial import Trial

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRIAL = Trial(name="t", live="g1", candidate="g2", terms=TrialTerms(sessions=9_000), began_at=NOON)
LOOK = Look(sessions=400, deciding=200, mean=0.02, low=-0.01, high=0.05)


def standing(*looks):
    state = TrialState(
        interleaved=1_200, rest=1_190, looks=looks, more=8_000, answers=bool(looks) * 2_000, drafted=1_900
    )
    return TrialStanding(state, (6_000, 6_010))


def test_how_a_trial_stands_is_told_with_its_interval():
    row = trial_row(TRIAL, standing(LOOK))
    assert (row["interleaved"], row["rest"], row["asked"], row["places"]) == (
        1_200,
        1_190,
        9_000,
        [6_000, 6_010],
    )
    assert (row["low"], row["high"], row["more"], row["ends_at"][:10]) == (-0.01, 0.05, 8_000, "2026-12-18")
    head, drafted, interval, reason = trial_lines(row)
    assert (row["answers"], row["drafted"]) == (2_000, 1_900)
    assert drafted.startswith("95.0% of 2,000 answers are of both")
    assert "80%" in drafted
    assert head.startswith("g2 is tried against g1: 1,200 of 9,000 interleaved sessions (50% were asked for)")
    assert (interval[:3], interval[-3:]) == ("g1 ", " g2")
    assert "1,190 others" in reason


def test_before_the_first_answer_and_look_there_is_no_more_to_say():
    assert len([*trial_lines(trial_row(TRIAL, standing()))]) == 2


@pytest.mark.parametrize(
    ("low", "mean", "high", "is_decided"),
    [
        (-0.01, 0.02, 0.05, False),
        (0.01, 0.02, 0.05, True),
        (-0.5, -0.4, -0.1, True),
        (0.0, 0.0, 0.0, False),
        (1.0, 1.6, 1.0, True),
    ],
)
def test_the_line_has_neither_in_its_middle_and_the_candidate_to_the_right(low, mean, high, is_decided):
    left, cells, right = line(Look(400, 200, mean, low, high)).split(" ")
    assert len(cells) == WIDTH
    assert ("┃" in cells) == is_decided
    assert (cells.index("●") > WIDTH // 2) == (mean > 0)
    assert float(left.rstrip("%")) == -float(right.rstrip("%"))


@pytest.mark.parametrize(("text", "share"), [("50%", 0.5), ("0.25", 0.25), ("80%", 0.8)])
def test_a_share_is_read_either_way(text, share):
    assert share_of(text) == share


ADVISED = Model(
    model_id="m-2",
    fingerprint="a41d0c5b7e8f9021",
    location="/m",
    dimensions=384,
    verdict="undecided",
    trial_sessions=12_000,
    created_at=NOON,
)


def test_a_trial_takes_as_many_sessions_as_its_models_verdict_advises_and_says_so():
    assert planned_sessions(None, ADVISED) == 12_000
    sentence = advice(None, ADVISED)
    assert "12,000 interleaved sessions, as the verdict on model m-2 advises" in sentence


@pytest.mark.parametrize(
    ("asked", "model"),
    [(500, ADVISED), (500, None), (None, None), (None, ADVISED.model_copy(update={"trial_sessions": None}))],
)
def test_what_is_asked_for_comes_first_and_who_advises_nothing_is_not_quoted(asked, model):
    assert (planned_sessions(asked, model), advice(asked, model)) == (asked, "")


@pytest.mark.parametrize("text", ["81%", "0", "-5%", "half", ""])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ConfigurationError, match="at most 80%"):
        share_of(text)


def test_what_a_trial_can_tell_is_printed_by_gain_and_sessions():
    console = Console(width=100, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(power_table(0.025, 7_000))
    rows = [row.split() for row in captured.get().splitlines() if "%" in row][2:]
    assert "7,000" in [row[0] for row in rows]
    percents = [[int(cell.rstrip("%")) for cell in row[1:]] for row in rows]
    assert all(row == sorted(row) for row in percents)
    assert percents == sorted(percents)
