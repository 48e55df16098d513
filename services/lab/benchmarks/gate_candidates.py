"""Candidates whose worth is known: fitted, moved part of the way, or damaged on purpose.

A fit takes minutes, so it is kept: whole or not at all, and one that was killed goes on from its checkpoint.
Damaged weights and a wrong prompt cost an embedding pass, whose vectors are kept likewise. What is done to
the vectors themselves (a part of the way from the base's, products that were swapped) costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import orjson
import torch
from torch import nn

from schemas.base import Scalar
from services.lab.benchmarks.gate_logs import Labels, LogSpec
from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.evaluation.general import general
from services.trainer.evaluation.sets import EmbeddedCorpus, embed
from services.trainer.learning.domain.recipe import QUICK, Recipe
from services.trainer.learning.train import load_trainable, train
from services.trainer.progress import Progress
from shared.arrays import Vectors
from shared.directories import replace_file
from shared.encoder.directory import packaged_directory
from shared.encoder.loading import load_encoder
from shared.encoder.pipeline import DESCRIPTION
from shared.settings import ModelSettings

Option = tuple[str, Scalar | tuple[Scalar, ...]]
WORDS = "word_embeddings.weight"


class FitSpec(NamedTuple):
    """A fit: the log, how it is read, and the recipe's options beside those of a quick fit."""

    log: LogSpec
    labels: Labels = "judgements"
    options: tuple[Option, ...] = ()
    seed: int = 1

    def recipe(self) -> Recipe:
        """Return the whole recipe."""
        return Recipe.of({**QUICK, "prefixes": (1.0,), "seed": self.seed, **dict(self.options)})


class CandidateSpec(NamedTuple):
    """How a candidate is made: of the base (without a fit), or of a fit; then damaged."""

    name: str
    log: LogSpec
    """The one that it is judged by."""
    fit: FitSpec | None = None
    share: float = 1.0
    """How far its vectors are from the base's to the fit's; above 1: beyond them."""
    swapped: float = 0.0
    """Share of the products that have each other's vectors, as a batch that was mixed up leaves them."""
    noise: float = 0.0
    """Added to each weight, in standard deviations of its matrix."""
    forgotten: float = 0.0
    """Share of the vocabulary whose words all become the average word."""
    prompt: str = ""
    """Put before each query, which the model never saw."""
    seed: int = 1

    @property
    def is_sound(self) -> bool:
        """Whether nothing was done to it but the fit."""
        return self == CandidateSpec(self.name, self.log, self.fit, seed=self.seed)


class Embedded(NamedTuple):
    """A model's view: of the shop with its queries, and of everyday questions with their answers."""

    shop: EmbeddedCorpus
    general: EmbeddedCorpus


@dataclass(frozen=True)
class CandidateShelf:
    """Makes candidates and keeps what was costly: everything of one directory."""

    directory: Path
    corpus: Mapping[str, str]
    queries: Sequence[str]
    progress: Progress

    def base(self) -> Embedded:
        """Return the live model's view."""
        return self._embedded("base", packaged_directory())

    def candidate(self, spec: CandidateSpec, dataset: Dataset | None) -> Embedded:
        """Return a candidate's view; `dataset` is what its fit learns from.

        Raises `ConfigurationError` when there is nothing to learn from.
        """
        fitted, origin = packaged_directory(), "base"
        if spec.fit is not None and dataset is not None:
            origin = _digest(spec.fit, dataset.pairs, dataset.negatives)
            fitted = self._fitted(origin, spec.fit.recipe(), dataset)
        name = _digest(origin, spec.noise, spec.forgotten, spec.prompt, spec.seed)
        if self._file(name).is_file():
            made = self._embedded(name, fitted)
        else:
            with TemporaryDirectory(prefix="headrace-bench-") as directory:
                make(spec, fitted=fitted, out=Path(directory))
                made = self._embedded(name, Path(directory))
        moved = Embedded(*(_between(*pair, spec.share) for pair in zip(self.base(), made, strict=True)))
        return moved._replace(shop=_swapped(moved.shop, spec))

    def _fitted(self, name: str, recipe: Recipe, dataset: Dataset) -> Path:
        fits = self.directory / "fits"
        fits.mkdir(parents=True, exist_ok=True)
        return train(
            dataset,
            recipe,
            base=packaged_directory(),
            work=fits / f"{name}.work",
            out=fits / name,
            progress=self.progress,
        ).directory

    def _file(self, name: str) -> Path:
        return self.directory / "vectors" / f"{name}.npz"

    def _embedded(self, name: str, model: Path) -> Embedded:
        """Return the vectors that are kept under this name, or embed everything and keep it."""
        everyday, answers = general()
        file = self._file(name)
        if not file.is_file():
            self.progress("embedding", 0.0, {})
            encoder = load_encoder(ModelSettings(path=model))
            shop = embed(encoder, self.corpus, self.queries)
            questions = embed(encoder, answers, everyday.queries)
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, _packed(shop, questions))
        stored = np.load(BytesIO(file.read_bytes()))
        return Embedded(
            _corpus(stored, "shop", sorted(self.corpus), list(dict.fromkeys(self.queries))),
            _corpus(stored, "general", sorted(answers), list(everyday.queries)),
        )


def make(spec: CandidateSpec, *, fitted: Path, out: Path) -> None:
    """Write the candidate's model into `out`, an empty directory."""
    model = load_trainable(fitted, Recipe())
    weights = dict(model.module.named_parameters())
    rng = torch.Generator().manual_seed(spec.seed)
    with torch.no_grad():
        for weight in weights.values():
            if spec.noise and weight.dim() == 2:
                spread = spec.noise * float(weight.std())
                weight.add_(torch.randn(weight.shape, generator=rng) * spread)
        if spec.forgotten:
            forget(next(weight for name, weight in weights.items() if name.endswith(WORDS)), spec)
    model.save(out)
    if spec.prompt:
        file = out / DESCRIPTION
        description = orjson.loads(file.read_bytes())
        file.write_bytes(orjson.dumps({**description, "prompts": {"query": spec.prompt, "document": ""}}))


@torch.no_grad()
def forget(words: nn.Parameter, spec: CandidateSpec) -> None:
    """Make a share of the words the average word."""
    rng = torch.Generator().manual_seed(spec.seed)
    chosen = torch.randperm(len(words), generator=rng)[: round(spec.forgotten * len(words))]
    words[chosen] = words.mean(dim=0)


def _between(base: EmbeddedCorpus, made: EmbeddedCorpus, share: float) -> EmbeddedCorpus:
    """Return unit vectors that lie so far from the base's to the others."""
    if share == 1:
        return made

    def moved(before: Vectors, after: Vectors) -> Vectors:
        rows: Vectors = before + np.float32(share) * (after - before)
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
        return rows

    queries = {query: moved(base.queries[query], vector) for query, vector in made.queries.items()}
    return EmbeddedCorpus(made.ids, moved(base.documents, made.documents), queries)


def _swapped(corpus: EmbeddedCorpus, spec: CandidateSpec) -> EmbeddedCorpus:
    """Return the corpus with a share of the products at each other's vectors."""
    if not spec.swapped:
        return corpus
    rng = np.random.default_rng(spec.seed)
    chosen = rng.permutation(len(corpus.ids))[: round(spec.swapped * len(corpus.ids))]
    documents = corpus.documents.copy()
    documents[chosen] = corpus.documents[np.roll(chosen, 1)]
    return EmbeddedCorpus(corpus.ids, documents, corpus.queries)


def _packed(shop: EmbeddedCorpus, everyday: EmbeddedCorpus) -> bytes:
    buffer = BytesIO()
    tables: dict[str, Any] = {}  # Any: numpy's `savez` takes its own options by the same way
    for name, corpus in (("shop", shop), ("general", everyday)):
        tables[f"{name} documents"] = corpus.documents
        tables[f"{name} queries"] = np.stack([*corpus.queries.values()])
    np.savez(buffer, **tables)
    return buffer.getvalue()


def _corpus(
    stored: Mapping[str, Vectors], name: str, ids: Sequence[str], queries: Sequence[str]
) -> EmbeddedCorpus:
    vectors = dict(zip(queries, stored[f"{name} queries"], strict=True))
    return EmbeddedCorpus(ids, stored[f"{name} documents"], vectors)


def _digest(*values: object) -> str:
    return sha256(repr(values).encode()).hexdigest()[:16]
