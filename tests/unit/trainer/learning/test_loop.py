"""The loop with a model that learns as it is told: patience, the best epoch, resumption, divergence."""

from pathlib import Path

import pytest
import torch
from torch import nn

from services.trainer.learning.domain.batches import TrainingSet
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.loop import TrainingRun, task_name
from shared.errors import FatalError
from tests.unit.trainer.tiny import tiny_dataset


class CountingModel:
    """Its one weight grows by the gradient of every step; no text and no vector is involved."""

    def __init__(self, gradient=-1.0):
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.module.weight)
        self.gradient, self.batches = gradient, []

    def learn(self, batch):
        self.batches.append(batch.queries)
        self.module.weight.grad = torch.full((1, 1), self.gradient)
        return float(len(self.batches))


class Figures:
    """A validation that gives these figures, one after the other; without any there are no queries."""

    def __init__(self, *figures):
        self.grades, self.figures, self.weights = dict.fromkeys(figures[:1]), list(figures), []

    def figure(self, model):
        self.weights.append(float(model.module.weight.detach()))
        return self.figures[len(self.weights) - 1] if self.figures else None


def run(work: Path, figures: Figures, model=None, **options) -> TrainingRun:
    recipe = Recipe(**{"epochs": 4, "queries": 3, "patience": 2, "checkpoint_steps": 1, **options})
    training_set = TrainingSet.of(tiny_dataset(), recipe)
    told = []
    one = TrainingRun(
        model or CountingModel(),
        training_set,
        figures,
        recipe,
        "task",
        work,
        lambda stage, share, values: told.append((stage, share, dict(values))),
    )
    one.told = told
    return one


def test_the_best_epoch_is_kept_and_the_first_of_equal_ones(tmp_path):
    figures = Figures(0.1, 0.3, 0.5, 0.5, 0.4)
    one = run(tmp_path, figures)
    history = one.fit()
    assert (history.kept_epoch, history.history) == (2, (0.1, 0.3, 0.5, 0.5, 0.4))
    assert float(one.model.module.weight.detach()) == figures.weights[2]


def test_it_ends_when_validation_has_not_become_better_for_a_while(tmp_path):
    history = run(tmp_path, Figures(0.1, 0.5, 0.4, 0.4, 0.9), patience=2).fit()
    assert history.history == (0.1, 0.5, 0.4, 0.4)
    assert history.kept_epoch == 1


def test_a_fit_that_is_worse_than_the_base_still_keeps_its_own_best(tmp_path):
    history = run(tmp_path, Figures(0.9, 0.1, 0.2, 0.1, 0.1), epochs=3).fit()
    assert history.kept_epoch == 2


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    one = run(tmp_path, Figures(), epochs=3)
    history = one.fit()
    assert history.kept_epoch == 3
    assert history.steps == 3 * one.training_set.steps(one.recipe)


def test_progress_goes_from_nothing_to_the_whole(tmp_path):
    one = run(tmp_path, Figures(0.1, 0.2, 0.3, 0.4, 0.5))
    one.fit()
    shares = [share for _, share, _ in one.told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert one.told[0] == ("validation", 0.0, {"condensed nDCG@10": 0.1})
    assert [values["loss"] for stage, _, values in one.told if stage == "training"] == [
        float(step) for step in range(1, len(one.model.batches) + 1)
    ]


class KilledError(Exception):
    """The process is gone."""


class MortalModel(CountingModel):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def learn(self, batch):
        if len(self.batches) == self.steps:
            raise KilledError
        return super().learn(batch)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
def test_a_run_that_was_killed_learns_every_batch_once(tmp_path, steps):
    whole = run(tmp_path / "whole", Figures(0.1, 0.2, 0.3, 0.4, 0.5))
    (tmp_path / "whole").mkdir()
    wanted = whole.fit()
    work = tmp_path / "killed"
    work.mkdir()
    killed = run(work, Figures(0.1, 0.2, 0.3, 0.4, 0.5), MortalModel(steps))
    with pytest.raises(KilledError):
        killed.fit()
    validated = len(killed.validation.weights)
    resumed = run(work, Figures(*(0.1, 0.2, 0.3, 0.4, 0.5)[validated:]))
    assert resumed.fit() == wanted
    assert resumed.told[0][0] == "resumed"
    assert killed.model.batches + resumed.model.batches == whole.model.batches
    assert torch.equal(resumed.model.module.weight, whole.model.module.weight)


def test_a_gradient_that_is_not_finite_stops_the_fit(tmp_path):
    with pytest.raises(FatalError, match="lower the learning rate"):
        run(tmp_path, Figures(0.1), CountingModel(float("nan"))).fit()


def test_a_task_is_another_one_with_other_data_recipe_or_base():
    data, recipe, base = tiny_dataset(), Recipe(), {"model.safetensors": "0" * 64}
    one = task_name(data, recipe, base=base, general=())
    assert one == task_name(tiny_dataset(), Recipe(), base=dict(base), general=())
    others = {
        task_name(
            type(data)(data.manifest, data.pairs[1:], data.negatives, data.products),
            recipe,
            base=base,
            general=(),
        ),
        task_name(data, Recipe(seed=1), base=base, general=()),
        task_name(data, recipe, base={"model.safetensors": "1" * 64}, general=()),
        task_name(data, recipe, base=base, general=("a",)),
    }
    assert len(others | {one}) == 5
