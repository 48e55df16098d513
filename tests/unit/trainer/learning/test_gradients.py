"""Gradients in little memory and on any number of cores are the gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.learning.gradients import Cores, GradientPasses, add, backward, groups_of


def setting(count=7, size=4):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, size, generator=generator), torch.randn(size, size, generator=generator)


def loss(vectors):
    return (vectors @ vectors.T).logsumexp(1).mean()


def computed(groups, *, cached, cores):
    texts, start = setting()
    weight = start.clone().requires_grad_()
    passes = GradientPasses(groups, lambda numbers: torch.tanh(texts[list(numbers)] @ weight), cached=cached)
    value = backward(Cores(cores), [weight], passes, loss=loss)
    return value, weight.grad


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("groups", [[[0, 1, 2, 3, 4, 5, 6]], [[6, 0], [3, 1, 5], [2, 4]]])
def test_they_are_those_of_one_pass_over_everything(groups, cached, cores):
    texts, start = setting()
    weight = start.clone().requires_grad_()
    wanted = loss(torch.tanh(texts @ weight))
    wanted.backward()
    value, gradient = computed(groups, cached=cached, cores=cores)
    assert value == pytest.approx(float(wanted.detach()), abs=1e-6)
    torch.testing.assert_close(gradient, weight.grad)


def test_the_number_of_cores_changes_no_bit():
    groups = [[6, 0], [3, 1, 5], [2, 4]]
    one, three = (computed(groups, cached=True, cores=cores) for cores in (1, 3))
    assert one[0] == three[0]
    assert torch.equal(one[1], three[1])


def test_gradients_are_added_to_those_that_are_there():
    one, other = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    add([one, other], [torch.ones(2), None])
    add([one, other], [torch.ones(2), None])
    assert one.grad.tolist() == [2, 2]
    assert other.grad is None


@settings(max_examples=50)
@given(st.lists(st.integers(1, 64), max_size=40), st.integers(1, 16))
def test_every_text_is_in_one_group_and_groups_hold_like_lengths(lengths, rows):
    groups = groups_of(lengths, rows)
    assert sorted(number for group in groups for number in group) == list(range(len(lengths)))
    assert all(0 < len(group) <= rows for group in groups)
    flat = [lengths[number] for group in groups for number in group]
    assert flat == sorted(flat, reverse=True)


def test_results_come_in_order():
    assert list(Cores(3).each(lambda number: number * number, range(10))) == [n * n for n in range(10)]
