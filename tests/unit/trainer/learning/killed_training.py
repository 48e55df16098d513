"""Train the tiny model, and be killed (SIGKILL, by itself) at chosen places: run as a child process."""

import os
import signal
import sys
from pathlib import Path

import torch

from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.encoder import TrainableEncoder
from services.trainer.learning.train import train
from tests.unit.trainer.tiny import tiny_dataset

RECIPE = Recipe(learning_rate=5e-3, epochs=3, queries=3, rows=8, checkpoint_steps=2, keep=0.5)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half_a_checkpoint(*arguments, real=torch.save):
    state, file = arguments
    real(state, file)
    if state["step"] >= 6:
        file.write_bytes(file.read_bytes()[:1000])
        die()


def half_a_model(student, directory, *, real=TrainableEncoder.save):
    real(student, directory)
    (directory / "model.safetensors").write_bytes(b"half")
    die()


def fit(directory: Path, place: str) -> None:
    if place == "checkpoint":
        torch.save = half_a_checkpoint
    if place == "model":
        TrainableEncoder.save = half_a_model
    train(
        tiny_dataset(),
        RECIPE,
        base=directory / "base",
        work=directory / "work",
        out=directory / "out",
        progress=lambda stage, *_: print(place, stage, flush=True),  # noqa: T201 - read by the test
    )


def main(directory: Path, places: list[str]) -> None:
    """Train in a child for each place, one after the other; a child is killed there."""
    for place in places:
        child = os.fork()  # before torch has any thread: importing it anew takes longer than the fit
        if not child:
            fit(directory, place)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        there = (directory / "out").exists()
        print(place, f"killed={killed} out={there}", flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
