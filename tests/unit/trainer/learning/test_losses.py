import pytest
import torch
from torch.nn import functional

from services.trainer.learning import losses

SCORES = torch.tensor([[2.0, 1.0, 0.5, -1.0], [0.0, 3.0, 1.0, 0.2]])
NOTHING = torch.zeros(2, 4, dtype=torch.bool)


def test_with_one_right_product_each_it_is_cross_entropy():
    weights = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    found = losses.contrastive(SCORES, weights, NOTHING, contrast=0.5)
    assert torch.isclose(found, functional.cross_entropy(SCORES, torch.tensor([0, 1])))


def test_a_term_weighs_what_its_judgement_is_worth():
    one, other = (
        losses.contrastive(SCORES[row : row + 1], torch.eye(4)[row : row + 1], NOTHING[:1], contrast=0.5)
        for row in (0, 1)
    )
    weights = torch.tensor([[3.0, 0, 0, 0], [0, 1.0, 0, 0]])
    found = losses.contrastive(SCORES, weights, NOTHING, contrast=0.5)
    assert torch.isclose(found, (3 * one + other) / 4)


def test_right_products_of_about_the_same_worth_are_no_negatives_of_each_other():
    weights = torch.tensor([[1.0, 0.9, 0, 0], [0, 0, 0, 0]])
    apart = SCORES.clone()
    apart[0, 1] = 9.0  # the second right product shoots ahead
    first = torch.tensor([[1.0, 0.0, 0, 0], [0, 0, 0, 0]])
    alone = losses.contrastive(SCORES, first, torch.tensor([[False, True, False, False]] * 2), contrast=0.5)
    assert losses.contrastive(apart, weights, NOTHING, contrast=0.5) < alone


def test_a_much_better_product_must_be_ahead_of_a_right_one():
    weights = torch.tensor([[1.0, 0.1, 0, 0], [0, 0, 0, 0]])
    behind = SCORES.clone()
    behind[0, 1] = 9.0
    graded, flat = (losses.contrastive(behind, weights, NOTHING, contrast=it) for it in (0.5, 0.0))
    assert graded > flat


def test_a_blocked_pair_says_nothing():
    weights = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]])
    blocked = torch.tensor([[False, True, False, False], [False] * 4])
    scores = SCORES.clone().requires_grad_()
    losses.contrastive(scores, weights, blocked, contrast=0.5).backward()
    assert scores.grad[0, 1] == 0
    assert scores.grad[0, 2] > 0 > scores.grad[0, 0]


def test_nothing_right_is_no_loss_and_no_gradient():
    scores = SCORES.clone().requires_grad_()
    losses.both_ways(scores, torch.zeros(2, 4), NOTHING, contrast=0.5).backward()
    assert not scores.grad.any()


def test_a_near_duplicate_of_a_right_product_is_not_a_negative_unless_it_was_judged():
    products = functional.normalize(torch.tensor([[1.0, 0], [0.99, 0.01], [0, 1.0], [0.98, 0.02]]), dim=1)
    weights = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]])
    known = torch.tensor([[True, False, False, True], [False] * 4])
    found = losses.guarded(NOTHING, known, weights=weights, products=products, guard=0.95)
    assert found.tolist() == [[False, True, False, False], [False] * 4]


def test_signs_pass_the_gradient_on():
    vectors = torch.tensor([[0.3, -0.2, 0.0]], requires_grad=True)
    code = losses.signs(vectors)
    assert code.detach().tolist()[0] == pytest.approx([3**-0.5, -(3**-0.5), 3**-0.5])
    code.sum().backward()
    assert vectors.grad.tolist() == [[1, 1, 1]]


def test_a_prefix_is_a_unit_vector():
    assert losses.prefix(torch.arange(1.0, 25.0).reshape(3, 8), 2).norm(dim=1).tolist() == pytest.approx(
        [1, 1, 1]
    )
