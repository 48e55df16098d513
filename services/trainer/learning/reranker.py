"""A cross-encoder in training: it reads query and product together and gives one score.

The base is an embedding model whose weights it begins with; the head on top is new.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor, nn

from services.trainer.domain.batches import Batch
from services.trainer.domain.recipe import Recipe
from services.trainer.learning import losses
from services.trainer.learning.gradients import Cores, Gradients, add
from services.trainer.learning.precision import Precision
from services.trainer.learning.student import steady, trainable
from shared.encoder.libraries import loading, quiet


class RerankerStudent:
    """The `Student` on CrossEncoder: a listwise softmax over what is known of each query.

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
        self._weights = [it for _, it in trainable(self._model)]
        self._tokenizing = threading.Lock()

    @property
    def module(self) -> nn.Module:
        """What holds the weights."""
        module: nn.Module = self._model
        return module

    def learn(self, batch: Batch) -> float:
        """Add the gradients of one batch to the weights, query by query, and return the loss."""
        self._model.train()
        total = 0.0
        for loss, gradients in self._cores.each(lambda row: self._one(batch, row), range(len(batch.queries))):
            add(self._weights, gradients)
            total += loss
        return total

    def prepare(self, texts: Sequence[str]) -> None:
        """Do nothing: every pair is read anew."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return the logit of each text."""
        self._model.eval()

        @torch.no_grad()
        def part(start: int) -> list[float]:
            found: list[float] = self._scores(
                [(query, text) for text in texts[start : start + rows]]
            ).tolist()
            return found

        rows = self._recipe.rows
        return [it for found in self._cores.each(part, range(0, len(texts), rows)) for it in found]

    def save(self, directory: Path) -> None:
        """Write the model."""
        self._model.save(str(directory), create_model_card=False)

    def _one(self, batch: Batch, row: int) -> tuple[float, Gradients]:
        """Return the share that one query has in the loss, and its gradients."""
        known = batch.known[row]
        texts = [text for text, wanted in zip(batch.texts, known, strict=True) if wanted]
        worth = torch.from_numpy(batch.worth[row][known])[None].to(self._precision.device)
        scores = self._scores([(batch.queries[row], text) for text in texts])[None]
        blocked = torch.zeros_like(worth, dtype=torch.bool)
        value = losses.contrastive(scores, worth, blocked, contrast=self._recipe.contrast)
        value = value / len(batch.queries)
        return float(value.detach()), torch.autograd.grad(value, self._weights, allow_unused=True)

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        with self._tokenizing:  # it is not made for two callers
            features = self._model.preprocess(list(pairs))
        with self._precision.autocast():
            found: Tensor = self._model(
                {
                    name: it.to(self._precision.device) if isinstance(it, Tensor) else it
                    for name, it in features.items()
                }
            )["scores"]
        return found.float().reshape(-1)
