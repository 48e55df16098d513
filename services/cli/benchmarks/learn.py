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
from services.cli.benchmarks import lessons
from services.cli.benchmarks.lessons import Lesson, Shoppers
from services.cli.report import Row
from services.cli.simulation.catalogue import Catalogue
from services.cli.simulation.traffic import Ranker
from services.search.domain.request import Fusion
from services.trainer.domain.dataset import Dataset, HardNegative
from services.trainer.domain.recipe import QUICK, Recipe
from services.trainer.domain.statistics import Difference, paired
from services.trainer.evaluation.codes import WHOLE, Code
from services.trainer.evaluation.evaluate import general
from services.trainer.evaluation.ground import Embedded, Ground, embed
from services.trainer.evaluation.hybrid import Words, ranked
from services.trainer.learning import train
from shared import quality
from shared.directories import replace_file
from shared.encoder import load
from shared.encoder.directory import packaged_directory
from shared.settings import ModelSettings

Option = Scalar | tuple[Scalar, ...]

MEASURE = "nDCG@10"
SHARES = {"1/2": 1 / 2, "1/3": 1 / 3, "1/6": 1 / 6}
NOVEL, KNOWN, GENERAL = "novel queries", "in-domain", "everyday questions"
BASE = "base"
COARSER = ("+ mined negatives", "+ Matryoshka")
"""Steps that are also judged in shorter and coarser vectors: what Matryoshka adds shows there."""

Scores = dict[tuple[str, str], dict[str, list[float]]]
"""Of each row and ground: the values of each query, one of each fold in which it was asked."""


Embeddings = tuple[Embedded, Embedded]
"""The shop, and the everyday questions with their answers."""


class Part(NamedTuple):
    """A row's value of each query of a ground, in one fold."""

    row: str
    ground: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """One more part of the loop: how the log is read, and the recipe."""

    name: str
    lesson: Lesson
    recipe: Recipe


@dataclass
class Bench:
    """One run on one catalogue."""

    catalogue: Catalogue
    folds: int
    seed: int
    progress: Progress
    work: Path
    """Figures of what is done are kept here: a run that was stopped goes on after the last fit."""

    def measure(self, sessions: int) -> list[Row]:
        """Return the rows: each step on novel queries and in-domain, then sizes and precisions."""
        bar = self.progress.add_task("base: products embedded", total=1)
        base = self._embedded(packaged_directory())
        self.progress.advance(bar)
        bar = self.progress.add_task("shoppers", total=1)
        ranker = Ranker.like(self._answers(base[0]))
        shoppers = lessons.watch(self.catalogue, sessions, self.seed, ranker=ranker)
        self.progress.advance(bar)
        steps = _steps(shoppers, lessons.negatives(shoppers, base[0], self.catalogue), self.seed)
        bar = self.progress.add_task("fits", total=1000 * self.folds * len(steps))
        self.work.mkdir(parents=True, exist_ok=True)
        values: Scores = {}
        for fold in range(self.folds):
            grounds = self._grounds(shoppers, fold)
            _gather(values, _figures(base, grounds, BASE, all_codes=True))
            for step in steps:
                _gather(values, self._step(step, shoppers, fold, grounds=grounds, bar=bar))
        return list(_rows(values, [step.name for step in steps]))

    def _step(
        self, step: Step, shoppers: Shoppers, fold: int, *, grounds: Sequence[Ground], bar: TaskID
    ) -> list[Part]:
        """Return a step's figures on one fold: those of an earlier run, or of a fit."""
        done = self.progress.tasks[bar].completed
        taught = frozenset(self._texts()) - self._novel(fold)
        data = lessons.dataset(self.catalogue, shoppers, step.lesson, taught)
        name = sha256(repr((step.name, step.recipe, sorted(taught), data.pairs, data.negatives)).encode())
        file = self.work / f"{name.hexdigest()[:16]}.json"
        if file.exists():
            parts = [Part(*each) for each in orjson.loads(file.read_bytes())]
        else:
            self.progress.update(bar, description=f"fold {fold + 1}: {step.name}")
            tuned = self._fitted(step.recipe, data, bar=bar)
            parts = _figures(tuned, grounds, step.name, all_codes=step.name in COARSER)
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
        corpus = lessons.texts(self.catalogue)
        encoder, (ground, texts) = load(ModelSettings(path=model)), general()
        return embed(encoder, corpus, self._texts()), embed(encoder, texts, ground.queries)

    def _answers(self, base: Embedded) -> dict[str, list[str]]:
        """Return what hybrid search with the base model shows to shoppers."""
        words, weight = Words(lessons.texts(self.catalogue)), Fusion().dense_weight
        return {query.id: ranked(base, query.text, words, weight=weight) for query in self.catalogue.queries}

    def _texts(self) -> list[str]:
        return sorted({query.text for query in self.catalogue.queries})

    def _novel(self, fold: int) -> frozenset[str]:
        """Return the queries that nobody asks in this fold's log."""
        order = np.random.default_rng(self.seed).permutation(len(texts := self._texts()))
        return frozenset(texts[place] for place in order[fold :: self.folds])

    def _grounds(self, shoppers: Shoppers, fold: int) -> list[Ground]:
        novel = self._novel(fold)
        taught: dict[str, set[str]] = {}
        for key in shoppers.counts:
            query = shoppers.texts[key.query]
            if not lessons.is_held_out(query, key.product_id):
                taught.setdefault(query, set()).add(key.product_id)
        graded = {query.text: self.catalogue.grades.get(query.id, {}) for query in self.catalogue.queries}
        kept = {
            query: {it: grade for it, grade in row.items() if it not in taught.get(query, ())}
            for query, row in graded.items()
            if query not in novel
        }
        known = {
            query: row for query, row in kept.items() if max(row.values(), default=0) >= quality.RELEVANT
        }
        excluded = {query: frozenset(taught.get(query, ())) for query in known}
        return [
            Ground(NOVEL, {query: row for query, row in graded.items() if query in novel}),
            Ground(KNOWN, known, excluded),
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
    fair = Lesson(lessons.corrected(shoppers), none)
    return [
        Step("MNRL on clicks", Lesson(lessons.clicks(shoppers), none), Recipe.of(clicks)),
        Step("+ judgement weights", Lesson(lessons.raw(shoppers), none), Recipe.of(full)),
        Step("+ bias correction", fair, Recipe.of(full)),
        Step("+ mined negatives", Lesson(fair.values, mined), Recipe.of(full)),
        Step(
            "+ Matryoshka",
            Lesson(fair.values, mined),
            Recipe.of({**full, "prefixes": (1.0, *SHARES.values())}),
        ),
    ]


def _figures(both: Embeddings, grounds: Sequence[Ground], name: str, *, all_codes: bool) -> list[Part]:
    """Return each query's figures; with `all_codes` also those of shorter and coarser vectors."""
    embedded, everyday = both
    ground, _ = general()
    found = quality.values(ground.grades, everyday.ranked(ground, WHOLE), [MEASURE])[MEASURE]
    kept = [Part(name, GENERAL, found)]
    codes = {name: WHOLE} | (dict(_codes(name)) if all_codes else {})
    return kept + [
        Part(
            row, ground.name, quality.values(ground.grades, embedded.ranked(ground, code), [MEASURE])[MEASURE]
        )
        for ground in grounds
        for row, code in codes.items()
    ]


def _gather(values: Scores, parts: Sequence[Part]) -> None:
    for part in parts:
        kept = values.setdefault((part.row, part.ground), {})
        for query, value in part.values.items():
            kept.setdefault(query, []).append(value)


def _codes(name: str) -> Iterator[tuple[str, Code]]:
    for share, part in SHARES.items():
        yield f"{name}, {share} of the dimensions", Code(part)
    for precision in ("int8", "binary"):
        yield f"{name}, {precision}", Code(precision=precision)
        yield f"{name}, {precision} rescored", Code(precision=precision, rescored=True)


def _rows(values: Scores, steps: Sequence[str]) -> Iterator[Row]:
    """Yield the ablation, then what is left of it in shorter and coarser vectors."""
    for ground in (NOVEL, KNOWN, GENERAL):
        for before, name in zip((BASE, BASE, *steps), (BASE, *steps), strict=False):
            yield _row(values, name, ground, against=BASE, above=before)
    for ground in (NOVEL, KNOWN):
        for name, its in values:
            whole = name.split(", ")[0]
            if its == ground and name != whole:
                yield _row(values, name, ground, against=whole, above=whole)


def _row(values: Scores, name: str, ground: str, *, against: str, above: str) -> Row:
    own, bound, last = (_means(values[it, ground]) for it in (name, against, above))
    label = f"{name}, {ground}"
    if name == against:
        return Row(label, float(np.mean(list(own.values()))), note=f"{len(own)} queries")
    found = paired(bound, own)
    note = f"{_words(found)} to {against}"
    if above != against:
        note += f"; {_words(paired(last, own))} to the row above"
    return Row(label, found.candidate, bound=found.live, note=note, interval=(found.low, found.high))


def _means(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {query: float(np.mean(values)) for query, values in found.items()}


def _words(found: Difference) -> str:
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
