"""A late-interaction model in training: a vector a token, compared by MaxSim (ColBERT, arXiv 2004.12832)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util.similarity import maxsim
from torch import Tensor, nn

from services.trainer.learning import losses
from services.trainer.learning.domain.batches import TrainingBatch
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.precision import Precision
from services.trainer.learning.trainable import FitNotes, steady
from shared.encoder.libraries import loading, quiet

Tokens = tuple[Tensor, Tensor]
"""Vectors (texts, tokens, dimensions) and which tokens count."""


class TrainableLateInteraction:
    """The `TrainableModel` on MultiVectorEncoder; its projection of each token is new."""

    def __init__(self, base: Path, recipe: Recipe, *, precision: Precision) -> None:
        quiet()
        torch.manual_seed(recipe.seed)  # of the new projection
        self._model = MultiVectorEncoder(str(base), **loading(precision.device))
        self._model[0].max_seq_length = min(recipe.max_tokens, self._model[0].max_seq_length or 512)
        self._recipe, self._precision = recipe, precision
        steady(self._model, recipe)
        self._vectors: dict[str, Tensor] = {}

    @property
    def module(self) -> nn.Module:
        """What holds the weights."""
        module: nn.Module = self._model
        return module

    def learn(self, batch: TrainingBatch) -> float:
        """Add the gradients of one batch to the weights, in one pass, and return the loss."""
        self._model.train()
        device = self._precision.device
        weights, blocked = (torch.from_numpy(table).to(device) for table in (batch.weights, batch.blocked))
        scores = self._compare(self._embed(batch.queries, "query"), self._embed(batch.texts, "document"))
        term = losses.both_ways if self._recipe.both_directions else losses.contrastive
        value = term(self._recipe.scale * scores, weights, blocked, contrast=self._recipe.contrast)
        value.backward()  # type: ignore[no-untyped-call]  # torch has it untyped
        return float(value.detach())

    @torch.no_grad()
    def prepare(self, texts: Sequence[str]) -> None:
        """Embed the texts."""
        self._model.eval()
        self._vectors = {}
        rows = self._recipe.rows
        for start in range(0, len(texts), rows):
            part = texts[start : start + rows]
            vectors, mask = self._embed(part, "document")
            self._vectors |= {
                text: row[counted] for text, row, counted in zip(part, vectors, mask, strict=True)
            }

    @torch.no_grad()
    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return the mean over query tokens of the best cosine in each text that was prepared."""
        self._model.eval()
        vectors, mask = self._embed([query], "query")
        asked = vectors[0][mask[0]]
        return [float((asked @ self._vectors[text].T).amax(1).mean()) for text in texts]

    def notes(self, texts: Sequence[str]) -> FitNotes:  # noqa: ARG002 - no index has its vectors
        """Return nothing."""
        return FitNotes()

    def save(self, directory: Path) -> None:
        """Write the model."""
        self._model.save(str(directory), create_model_card=False)

    def _compare(self, queries: Tokens, products: Tokens) -> Tensor:
        scores: Tensor = maxsim(
            queries[0], products[0], a_mask=queries[1], b_mask=products[1], length_normalize=True
        )
        return scores

    def _embed(self, texts: Sequence[str], task: str) -> Tokens:
        features = self._model.preprocess(list(texts), task=task)
        with self._precision.autocast():
            moved = {
                name: feature.to(self._precision.device) if isinstance(feature, Tensor) else feature
                for name, feature in features.items()
            }
            embedded = self._model(moved, task=task)
        return embedded["token_embeddings"].float(), embedded["attention_mask"].bool()
