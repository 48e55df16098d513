"""Which candidates are made: good ones, equal ones, damaged ones, from logs of several sizes."""

from collections.abc import Iterator, Mapping, Sequence

from services.lab.benchmarks.gate_candidates import CandidateSpec, FitSpec
from services.lab.benchmarks.gate_logs import Labels, LogSpec
from shared.errors import ConfigurationError

PROMPT = "Represent this sentence for searching relevant passages: "
"""Of another model, so that it means nothing to this one."""
ONCE = (("epochs", 1),)
"""People graded so many more products than shoppers were shown that one epoch is enough."""
Without = tuple[Labels, tuple[tuple[str, bool | int | float], ...]]
TERMS: Mapping[str, Without] = {
    "judgement weights": ("judgements", (("weighted", False),)),
    "bias correction": ("raw rates", ()),
    "mined negatives": ("judgements", (("negatives", 0),)),
    "positive_grade 1.5": ("judgements", (("positive_grade", 0.1),)),
    "contrast": ("judgements", (("contrast", 0.0),)),
    "both directions": ("judgements", (("both_directions", False),)),
    "the whole recipe": (
        "clicks",
        (
            ("weighted", False),
            ("negatives", 0),
            ("positive_grade", 0.1),
            ("contrast", 0.0),
            ("both_directions", False),
        ),
    ),
}
"""Of each term of the recipe, what a fit without it is; without them all: plain in-batch loss on clicks."""


def first_table(sessions: Sequence[int], seed: int) -> list[CandidateSpec]:
    """Return candidates of few fits, those that tell most first."""
    large, *smaller = (LogSpec(size, seed) for size in sorted(sessions, reverse=True))
    small = smaller[-1] if smaller else large
    fit, grades = FitSpec(large, seed=seed), FitSpec(large, "grades", ONCE, seed)
    return [
        _fitted(grades),
        _fitted(fit),
        CandidateSpec("noise in the weights", large, noise=0.5, seed=seed),
        CandidateSpec("a wrong prompt", large, prompt=PROMPT, seed=seed),
        CandidateSpec("half of the way to human grades", large, grades, share=0.5, seed=seed),
        *(_fitted(FitSpec(log, seed=seed)) for log in smaller),
        CandidateSpec("half of the way to the judgements", large, fit, share=0.5, seed=seed),
        CandidateSpec("a tenth of the products swapped", large, swapped=0.1, seed=seed),
        CandidateSpec("human grades, judged by the smallest log", small, grades, seed=seed),
        CandidateSpec(
            "human grades, a third of the products swapped", large, grades, swapped=1 / 3, seed=seed
        ),
        CandidateSpec("beyond the judgements", large, fit, share=1.5, seed=seed),
        CandidateSpec("a quarter of the way to human grades", large, grades, share=0.25, seed=seed),
        _fitted(FitSpec(large, "shuffled", ONCE, seed)),
        CandidateSpec("words forgotten, a third", large, forgotten=1 / 3, seed=seed),
        CandidateSpec("a little noise in the weights", small, noise=0.05, seed=seed),
        CandidateSpec("words forgotten, a tenth", small, forgotten=0.1, seed=seed),
    ]


def first_of_table(sessions: Sequence[int], seed: int, candidates: int) -> list[CandidateSpec]:
    """Return so many of the first table; raises `ConfigurationError` where these logs give fewer."""
    table = first_table(sessions, seed)
    if candidates > len(table):
        raise ConfigurationError(
            f"--candidates {candidates}: of {len(sessions)} logs the first table has {len(table)}"
        )
    return table[:candidates]


def full_table(sessions: Sequence[int], seed: int, seeds: int = 2) -> list[CandidateSpec]:
    """Return those, and of each log and seed the whole recipe beside that without each of its terms."""
    specs = [*first_table(sessions, seed), *ablation(sessions, range(seed, seed + seeds))]
    return list(dict.fromkeys(specs))


def ablation(sessions: Sequence[int], seeds: Sequence[int]) -> Iterator[CandidateSpec]:
    """Yield the fits that say which terms pay: seeds are of shoppers and fit alike."""
    for seed in seeds:
        for size in sorted(sessions, reverse=True):
            log = LogSpec(size, seed)
            yield _fitted(FitSpec(log, seed=seed))
            for labels, options in TERMS.values():
                yield _fitted(FitSpec(log, labels, options, seed))


def _fitted(fit: FitSpec) -> CandidateSpec:
    """Return the fit as it is, named by what makes it."""
    options = "".join(f", {name} {value}" for name, value in fit.options)
    name = f"fitted to {fit.labels}{options}, {fit.log.sessions:,} sessions, seed {fit.seed}"
    return CandidateSpec(name, fit.log, fit)
