"""Checkpoints: the newest that is whole and of this task counts; the others go."""

import pytest
import torch

from services.trainer.learning.checkpoint import STATE, Checkpoint, latest, save


def checkpoint(step, task="t", **changes):
    values = {"epochs": 1, "optimiser": {"lr": 0.1}, "best": {}, "history": (0.5,), **changes}
    return Checkpoint(task=task, step=step, weights={"w": torch.full((2,), float(step))}, **values)


def names(work):
    return sorted(path.name for path in work.iterdir())


def test_what_was_saved_is_read_back(tmp_path):
    save(checkpoint(3, best={"w": torch.ones(2)}, history=(0.1, 0.4)), tmp_path)
    read = latest(tmp_path, "t")
    assert (read.step, read.epochs, read.history, read.optimiser) == (3, 1, (0.1, 0.4), {"lr": 0.1})
    assert torch.equal(read.weights["w"], torch.full((2,), 3.0))
    assert torch.equal(read.best["w"], torch.ones(2))


def test_only_the_newest_stays(tmp_path):
    for step in (2, 10, 9):
        save(checkpoint(step), tmp_path)
    assert latest(tmp_path, "t").step == 10
    save(checkpoint(11), tmp_path)
    assert names(tmp_path) == ["step-00000011-0001"]


def test_a_validation_at_the_same_step_is_newer(tmp_path):
    save(checkpoint(4, epochs=1), tmp_path)
    save(checkpoint(4, epochs=2), tmp_path)
    assert latest(tmp_path, "t").epochs == 2


def test_a_checkpoint_is_never_written_over(tmp_path):
    save(checkpoint(4), tmp_path)
    save(checkpoint(4, history=(0.9,)), tmp_path)
    assert latest(tmp_path, "t").history == (0.5,)


def test_nothing_saved_is_nothing_to_go_on_from(tmp_path):
    assert latest(tmp_path, "t") is None


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "no digest"])
def test_a_damaged_one_is_removed_and_the_one_before_it_counts(tmp_path, damage):
    save(checkpoint(1), tmp_path / "other")
    save(checkpoint(2), tmp_path)
    (tmp_path / "other" / "step-00000001-0001").rename(tmp_path / "step-00000001-0001")
    newest = tmp_path / "step-00000002-0001"
    content = (newest / STATE).read_bytes()
    if damage == "cut":
        (newest / STATE).write_bytes(content[:-3])
    elif damage == "changed":
        (newest / STATE).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "gone":
        (newest / STATE).unlink()
    else:
        (newest / "sha256.txt").unlink()
    assert latest(tmp_path, "t").step == 1
    assert not newest.exists()


def test_another_tasks_checkpoint_is_not_gone_on_from(tmp_path):
    save(checkpoint(7, task="other"), tmp_path)
    assert latest(tmp_path, "t") is None
    assert names(tmp_path) == []
