"""An embedding model in training: one vector a text, compared by cosine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from services.trainer.learning import losses
from services.trainer.learning.domain.batches import TrainingBatch
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.gradients import Cores, GradientPasses, backward, groups_of
from services.trainer.learning.precision import Precision
from services.trainer.learning.trainable import FitNotes, steady, trainable
from shared.arrays import Vectors
from shared.catalogue.plain_text import normal_form
from shared.encoder.description import read_encoding
from shared.encoder.libraries import loading, quiet
from shared.encoder.packing import pack
from shared.encoder.parity import probes_of
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

PASS_TOKENS = 2048


class TrainableEncoder:
    """The `TrainableModel` on SentenceTransformer."""

    def __init__(
        self,
        base: Path,
        recipe: Recipe,
        *,
        general: Sequence[str],
        precision: Precision,
        model: ModelSettings | None = None,
    ) -> None:
        """Load it; raises `ConfigurationError` when it is not a transformer with what pools its tokens.

        `model` says how it will be served: which prompts its texts get, and how much of them is read.
        """
        encoding = read_encoding(base, model or ModelSettings())
        if not encoding.packs:
            modules = ", ".join(encoding.pipeline.modules)
            raise ConfigurationError(f"{base} ({modules}): only a transformer that is pooled whole is fitted")
        quiet()
        self._model = SentenceTransformer(str(base), **loading(precision.device))
        self._longest = encoding.max_tokens
        self._tokens = min(recipe.max_tokens, self._longest)
        self._recipe, self._precision = recipe, precision
        self._query, self._document = encoding.query.text, encoding.document.text
        self._dimensions = encoding.dimensions
        self._prefixes = sorted({max(1, round(share * self._dimensions)) for share in recipe.prefixes})
        steady(self._model, recipe)
        self._cores = Cores(1 if precision.device == "cuda" else 0)
        self._parameters = [parameter for _, parameter in trainable(self._model)]
        drawn = general if recipe.keep else ()
        self._before = dict(zip(drawn, self.encode(drawn), strict=True))
        self._rows: dict[str, int] = {}
        self._vectors: Vectors = np.empty((0, self._dimensions), np.float32)

    @property
    def module(self) -> nn.Module:
        """What holds the weights."""
        module: nn.Module = self._model
        return module

    def learn(self, batch: TrainingBatch) -> float:
        """Add the gradients of one batch to the weights and return the loss."""
        queries = [self._query + normal_form(text) for text in batch.queries]
        texts = queries + [self._document + text for text in (*batch.texts, *batch.general)]
        tokens = self._tokenised(texts, self._tokens)
        self._model.train()
        passes = GradientPasses(
            groups_of([len(row) for row in tokens], self._recipe.rows),
            lambda numbers: self._embed([tokens[number] for number in numbers]),
            cached=len(tokens) > self._recipe.cached,
        )
        return backward(
            self._cores, self._parameters, passes, loss=lambda vectors: self._loss(vectors, batch)
        )

    def prepare(self, texts: Sequence[str]) -> None:
        """Embed the texts."""
        self._rows = {text: row for row, text in enumerate(texts)}
        self._vectors = self.encode([self._document + text for text in texts])

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return the cosine of each text that was prepared."""
        asked = self.encode([self._query + normal_form(query)])[0]
        scores: list[float] = (self._vectors[[self._rows[text] for text in texts]] @ asked).tolist()
        return scores

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, as they come and as long as the fit reads; without gradients."""
        return self._encoded(texts, self._tokens)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, whole: as long as it is read where the model is served."""
        return self._encoded([self._document + text for text in texts], self._longest)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Do the same with the prompt of queries."""
        return self._encoded([self._query + text for text in texts], self._longest)

    def notes(self, texts: Sequence[str]) -> FitNotes:
        """Return its vectors of a few texts, and the share of `texts` of which the fit reads a part only."""
        whole = self._tokenised([self._document + text for text in texts], self._longest)
        cut = sum(len(row) > self._tokens for row in whole) / max(1, len(whole))
        return FitNotes(probes_of(self), cut)

    def _encoded(self, texts: Sequence[str], longest: int) -> Vectors:
        self._model.eval()
        tokens = self._tokenised(texts, longest)
        rows: Vectors = np.empty((len(texts), self._dimensions), np.float32)

        @torch.no_grad()
        def fill(numbers: Sequence[int]) -> None:
            rows[numbers] = self._embed([tokens[number] for number in numbers]).float().cpu().numpy()

        list(self._cores.each(fill, pack([len(row) for row in tokens], PASS_TOKENS)))
        return rows

    def save(self, directory: Path) -> None:
        """Write the model, with its base's prompts, truncation and longest text."""
        self._model.save(str(directory), create_model_card=False)

    def _loss(self, vectors: Tensor, batch: TrainingBatch) -> Tensor:
        recipe, device = self._recipe, vectors.device
        count, end = len(batch.queries), len(batch.queries) + len(batch.texts)
        queries, products = vectors[:count], vectors[count:end]
        weights, known, blocked = (
            torch.from_numpy(table).to(device) for table in (batch.weights, batch.known, batch.blocked)
        )
        blocked = losses.guarded(
            blocked, known, weights=weights, products=products.detach(), guard=recipe.guard
        )
        term = losses.both_ways if recipe.both_directions else losses.contrastive

        def agree(one: Tensor, other: Tensor) -> Tensor:
            return term(recipe.scale * one @ other.T, weights, blocked, contrast=recipe.contrast)

        sizes = self._prefixes
        parts = [agree(losses.prefix(queries, size), losses.prefix(products, size)) for size in sizes]
        total = torch.stack(parts).mean()
        if recipe.binarise:
            total = total + recipe.binarise * agree(losses.signs(queries), losses.signs(products))
        if batch.general:
            before = torch.from_numpy(np.stack([self._before[text] for text in batch.general])).to(device)
            total = total + recipe.keep * losses.kept(vectors[end:], before)
        return total

    def _tokenised(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        if not texts:
            return []
        tokens: list[list[int]] = self._model.tokenizer(
            list(texts), truncation=True, max_length=longest, padding=False, verbose=False
        )["input_ids"]
        return tokens

    def _embed(self, tokens: Sequence[list[int]]) -> Tensor:
        """Return one unit vector a row of token ids."""
        longest = max(len(row) for row in tokens)
        padding = self._model.tokenizer.pad_token_id or 0
        ids = torch.tensor([row + [padding] * (longest - len(row)) for row in tokens])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in tokens])
        features = {"input_ids": ids, "attention_mask": mask}
        with self._precision.autocast():
            moved = {name: feature.to(self._precision.device) for name, feature in features.items()}
            embedded: Tensor = self._model(moved)["sentence_embedding"]
        return functional.normalize(embedded.float()[:, : self._dimensions], dim=1)
