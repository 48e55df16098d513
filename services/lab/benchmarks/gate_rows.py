"""What `headrace bench gate` prints and draws."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.stats import t as student

from schemas.control import TrialEnd, TrialTerms
from services.lab.benchmarks import gate_trials
from services.lab.benchmarks.gate import CandidateOutcome, GateBench
from services.lab.benchmarks.gate_candidates import CandidateSpec
from services.lab.benchmarks.gate_logs import LogSpec, ShopLog
from services.lab.benchmarks.gate_plan import TERMS
from services.lab.benchmarks.gate_trials import SessionPool
from services.lab.benchmarks.gate_truth import TrueDifference, Worth
from services.lab.report import ReportRow
from services.lab.simulation.mined_negatives import GradedNegatives, graded_queries

EFFECTS = (0.01, 0.02, 0.04)
SESSIONS = (2_500, 5_000, 10_000, 20_000, 60_000)
NULL_TRIALS = 2_000
POWER_TRIALS = 400
RIGHT = 0.95
"""Of the trials that answer, those that should be right."""
TODAY = "today: "

Share = Callable[[CandidateOutcome], float]
"""Of a candidate, the probability of something."""
Truth = Callable[[CandidateOutcome], TrueDifference]
HYBRID, VECTORS, NOBODY, TRAFFIC = "hybrid", "vectors", "queries nobody asked", "by traffic"
WHERE: Mapping[str, Truth] = {
    HYBRID: lambda outcome: outcome.hybrid,
    VECTORS: lambda outcome: outcome.vectors,
    NOBODY: lambda outcome: outcome.novel,
    TRAFFIC: lambda outcome: outcome.traffic,
}


def promoted(outcome: CandidateOutcome) -> float:
    """Return the probability that the candidate is served in the end: accepted, or better in its trial."""
    if outcome.gate.answer == "undecided":
        return fmean(shares["better"] for shares in outcome.ends.values())
    return float(outcome.gate.answer == "admitted")


def refused(outcome: CandidateOutcome) -> float:
    """Return the probability that it is refused: by the gate, or as worse in its trial."""
    if outcome.gate.answer == "undecided":
        return fmean(shares["worse"] for shares in outcome.ends.values())
    return float(outcome.gate.answer == "refused")


def today_accepted(outcome: CandidateOutcome) -> float:
    """Return whether the rule of before admits the candidate."""
    return float(outcome.today)


def today_refused(outcome: CandidateOutcome) -> float:
    """Return whether it does not: it knows nothing in between."""
    return 1 - today_accepted(outcome)


def measure(
    bench: GateBench, specs: Sequence[CandidateSpec]
) -> tuple[list[ReportRow], list[CandidateOutcome]]:
    """Return the whole table, the rule of before first, and the outcomes that it is made of."""
    outcomes = bench.outcomes(specs)
    best = max(range(len(outcomes)), key=lambda place: outcomes[place].hybrid.relative)
    pools = bench.pools(specs[best])
    rows = [
        *decision_rows(outcomes),
        *null_rows(pools, bench.trial_sessions, bench.seed),
        *trial_rows(outcomes),
        *power_rows(next(iter(pools.values())), outcomes[best].hybrid.relative, bench.seed),
        *shown_rows(outcomes, bench.shown_with_jitter(specs[0])),
        *term_rows(outcomes),
        *(
            row
            for spec in dict.fromkeys(spec.log for spec in specs)
            for row in negatives_rows(spec, bench.log(spec), graded_queries(bench.catalogue))
        ),
        *candidate_rows(outcomes),
    ]
    return rows, outcomes


def decision_rows(outcomes: Sequence[CandidateOutcome]) -> Iterator[ReportRow]:
    """Yield the rule of before, then the gate with its trials: what became of the better and the worse.

    First by human grades of hybrid search on all queries; at the end also on those that nobody asked, and
    with each query weighed by how often it is asked.
    """
    yield from _decided(outcomes, TODAY, today_refused, today_accepted)
    equal = _those(outcomes, "equal")
    yield _share(f"{TODAY}equal promoted", equal, today_accepted)
    yield from _decided(outcomes, "", refused, promoted)
    for worth in ("better", "equal", "worse"):
        yield _share(f"{worth} left to a trial", _those(outcomes, worth), _is_undecided)
    yield _share("promoted among those equal by human grades", equal, promoted)
    for where in (NOBODY, TRAFFIC):
        yield from _decided(outcomes, TODAY, today_refused, today_accepted, where=where)
        yield from _decided(outcomes, "", refused, promoted, where=where)


def _decided(
    outcomes: Sequence[CandidateOutcome], prefix: str, refuses: Share, accepts: Share, *, where: str = HYBRID
) -> Iterator[ReportRow]:
    better, worse = (_those(outcomes, worth, where) for worth in ("better", "worse"))
    suffix = "" if where == HYBRID else f", {where}"
    yield _share(f"{prefix}better refused{suffix}", better, refuses)
    yield _share(f"{prefix}better accepted{suffix}", better, accepts)
    yield _share(f"{prefix}worse accepted{suffix}", worse, accepts)


def trial_rows(outcomes: Sequence[CandidateOutcome]) -> Iterator[ReportRow]:
    """Yield how trials of candidates that are better or worse end, under each kind of shoppers.

    Last, of all that ended with an answer, the share whose answer is the truth.
    """
    right = answered = 0.0
    for shoppers in outcomes[0].ends if outcomes else ():
        for worth in ("better", "worse"):
            ends = [outcome.ends[shoppers] for outcome in _those(outcomes, worth)]
            if ends:
                shares = {end: fmean(shares[end] for shares in ends) for end in gate_trials.ENDS}
                note = f"{_ended(shares)}; {len(ends)} candidates"
                yield ReportRow(f"trial of a {worth} one ends {worth}, {shoppers}", shares[worth], note=note)
                right += len(ends) * shares[worth]
                answered += len(ends) * (1 - shares["not enough sessions"])
    if answered:
        yield ReportRow(
            "trial right where it answered", right / answered, bound=RIGHT, note="bound: the goal"
        )


def null_rows(pools: Mapping[str, SessionPool], sessions: int, seed: int) -> Iterator[ReportRow]:
    """Yield how often an exactly equal pair is promoted: under each kind of shoppers, then the worst."""
    terms = TrialTerms()
    rates = {}
    for shoppers, pool in pools.items():
        ends = gate_trials.ends(pool.null(), terms, sessions=sessions, trials=NULL_TRIALS, seed=seed)
        rates[shoppers] = ends["better"]
        yield ReportRow(f"equal promoted, {shoppers}", ends["better"], "", terms.error, _ended(ends))
    worst = max(rates.values())
    half = 1.96 * (worst * (1 - worst) / NULL_TRIALS) ** 0.5
    yield ReportRow(
        "equal promoted",
        worst,
        bound=terms.error,
        note=f"± {half:.3f}; the worst of three kinds of shoppers, {NULL_TRIALS:,} trials each of "
        f"{sessions:,} sessions of an exactly equal pair; bound: the stated error",
    )


def power_rows(pool: SessionPool, gain: float, seed: int) -> Iterator[ReportRow]:
    """Yield how often a gain is promoted, by the gain and the number of sessions.

    `pool` are sessions of a candidate that is better by `gain`; a smaller one is some of them, the rest by a
    coin.
    """
    for effect in EFFECTS:
        if effect > gain:
            continue
        diluted = pool.diluted(effect / gain, seed)
        for sessions in SESSIONS:
            ends = gate_trials.ends(diluted, TrialTerms(), sessions=sessions, trials=POWER_TRIALS, seed=seed)
            name = f"power, {effect:+.0%} nDCG@10, {sessions:,} sessions"
            yield ReportRow(name, ends["better"], note=_ended(ends))


def candidate_rows(outcomes: Sequence[CandidateOutcome]) -> Iterator[ReportRow]:
    """Yield each candidate's worth, and what became of it."""
    for outcome in outcomes:
        true = outcome.hybrid
        before = "accepted" if outcome.today else "refused"
        yield ReportRow(
            f"candidate: {outcome.name}",
            true.live + true.mean,
            bound=true.live,
            note=f"{true.worth} ({true.relative:+.1%}); today {before}, now {outcome.gate.answer}, promoted "
            f"{promoted(outcome):.0%}; nobody asked {outcome.novel.relative:+.1%}, by traffic "
            f"{outcome.traffic.relative:+.1%}, vectors {outcome.vectors.relative:+.1%}; "
            f"shown {outcome.shown:.0%}",
            interval=(true.low, true.high),
        )


def term_rows(outcomes: Sequence[CandidateOutcome]) -> Iterator[ReportRow]:
    """Yield what each term of the recipe adds to nDCG@10: the mean over fits, with its interval over fits.

    A pair is a fit with the whole recipe and one on the same log, by the same seed, without the term.
    """
    by_fit = {outcome.fit: outcome for outcome in outcomes if outcome.fit}
    whole = [fit for fit in by_fit if fit.labels == "judgements" and not fit.options]
    for name, (labels, options) in TERMS.items():
        pairs = [
            (by_fit[fit], by_fit[without])
            for fit in whole
            if (without := fit._replace(labels=labels, options=options)) in by_fit
        ]
        for where, truth in WHERE.items():
            if len(pairs) > 1:
                gains = [truth(with_term).mean - truth(without).mean for with_term, without in pairs]
                yield _term(f"term: {name}, {where}", gains)


def shown_rows(outcomes: Sequence[CandidateOutcome], with_jitter: float | None) -> Iterator[ReportRow]:
    """Yield the share of candidates' first pages that had been shown, with and without jitter."""
    shown = [outcome.shown for outcome in outcomes]
    yield ReportRow(
        "first page shown before", fmean(shown), note=f"{min(shown):.0%} to {max(shown):.0%} of a candidate's"
    )
    if with_jitter is not None:
        yield ReportRow(
            "first page shown before, jitter 0.5",
            with_jitter,
            bound=outcomes[0].shown,
            note=f"{outcomes[0].name}; bound: the same without",
        )


def negatives_rows(
    spec: LogSpec, log: ShopLog, grades: Mapping[str, Mapping[str, int]]
) -> Iterator[ReportRow]:
    """Yield what the negatives of a log are, those by the rule of before first; grades by normalised query.

    How many are exact after all, of those that people graded; and how many queries have five or more, of
    those that something is mined for.
    """
    for prefix, mined in ((TODAY, log.negatives_before), ("", log.negatives)):
        numbers = GradedNegatives.of(chain.from_iterable(mined.values()), grades)
        yield ReportRow(
            f"{prefix}negatives: exact of graded, {spec.sessions:,} sessions",
            numbers.exact_share,
            note=f"{numbers.exact:,} of {numbers.graded:,}; {numbers.number:,} negatives",
        )
        yield ReportRow(
            f"{prefix}negatives: queries with five, {spec.sessions:,} sessions",
            numbers.with_enough / max(1, len(mined)),
            note=f"{numbers.with_enough:,} of {len(mined):,} queries",
        )


def plot(outcomes: Sequence[CandidateOutcome], file: Path) -> None:
    """Draw the probability to be served beside the worth, by the rule of before and by the gate."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and for plots only

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    gains = [100 * outcome.hybrid.relative for outcome in outcomes]
    axes.axvspan(-2, 2, color="0.93", label="less than 2 % either way")
    axes.scatter(
        gains, [float(outcome.today) for outcome in outcomes], marker="x", label="the rule of before"
    )
    axes.scatter(
        gains, [promoted(outcome) for outcome in outcomes], marker="o", facecolors="none", edgecolors="C1",
        label="the gate and a trial",
    )  # fmt: skip
    axes.set(
        xlabel="gain in nDCG@10 of hybrid search by human grades, %",
        ylabel="probability to be served",
        ylim=(-0.05, 1.05),
    )
    axes.legend(loc="center left")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, dpi=100)


def _those(outcomes: Sequence[CandidateOutcome], worth: Worth, where: str = HYBRID) -> list[CandidateOutcome]:
    return [outcome for outcome in outcomes if WHERE[where](outcome).worth == worth]


def _ended(shares: Mapping[TrialEnd, float]) -> str:
    return ", ".join(f"{end} {share:.1%}" for end, share in shares.items())


def _is_undecided(outcome: CandidateOutcome) -> float:
    return float(outcome.gate.answer == "undecided")


def _share(name: str, those: Sequence[CandidateOutcome], share: Share) -> ReportRow:
    """Return the row of a share of some candidates; where there is none, the note says so."""
    shares = [share(outcome) for outcome in those]
    if not shares:
        return ReportRow(name, 0.0, note="there is no such candidate")
    return ReportRow(name, fmean(shares), note=f"{sum(shares):.3g} of {len(shares)} candidates")


def _term(name: str, gains: Sequence[float]) -> ReportRow:
    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1)) / len(gains) ** 0.5
    half = float(student.ppf(0.975, len(gains) - 1)) * error
    low, high = mean - half, mean + half
    note = f"[{low:+.4f}, {high:+.4f}] over {len(gains)} pairs of fits"
    return ReportRow(name, mean, note=note, interval=(low, high))
