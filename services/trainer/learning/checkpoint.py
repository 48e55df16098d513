"""Where a run that was killed goes on: weights, optimiser, position, the best epoch so far.

A checkpoint is a directory that is there whole or not at all; the newest one counts. What the learning rate
is and what comes next follows from the position alone, and nothing in a step is random, so these few
values are the whole state.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import torch
from torch import Tensor

from shared.directories import whole
from shared.encoder.directory import sha256_of

log = structlog.get_logger(__name__)

STATE, DIGEST = "state.pt", "sha256.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state after `step` steps; `best` are the weights of the best epoch, if one was validated."""

    task: str
    """What tells this run from another; another one's checkpoint is not used."""
    step: int
    epochs: int
    """Validations made, the base's among them."""
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]  # Any: torch's own
    best: dict[str, Tensor]
    history: tuple[float, ...] = field(default=())
    """Validation figures: of the base, then after each epoch."""


def save(checkpoint: Checkpoint, work: Path) -> None:
    """Write it whole, then remove those before it."""
    target = work / f"step-{checkpoint.step:08d}-{checkpoint.epochs:04d}"
    if not target.exists():
        with whole(target) as partial:
            torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, partial / STATE)
            (partial / DIGEST).write_text(sha256_of(partial / STATE))
    for directory in _all(work):
        if directory.name < target.name:
            shutil.rmtree(directory)


def latest(work: Path, task: str) -> Checkpoint | None:
    """Return the newest one that is whole and of this task, or None when everything starts anew."""
    for directory in _all(work):
        checkpoint = _read(directory)
        if checkpoint is not None and checkpoint.task == task:
            return checkpoint
        log.warning("training.checkpoint_unusable", checkpoint=str(directory), damaged=checkpoint is None)
        shutil.rmtree(directory)
    return None


def _read(directory: Path) -> Checkpoint | None:
    try:
        if sha256_of(directory / STATE) != (directory / DIGEST).read_text():
            return None
    except OSError:
        return None
    return Checkpoint(**torch.load(directory / STATE, map_location="cpu", weights_only=True))


def _all(work: Path) -> Iterator[Path]:
    """Yield the checkpoints, newest first."""
    yield from sorted(work.glob("step-*"), reverse=True)
