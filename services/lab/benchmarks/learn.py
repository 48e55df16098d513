"""`headrace bench learn`: what each part of the learning loop adds, on human grades that it never saw.

Shoppers with a known click model use a shop whose products, queries and grades are real. The model learns
from what they did, and is judged by the grades. Each query is novel once (k-fold), so that all of them
count; differences are paired, query by query. What is added comes one after the other, so a row's
difference to the row above is that part's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import orjson
from rich.progress import Progress, TaskID

from schemas.base import Scalar
from services.lab.benchmarks import training_ablation
from services.lab.benchmarks.training_ablation import Shoppers, Supervision
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.traffic import Ranker
from services.trainer.dataset.domain.dataset import Dataset, HardNegative
from services.trainer.evaluation.codes import WHOLE, Code
from services.trainer.evaluation.domain.statistics import PairedDifference, paired
from services.trainer.evaluation.general import general
from services.trainer.evaluation.hybrid import HybridSearch
from services.trainer.evaluation.sets import EmbeddedCorpus, EvaluationSet, embed
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.evaluation.words import Words
from services.trainer.learning.domain.recipe import QUICK, Recipe
from services.trainer.learning.train import train
from shared.directories import replace_file
from shared.encoder.directory import packaged_directory
from shared.encoder.loading import load_encoder
from shared.retrieval import quality
from shared.settings import ModelSettings

Option = Scalar | tuple[Scalar, ...]

MEASURE = "nDCG@10"
SHARES = {"1/2": 1 / 2, "1/3": 1 / 3, "1/6": 1 / 6}
NOVEL_QUERIES, IN_DOMAIN, EVERYDAY = "novel queries", "in-domain", "everyday questions"
BASE = "base"
COARSER = ("+ mined negatives", "+ Matryoshka")
"""Steps that are also judged in shorter and coarser vectors: what Matryoshka adds shows there."""

Scores = dict[tuple[str, str], dict[str, list[float]]]
"""Of each row and evaluation set: the values of each query, one of each fold in which it was asked."""


Embeddings = tuple[EmbeddedCorpus, EmbeddedCorpus]
"""The shop, and the everyday questions with their answers."""


class FoldScores(NamedTuple):
    """A row's value of each query of an evaluation set, in one fold."""

    row: str
    evaluation_set: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """One more part of the loop: how the log is read, and the recipe."""

    name: str
    supervision: Supervision
    recipe: Recipe


@dataclass
class Bench:
    """One run on one catalogue."""

    catalogue: GradedCatalogue
    folds: int
    seed: int
    progress: Progress
    work: Path
    """Figures of what is done are kept here: a run that was stopped goes on after the last fit."""

    def measure(self, sessions: int) -> list[ReportRow]:
        """Return the rows: each step on novel queries and in-domain, then sizes and precisions."""
        bar = self.progress.add_task("base: products embedded", total=1)
        base = self._embedded(packaged_directory())
        self.progress.advance(bar)
        bar = self.progress.add_task("shoppers", total=1)
        ranker = Ranker.like(self._answers(base[0]))
        shoppers = training_ablation.watch(self.catalogue, sessions, self.seed, ranker=ranker)
        self.progress.advance(bar)
        steps = _steps(shoppers, training_ablation.negatives(shoppers, base[0], self.catalogue), self.seed)
        bar = self.progress.add_task("fits", total=1000 * self.folds * len(steps))
        self.work.mkdir(parents=True, exist_ok=True)
        values: Scores = {}
        for fold in range(self.folds):
            evaluation_sets = self._evaluation_sets(shoppers, fold)
            _gather(values, _figures(base, evaluation_sets, BASE, all_codes=True))
            for step in steps:
                _gather(values, self._step(step, shoppers, fold, evaluation_sets=evaluation_sets, bar=bar))
        return list(_rows(values, [step.name for step in steps]))

    def _step(
        self,
        step: Step,
        shoppers: Shoppers,
        fold: int,
        *,
        evaluation_sets: Sequence[EvaluationSet],
        bar: TaskID,
    ) -> list[FoldScores]:
        """Return a step's figures on one fold: those of an earlier run, or of a fit."""
        done = self.progress.tasks[bar].completed
        taught_queries = frozenset(self._texts()) - self._novel(fold)
        data = training_ablation.dataset(self.catalogue, shoppers, step.supervision, taught_queries)
        name = sha256(
            repr((step.name, step.recipe, sorted(taught_queries), data.pairs, data.negatives)).encode()
        )
        file = self.work / f"{name.hexdigest()[:16]}.json"
        if file.exists():
            parts = [FoldScores(*part) for part in orjson.loads(file.read_bytes())]
        else:
            self.progress.update(bar, description=f"fold {fold + 1}: {step.name}")
            tuned = self._fitted(step.recipe, data, bar=bar)
            parts = _figures(tuned, evaluation_sets, step.name, all_codes=step.name in COARSER)
            replace_file(file, orjson.dumps([[*part] for part in parts]))
        self.progress.update(bar, completed=done + 1000)
        return parts

    def _fitted(self, recipe: Recipe, data: Dataset, *, bar: TaskID) -> Embeddings:
        """Fit a model and embed everything with it."""
        began = self.progress.tasks[bar].completed
        with TemporaryDirectory(prefix="headrace-bench-") as directory:
            trained = train(
                data,
                recipe,
                base=packaged_directory(),
                work=Path(directory, "work"),
                out=Path(directory, "model"),
                progress=lambda _, share, __: self.progress.update(bar, completed=began + int(600 * share)),
            )
            return self._embedded(trained.directory)

    def _embedded(self, model: Path) -> Embeddings:
        corpus = training_ablation.texts(self.catalogue)
        encoder, (everyday, texts) = load_encoder(ModelSettings(path=model)), general()
        return embed(encoder, corpus, self._texts()), embed(encoder, texts, everyday.queries)

    def _answers(self, base: EmbeddedCorpus) -> dict[str, list[str]]:
        """Return what hybrid search with the base model shows to shoppers."""
        shop = ShopSearch()
        words = Words(training_ablation.indexed_texts(self.catalogue), shop.text)
        search = HybridSearch(base, words, shop, shop.live_weight)
        return {query.id: search.ranked(query.text)[: quality.DEPTH] for query in self.catalogue.queries}

    def _texts(self) -> list[str]:
        return sorted({query.text for query in self.catalogue.queries})

    def _novel(self, fold: int) -> frozenset[str]:
        """Return the queries that nobody asks in this fold's log."""
        order = np.random.default_rng(self.seed).permutation(len(texts := self._texts()))
        return frozenset(texts[number] for number in order[fold :: self.folds])

    def _evaluation_sets(self, shoppers: Shoppers, fold: int) -> list[EvaluationSet]:
        novel = self._novel(fold)
        taught: dict[str, set[str]] = {}
        for key in shoppers.counts:
            query = shoppers.texts[key.query]
            if not training_ablation.is_held_out(query, key.product_id):
                taught.setdefault(query, set()).add(key.product_id)
        graded = {query.text: self.catalogue.grades.get(query.id, {}) for query in self.catalogue.queries}
        unlearned = {
            query: {
                product_id: grade
                for product_id, grade in row.items()
                if product_id not in taught.get(query, ())
            }
            for query, row in graded.items()
            if query not in novel
        }
        in_domain = {
            query: row for query, row in unlearned.items() if max(row.values(), default=0) >= quality.RELEVANT
        }
        excluded = {query: frozenset(taught.get(query, ())) for query in in_domain}
        return [
            EvaluationSet(NOVEL_QUERIES, {query: row for query, row in graded.items() if query in novel}),
            EvaluationSet(IN_DOMAIN, in_domain, excluded),
        ]


def _steps(shoppers: Shoppers, mined: Mapping[str, Sequence[HardNegative]], seed: int) -> list[Step]:
    """Return the parts of the loop, each with those before it."""
    none: dict[str, Sequence[HardNegative]] = {}
    full: dict[str, Option] = {**QUICK, "seed": seed, "prefixes": (1.0,)}
    clicks: dict[str, Option] = {
        **full,
        "weighted": False,
        "contrast": 0.0,
        "both_directions": False,
        "positive_grade": 0.1,
    }
    fair = Supervision(training_ablation.corrected(shoppers), none)
    return [
        Step("MNRL on clicks", Supervision(training_ablation.clicks(shoppers), none), Recipe.of(clicks)),
        Step("+ judgement weights", Supervision(training_ablation.raw(shoppers), none), Recipe.of(full)),
        Step("+ bias correction", fair, Recipe.of(full)),
        Step("+ mined negatives", Supervision(fair.values, mined), Recipe.of(full)),
        Step(
            "+ Matryoshka",
            Supervision(fair.values, mined),
            Recipe.of({**full, "prefixes": (1.0, *SHARES.values())}),
        ),
    ]


def _figures(
    embeddings: Embeddings, evaluation_sets: Sequence[EvaluationSet], name: str, *, all_codes: bool
) -> list[FoldScores]:
    """Return each query's figures; with `all_codes` also those of shorter and coarser vectors."""
    embedded, everyday = embeddings
    questions, _ = general()
    codes = {name: WHOLE} | (dict(_codes(name)) if all_codes else {})
    return [FoldScores(name, EVERYDAY, _ndcg(everyday, questions, WHOLE))] + [
        FoldScores(row, evaluation_set.name, _ndcg(embedded, evaluation_set, code))
        for evaluation_set in evaluation_sets
        for row, code in codes.items()
    ]


def _ndcg(corpus: EmbeddedCorpus, evaluation_set: EvaluationSet, code: Code) -> Mapping[str, float]:
    """Return nDCG@10 of each query of the set, searched in vectors of that size and precision."""
    return quality.values(evaluation_set.grades, corpus.ranked(evaluation_set, code), [MEASURE])[MEASURE]


def _gather(values: Scores, parts: Sequence[FoldScores]) -> None:
    for part in parts:
        of_row = values.setdefault((part.row, part.evaluation_set), {})
        for query, value in part.values.items():
            of_row.setdefault(query, []).append(value)


def _codes(name: str) -> Iterator[tuple[str, Code]]:
    for share, part in SHARES.items():
        yield f"{name}, {share} of the dimensions", Code(part)
    for precision in ("int8", "binary"):
        yield f"{name}, {precision}", Code(precision=precision)
        yield f"{name}, {precision} rescored", Code(precision=precision, rescored=True)


def _rows(values: Scores, steps: Sequence[str]) -> Iterator[ReportRow]:
    """Yield the ablation, then what is left of it in shorter and coarser vectors."""
    for of_set in (NOVEL_QUERIES, IN_DOMAIN, EVERYDAY):
        for before, name in zip((BASE, BASE, *steps), (BASE, *steps), strict=False):
            yield _row(values, name, of_set, against=BASE, row_above=before)
    for of_set in (NOVEL_QUERIES, IN_DOMAIN):
        for name, row_set in values:
            whole = name.split(", ")[0]  # rows of shorter and coarser vectors: "+ Matryoshka, int8"
            if row_set == of_set and name != whole:
                yield _row(values, name, of_set, against=whole, row_above=whole)


def _row(values: Scores, name: str, of_set: str, *, against: str, row_above: str) -> ReportRow:
    own, bound, last = (_means(values[key, of_set]) for key in (name, against, row_above))
    label = f"{name}, {of_set}"
    if name == against:
        return ReportRow(label, float(np.mean(list(own.values()))), note=f"{len(own)} queries")
    difference = paired(bound, own)
    note = f"{_difference_text(difference)} to {against}"
    if row_above != against:
        note += f"; {_difference_text(paired(last, own))} to the row above"
    return ReportRow(
        label,
        difference.candidate,
        bound=difference.live,
        note=note,
        interval=(difference.low, difference.high),
    )


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {query: float(np.mean(folds)) for query, folds in values.items()}


def _difference_text(difference: PairedDifference) -> str:
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
