"""`headrace bench gate`: whether the gate keeps the better models, and only those.

Candidates whose worth is known by human grades are made from logs of simulated shoppers, who see exactly what
search answers, ten a page. For each: the gate's answer, that of the rule of before, and how its trial ends
under three kinds of shoppers. A fit, the vectors of a candidate and a result are a file each, whole or not at
all: a run that was stopped goes on after the last of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from statistics import fmean

import numpy as np
from rich.progress import Progress

from schemas.base import Value
from schemas.control import TrialEnd, TrialTerms
from services.lab.benchmarks import gate_today, gate_trials, training_ablation
from services.lab.benchmarks.gate_candidates import CandidateShelf, CandidateSpec, Embedded, FitSpec
from services.lab.benchmarks.gate_logs import PAGE, LogSpec, ShopLog, simulated_log, taught
from services.lab.benchmarks.gate_trials import SessionPool, TrialPages, sessions_of
from services.lab.benchmarks.gate_truth import TrueDifference, difference
from services.lab.benchmarks.gate_verdict import GateVerdict, judged
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.mined_negatives import graded_queries
from services.lab.simulation.shoppers import SHOPPERS
from services.lab.simulation.traffic import JITTER
from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.hybrid import HybridSearch
from services.trainer.evaluation.sets import EvaluationSet
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.evaluation.words import Words
from shared.catalogue.query_text import normalise
from shared.directories import replace_file
from shared.retrieval import quality
from shared.version import code_version

MEASURE = "nDCG@10"
NOVEL_SHARE = 1 / 3
"""Of the queries, those that no shopper asks."""
SHOP = ShopSearch()
"""How search answers unless somebody sets it up in another way."""
POOL = 20_000
"""Simulated sessions that trials draw from."""


class CandidateOutcome(Value):
    """What a candidate is worth, and what became of it."""

    name: str
    fit: FitSpec | None = None
    """How it was fitted, unless it was damaged since."""
    hybrid: TrueDifference
    """By human grades of hybrid search, on all queries; likewise the following."""
    novel: TrueDifference
    """On queries that no shopper asked."""
    traffic: TrueDifference
    """Each query weighed by how often it is asked."""
    vectors: TrueDifference
    today: bool
    """Whether the rule of before admits it."""
    gate: GateVerdict
    shown: float
    """Share of its first page, by discount, that had been shown for the query: mean of the asked queries."""
    ends: Mapping[str, Mapping[TrialEnd, float]]
    """By shoppers, the share of its trials that ended in each way."""
    preference: Mapping[str, float]
    """By shoppers, what the candidate got more than the live one, of all that they acted upon."""


@dataclass
class GateBench:
    """One run on one catalogue; what it makes is kept in `work`."""

    catalogue: GradedCatalogue
    work: Path
    progress: Progress
    seed: int = 1
    trial_sessions: int = 20_000
    trials: int = 200
    """Of each candidate under each kind of shoppers."""
    pool: int = POOL
    _logs: dict[LogSpec, ShopLog] = field(default_factory=dict)

    def outcomes(self, specs: Sequence[CandidateSpec]) -> list[CandidateOutcome]:
        """Make every candidate, judge it, and try it; what a run before has done is read."""
        bar = self.progress.add_task("candidates", total=len(specs))
        outcomes = []
        for spec in specs:
            self.progress.update(bar, description=spec.name)
            outcomes.append(self._outcome(spec))
            self.progress.advance(bar)
        return outcomes

    def pools(self, spec: CandidateSpec) -> dict[str, SessionPool]:
        """Return sessions of a trial of a candidate that has an outcome, under each kind of shoppers."""
        files = {name: self._file("sessions", spec, name) for name in SHOPPERS}
        return {name: SessionPool.unpack(file.read_bytes()) for name, file in files.items()}

    def log(self, spec: LogSpec) -> ShopLog:
        """Return the log that such shoppers leave; it is made once."""
        if spec not in self._logs:
            self._logs[spec] = simulated_log(spec, self._asked, self._answers, live=self._live.shop)
        return self._logs[spec]

    def shown_with_jitter(self, spec: CandidateSpec) -> float:
        """Return the share of the candidate's first page that had been shown, had lists been jittered."""
        jittered = self.log(spec.log._replace(jitter=JITTER))
        return self._shown(self._hybrid(self._candidate(spec), SHOP.live_weight), jittered)

    @cached_property
    def _folder(self) -> Path:
        """Where what is made of this catalogue is kept."""
        shop = self.catalogue
        content = (
            shop.products,
            shop.queries,
            sorted((query, sorted(row.items())) for query, row in shop.grades.items()),
        )
        return self.work / sha256(repr(content).encode()).hexdigest()[:16]

    @cached_property
    def _shelf(self) -> CandidateShelf:
        texts = [query.text for query in self.catalogue.queries]
        bar = self.progress.add_task("", total=1000, visible=False)

        def show(stage: str, share: float, _: Mapping[str, float]) -> None:
            self.progress.update(bar, description=stage, completed=int(1000 * share), visible=share < 1)

        queries = list(dict.fromkeys([*texts, *map(normalise, texts)]))
        return CandidateShelf(self._folder, training_ablation.texts(self.catalogue), queries, show)

    @cached_property
    def _live(self) -> Embedded:
        return self._shelf.base()

    @cached_property
    def _words(self) -> Words:
        return Words(training_ablation.indexed_texts(self.catalogue), SHOP.text)

    @cached_property
    def _asked(self) -> GradedCatalogue:
        """The catalogue with the queries that shoppers ask."""
        order = np.random.default_rng(self.seed).permutation(len(self.catalogue.queries))
        kept = order[round(NOVEL_SHARE * len(order)) :]
        return replace(self.catalogue, queries=tuple(self.catalogue.queries[place] for place in sorted(kept)))

    @cached_property
    def _answers(self) -> dict[str, list[str]]:
        """What search answers with the live model, by query id."""
        return self._hybrid(self._live, SHOP.live_weight)

    def _hybrid(self, model: Embedded, weight: float) -> dict[str, list[str]]:
        search = HybridSearch(model.shop, self._words, SHOP, weight)
        return {query.id: search.ranked(query.text)[: quality.DEPTH] for query in self.catalogue.queries}

    def _candidate(self, spec: CandidateSpec) -> Embedded:
        if spec.fit is None:
            return self._shelf.candidate(spec, None)
        grades = graded_queries(self.catalogue)
        dataset = taught(self.log(spec.fit.log), spec.fit.labels, grades, seed=spec.fit.seed)
        return self._shelf.candidate(spec, dataset)

    def _outcome(self, spec: CandidateSpec) -> CandidateOutcome:
        file = self._file("results", spec, self.trial_sessions, self.trials)
        if not file.is_file():
            replace_file(file, self._measured(spec).model_dump_json(indent=1).encode())
        return CandidateOutcome.model_validate_json(file.read_bytes())

    def _measured(self, spec: CandidateSpec) -> CandidateOutcome:
        log, candidate = self.log(spec.log), self._candidate(spec)
        by_set = gate_today.values(log.dataset, self._live, candidate)
        verdict = judged(log.dataset, self._live, candidate, words=self._words, shop=SHOP)
        answers = self._hybrid(candidate, verdict.weight)
        live, new = self._values(self._answers), self._values(answers)
        asked = {query.text for query in self._asked.queries}
        pools = {name: self._pool(spec, name, answers) for name in SHOPPERS}
        return CandidateOutcome(
            name=spec.name,
            fit=spec.fit if spec.is_sound else None,
            hybrid=difference(live, new),
            novel=difference(live, new, {text: 1.0 for text in live if text not in asked}),
            traffic=difference(live, new, log.visits),
            vectors=difference(*(self._vector_values(model) for model in (self._live, candidate))),
            today=gate_today.admits(by_set),
            gate=verdict,
            shown=self._shown(answers, log),
            ends={name: self._ends(pool) for name, pool in pools.items()},
            preference={name: pool.preference for name, pool in pools.items()},
        )

    def _ends(self, pool: SessionPool) -> dict[TrialEnd, float]:
        return gate_trials.ends(
            pool, TrialTerms(), sessions=self.trial_sessions, trials=self.trials, seed=self.seed
        )

    def _pool(self, spec: CandidateSpec, shoppers: str, answers: quality.Rankings) -> SessionPool:
        file = self._file("sessions", spec, shoppers)
        if not file.is_file():
            pages = TrialPages(self.catalogue, self._answers, answers, self.catalogue.queries)
            pool = sessions_of(pages, SHOPPERS[shoppers], count=self.pool, seed=self.seed)
            replace_file(file, pool.pack())
        return SessionPool.unpack(file.read_bytes())

    def _values(self, answers: quality.Rankings) -> dict[str, float]:
        """Return nDCG@10 by human grades, by the text of the query."""
        values = quality.values(self._grades, answers, [MEASURE])[MEASURE]
        return {query.text: values[query.id] for query in self.catalogue.queries}

    def _vector_values(self, model: Embedded) -> dict[str, float]:
        texts = {query.text: self._grades[query.id] for query in self.catalogue.queries}
        rows = model.shop.ranked(EvaluationSet("grades", texts), WHOLE)
        return quality.values(texts, rows, [MEASURE])[MEASURE]

    @cached_property
    def _grades(self) -> dict[str, Mapping[str, int]]:
        return {query.id: self.catalogue.grades.get(query.id, {}) for query in self.catalogue.queries}

    def _shown(self, answers: quality.Rankings, log: ShopLog) -> float:
        return fmean(
            quality.shown_share(answers[query.id][:PAGE], log.shown.get(query.text, frozenset()))
            for query in self._asked.queries
        )

    def _file(self, kind: str, *values: object) -> Path:
        """Return where a thing is kept: what it follows from is in its name, the code's version too."""
        name = sha256(repr((values, self.seed, self.pool, code_version())).encode()).hexdigest()[:16]
        directory = self._folder / kind
        directory.mkdir(parents=True, exist_ok=True)
        return directory / name
