"""Candidate against live model, on every split, at every size and precision, with paired intervals."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TypeVar

from schemas.base import Fingerprint, Score, Value
from services.trainer.domain.dataset import Dataset
from services.trainer.domain.fitting import threshold
from services.trainer.domain.statistics import paired
from services.trainer.domain.verdict import MEASURE, Compared
from services.trainer.evaluation.codes import WHOLE, Code, codes
from services.trainer.evaluation.ground import Embedded, Ground, embed, grounds, validation
from services.trainer.evaluation.hybrid import Words, fitted_weight
from shared import quality
from shared.encoder import load
from shared.encoder.sentence import SentenceEncoder
from shared.settings import ModelSettings

GENERAL = Path(__file__).parent / "general.json"
TIMED = 25
"""Queries whose time is taken, one by one."""
SLICE_LEAST = 5
"""Queries without which a slice is not shown."""
FIT_LEAST = 20
"""Queries without which neither threshold nor weight is fitted: search keeps its own."""
LENGTHS = (1.0, 1 / 2, 1 / 3, 1 / 6)
OVERLAP = "overlap@10"
"""Share of the ten best by the whole float vectors that a code finds, too."""
CONDENSED, JUDGED_ONLY = "condensed nDCG@10", "judged-only nDCG@10"
"""Of the list without what nobody judged (Sakai, SIGIR 2007), and of the judged products alone."""

Item = TypeVar("Item")
Progress = Callable[[str, float, Mapping[str, float]], None]


class Cost(Value):
    """What a code of the candidate's vectors costs, and what it is worth."""

    code: str
    bytes: Score
    """A document, with the vector that is kept to rescore."""
    scan_ms: Score
    """A query against every code, in memory: the middle one of some."""
    quality: Score
    """nDCG@10 of what is held out."""
    overlap: Score


class Evaluated(Value):
    """All figures of a candidate, beside those of the live model."""

    live: Fingerprint
    candidate: Fingerprint
    dimensions: int
    products: int
    compared: tuple[Compared, ...]
    costs: tuple[Cost, ...] = ()
    encode_ms: Score = 0.0
    """One query to its vector, the middle one of some."""
    threshold: Score | None = None
    dense_weight: Score | None = None

    def metrics(self) -> dict[str, float]:
        """Return the candidate's figures by name, as `models.v1` has them, and their differences to live."""
        found: dict[str, float] = {}
        for it in self.compared:
            name = " ".join(word for word in (it.measure, it.ground, it.part) if word)
            if name not in found:  # the whole vectors come first
                found |= {name: it.candidate, f"{name} - live": it.difference}
            elif not it.part:
                found[f"{name} at {it.code}"] = it.candidate
        return found | {"encode ms": self.encode_ms}


@dataclass(frozen=True)
class Seen:
    """A corpus as both models see it, and what is asked of it."""

    grounds: Sequence[Ground]
    live: Embedded
    candidate: Embedded

    @property
    def dimensions(self) -> int:
        """Return those of the candidate, by which codes are called."""
        return int(self.candidate.documents.shape[1])

    def compared(self) -> Iterator[Compared]:
        """Yield every measure of every ground, its slices, and every size and precision."""
        for ground in self.grounds:
            yield from self._measured(ground)
            for code in codes(LENGTHS):
                if code != WHOLE:
                    live, candidate = (it[MEASURE] for it in self.values(ground, code, [MEASURE]))
                    yield _compared(ground, MEASURE, code.name(self.dimensions), pair=(live, candidate))

    def _measured(self, ground: Ground) -> Iterator[Compared]:
        live, candidate = self.values(ground, WHOLE, list(quality.MEASURES))
        whole = WHOLE.name(self.dimensions)
        for name in quality.MEASURES:
            yield _compared(ground, name, whole, pair=(live[name], candidate[name]))
        for name, depth in ((CONDENSED, quality.DEPTH), (JUDGED_ONLY, len(self.live.ids))):
            pair = [_among_judged(it, ground, depth=depth) for it in (self.live, self.candidate)]
            yield _compared(ground, name, whole, pair=(pair[0], pair[1]))
        for part, queries in sorted(ground.slices.items()):
            if len(queries) >= SLICE_LEAST:
                chosen = ({q: it[q] for q in queries} for it in (live[MEASURE], candidate[MEASURE]))
                yield _compared(ground, MEASURE, whole, pair=tuple(chosen), part=part)

    def values(self, ground: Ground, code: Code, names: Sequence[str]) -> list[quality.Values]:
        """Return each measure of each query, of live and candidate."""
        both = (self.live, self.candidate)
        return [quality.values(ground.grades, it.ranked(ground, code), names) for it in both]

    def costs(self) -> Iterator[Cost]:
        """Yield what each code costs and is worth, of the candidate, on the first ground."""
        ground = self.grounds[0]
        best = self.candidate.ranked(ground, WHOLE, depth=10)
        for code in codes(LENGTHS):
            ranked = self.candidate.ranked(ground, code)
            values = quality.values(ground.grades, ranked, [MEASURE])[MEASURE].values()
            yield Cost(
                code=code.name(self.dimensions),
                bytes=code.bytes(self.dimensions),
                scan_ms=_scan_ms(self.candidate, code),
                quality=fmean(values),
                overlap=fmean(
                    len({*row} & {*ranked[query][:10]}) / max(1, len(row)) for query, row in best.items()
                ),
            )


def evaluate(
    dataset: Dataset, *, live: Path, candidate: Path, model: ModelSettings, progress: Progress
) -> Evaluated:
    """Embed the data set's products with both embedding models and compare them (blocking; minutes).

    `model` says how models are loaded. Raises `ConfigurationError` when a directory is refused.
    """
    corpus = {product.product_id: product.text for product in dataset.products}
    asked, fit = list(grounds(dataset)), validation(dataset)
    queries = [query for ground in (*asked, fit) for query in ground.queries]
    encoders = [load(model.model_copy(update={"path": path})) for path in (live, candidate)]
    embedded = []
    for place, encoder in enumerate(encoders):
        progress("evaluation", 0.4 * place, {})
        embedded.append(embed(encoder, corpus, queries))
    progress("evaluation", 0.8, {})
    return _evaluated(encoders, _seen(asked, embedded), fit, corpus=corpus)


def evaluate_on(
    ground: Ground, corpus: Mapping[str, str], *, live: ModelSettings, candidate: ModelSettings
) -> Evaluated:
    """Compare two models on one ground that neither has learned from; the same one twice is one alone."""
    models = [live] if live == candidate else [live, candidate]
    encoders = [load(model) for model in models]
    embedded = [embed(encoder, corpus, ground.queries) for encoder in encoders]
    both = (encoders[0], encoders[-1])
    return _evaluated(both, _seen([ground], (embedded[0], embedded[-1])), ground, corpus=corpus)


def _seen(asked: Sequence[Ground], embedded: Sequence[Embedded]) -> Seen:
    return Seen(asked, embedded[0], embedded[1])


def _evaluated(
    encoders: Sequence[SentenceEncoder], seen: Seen, fit: Ground, *, corpus: Mapping[str, str]
) -> Evaluated:
    fitted = len(fit.grades) >= FIT_LEAST
    return Evaluated(
        live=encoders[0].fingerprint,
        candidate=encoders[1].fingerprint,
        dimensions=encoders[1].dimensions,
        products=len(corpus),
        compared=(*seen.compared(), *_general(encoders)),
        costs=tuple(seen.costs()) if seen.grounds else (),
        encode_ms=_encode_ms(encoders[1], list(seen.candidate.queries)),
        threshold=threshold(_scored(seen.candidate, fit)) if fitted else None,
        dense_weight=fitted_weight(seen.candidate, fit, Words(corpus)) if fitted else None,
    )


def general() -> tuple[Ground, dict[str, str]]:
    """Return everyday questions and the texts that answer them: what a fit must not forget."""
    rows = json.loads(GENERAL.read_bytes())
    corpus = {f"{number}": row["text"] for number, row in enumerate(rows)}
    return Ground("general", {row["query"]: {f"{number}": 3} for number, row in enumerate(rows)}), corpus


def _general(encoders: Sequence[SentenceEncoder]) -> Iterator[Compared]:
    ground, corpus = general()
    seen = _seen([ground], [embed(encoder, corpus, ground.queries) for encoder in encoders])
    live, candidate = (it[MEASURE] for it in seen.values(ground, WHOLE, [MEASURE]))
    yield _compared(ground, MEASURE, WHOLE.name(seen.dimensions), pair=(live, candidate))


def _compared(
    ground: Ground, measure: str, code: str, *, pair: tuple[Mapping[str, float], ...], part: str = ""
) -> Compared:
    found = paired(pair[0], pair[1])
    return Compared.of(ground.name, measure, code, found=found, part=part)


def _among_judged(embedded: Embedded, ground: Ground, *, depth: int) -> dict[str, float]:
    """Return nDCG@10 of the first `depth` without what was not judged."""
    ranked = embedded.ranked(ground, WHOLE, depth=depth)
    condensed = {query: [it for it in row if it in ground.grades[query]] for query, row in ranked.items()}
    return quality.values(ground.grades, condensed, [MEASURE])[MEASURE]


def _scored(embedded: Embedded, ground: Ground) -> list[tuple[float, bool]]:
    """Return the cosine of every judged pair, and whether it is right."""
    known, found = {*embedded.ids}, []
    for query, row in ground.grades.items():
        ids = [it for it in row if it in known]
        cosines = embedded.cosines(query, ids)
        found += [(cosine, row[it] >= quality.RELEVANT) for it, cosine in zip(ids, cosines, strict=True)]
    return found


def _scan_ms(embedded: Embedded, code: Code) -> float:
    coded = embedded.coded(code)
    return _middle(lambda query: coded.search(query[None], depth=10), list(embedded.queries.values()))


def _encode_ms(encoder: SentenceEncoder, queries: Sequence[str]) -> float:
    return _middle(lambda query: encoder.encode_queries([query]), queries)


def _middle(do: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Return the median time of doing some of the items one by one, in milliseconds."""
    took = [0.0]
    for item in items[:TIMED]:
        began = time.perf_counter()
        do(item)
        took.append(1000 * (time.perf_counter() - began))
    return median(took)
