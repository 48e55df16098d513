"""The fit: epochs of batches, a validation after each, checkpoints in between.

A loop of our own rather than SentenceTransformerTrainer: that trainer knows texts and labels, not ids, so it
cannot tell that another query's product is right for this one, too; its cached losses take no table of
weights; and its resume replays the data loader, which is right only as long as nothing draws at random in
between. What is left of a trainer without these is the few lines of `TrainingRun`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.learning import checkpoint
from services.trainer.learning.checkpoint import Checkpoint
from services.trainer.learning.domain.batches import TrainingBatch, TrainingSet, epoch
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.trainable import TrainableModel, learned, restore, trainable
from services.trainer.learning.validation import Validation
from services.trainer.progress import Progress
from shared.errors import FatalError
from shared.retrieval.quality import CONDENSED

LONGEST_GRADIENT = 1.0


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """How it went: validation's figure of the base, then after each epoch; which epoch was kept (from 1)."""

    steps: int
    history: tuple[float, ...]
    kept_epoch: int


def task_name(dataset: Dataset, recipe: Recipe, *, base: Mapping[str, str], general: Sequence[str]) -> str:
    """Return the name of what is to be done: equal for equal data, recipe and base."""
    parts = [repr(values) for values in (dataset.pairs, dataset.negatives, dataset.products)]
    parts += [recipe.model_dump_json(), repr(sorted(base.items())), repr(tuple(general))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass
class TrainingRun:
    """One fit, from its newest checkpoint or from the beginning; `model` ends as the best of it."""

    model: TrainableModel
    training_set: TrainingSet
    validation: Validation
    recipe: Recipe
    task: str
    work: Path
    progress: Progress
    _optimiser: torch.optim.AdamW = field(init=False)
    _step: int = field(default=0, init=False)
    _history: list[float] = field(default_factory=list, init=False)
    _best: dict[str, Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._parameters = [parameter for _, parameter in trainable(self.model.module)]
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )
        self._per_epoch = self.training_set.steps(self.recipe)

    def fit(self) -> TrainingHistory:
        """Learn until the last epoch, or until validation has not become better for a while."""
        self._resume()
        if not self._history:
            self._validate()
        while len(self._history) <= self.recipe.epochs and not self._exhausted():
            self._epoch(len(self._history) - 1)
            self._validate()
        if self._best:
            restore(self.model.module, self._best)
        return TrainingHistory(self._step, tuple(self._history), self._kept())

    def _epoch(self, number: int) -> None:
        done = self._step - number * self._per_epoch
        for place, batch in enumerate(epoch(self.training_set, self.recipe, number)):
            if place < done:
                continue
            loss = self._learn(batch)
            self._step += 1
            self._report("training", {"loss": loss})
            if self._step % self.recipe.checkpoint_steps == 0:
                self._save()

    def _learn(self, batch: TrainingBatch) -> float:
        rate = self.recipe.learning_rate_at(self._step, self._per_epoch * self.recipe.epochs)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        loss = self.model.learn(batch)
        length = torch.nn.utils.clip_grad_norm_(self._parameters, LONGEST_GRADIENT)
        if not torch.isfinite(length):
            raise FatalError(f"step {self._step}: the gradient is not finite; lower the learning rate")
        self._optimiser.step()
        return loss

    def _validate(self) -> None:
        """Judge the weights as they are, remember them if they are the best, and save all that."""
        figure = self.validation.figure(self.model)
        best = max(self._history[1:], default=float("-inf"))
        self._history.append(0.0 if figure is None else figure)
        if len(self._history) > 1 and (figure is None or figure > best):
            self._best = learned(self.model.module)
        self._report("validation", {} if figure is None else {CONDENSED: figure})
        self._save()

    def _kept(self) -> int:
        """Return the epoch (from 1) whose weights are kept: the first of the best; 0 before the first."""
        figures = self._history[1:]
        if not self.validation.grades:
            return len(figures)
        return figures.index(max(figures)) + 1 if figures else 0

    def _exhausted(self) -> bool:
        if not self.validation.grades or len(self._history) < 2:
            return False
        return len(self._history) - 1 - self._kept() >= self.recipe.patience

    def _report(self, stage: str, figures: Mapping[str, float]) -> None:
        steps = max(1, self._per_epoch * self.recipe.epochs)
        self.progress(stage, min(1.0, self._step / steps), figures)

    def _save(self) -> None:
        checkpoint.save(
            Checkpoint(
                task=self.task,
                step=self._step,
                epochs=len(self._history),
                weights=learned(self.model.module),
                optimiser=self._optimiser.state_dict(),
                best=self._best,
                history=tuple(self._history),
            ),
            self.work,
        )

    def _resume(self) -> None:
        saved = checkpoint.latest(self.work, self.task)
        if saved is None:
            return
        restore(self.model.module, saved.weights)
        self._optimiser.load_state_dict(saved.optimiser)
        self._step, self._history, self._best = saved.step, list(saved.history), saved.best
        self._report("resumed", {})
