"""A cross-encoder in training: it reads query and product together and gives one score.

The base is an embedding model whose weights it begins with; the head on top is new.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor, nn

from services.trainer.learning import losses
from services.trainer.learning.domain.batches import TrainingBatch
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.gradients import Cores, Gradients, add
from services.trainer.learning.precision import Precision
from services.trainer.learning.trainable import FitNotes, steady, trainable
from shared.encoder.libraries import loading, quiet


class TrainableReranker:
    """The `TrainableModel` on CrossEncoder: a listwise softmax over what is known of each query.

    In-batch products of other queries are left out: a pass a pair is dear, and they teach a reranker, which
    sees only what was retrieved, nothing.
    """

    def __init__(self, base: Path, recipe: Recipe, *, precision: Precision) -> None:
        quiet()
        torch.manual_seed(recipe.seed)  # of the new head
        self._model = CrossEncoder(
            str(base), num_labels=1, max_length=2 * recipe.max_tokens, **loading(precision.device)
        )
        self._recipe, self._precision = recipe, precision
        steady(self._model, recipe)
        self._cores = Cores(1 if precision.device == "cuda" else 0)
        self._parameters = [parameter for _, parameter in trainable(self._model)]
        self._tokenizing = threading.Lock()

    @property
    def module(self) -> nn.Module:
        """What holds the weights."""
        module: nn.Module = self._model
        return module

    def learn(self, batch: TrainingBatch) -> float:
        """Add the gradients of one batch to the weights, query by query, and return the loss."""
        self._model.train()
        total = 0.0
        for loss, gradients in self._cores.each(lambda row: self._one(batch, row), range(len(batch.queries))):
            add(self._parameters, gradients)
            total += loss
        return total

    def prepare(self, texts: Sequence[str]) -> None:
        """Do nothing: every pair is read anew."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return the logit of each text."""
        self._model.eval()

        @torch.no_grad()
        def part(start: int) -> list[float]:
            scores: list[float] = self._scores(
                [(query, text) for text in texts[start : start + rows]]
            ).tolist()
            return scores

        rows = self._recipe.rows
        parts = self._cores.each(part, range(0, len(texts), rows))
        return [score for scores in parts for score in scores]

    def notes(self, texts: Sequence[str]) -> FitNotes:  # noqa: ARG002 - no index has its vectors
        """Return nothing."""
        return FitNotes()

    def save(self, directory: Path) -> None:
        """Write the model."""
        self._model.save(str(directory), create_model_card=False)

    def _one(self, batch: TrainingBatch, row: int) -> tuple[float, Gradients]:
        """Return the share that one query has in the loss, and its gradients."""
        known = batch.known[row]
        texts = [text for text, wanted in zip(batch.texts, known, strict=True) if wanted]
        weights = torch.from_numpy(batch.weights[row][known])[None].to(self._precision.device)
        scores = self._scores([(batch.queries[row], text) for text in texts])[None]
        blocked = torch.zeros_like(weights, dtype=torch.bool)
        value = losses.contrastive(scores, weights, blocked, contrast=self._recipe.contrast)
        value = value / len(batch.queries)
        return float(value.detach()), torch.autograd.grad(value, self._parameters, allow_unused=True)

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        with self._tokenizing:  # it is not made for two callers
            features = self._model.preprocess(list(pairs))
        with self._precision.autocast():
            moved = {
                name: feature.to(self._precision.device) if isinstance(feature, Tensor) else feature
                for name, feature in features.items()
            }
            scores: Tensor = self._model(moved)["scores"]
        return scores.float().reshape(-1)
