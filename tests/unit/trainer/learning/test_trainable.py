"""What of a model is learned, and how its weights are taken and put back."""

import pytest
import torch
from torch import nn

from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.trainable import learned, merge_adapters, restore, steady, trainable
from shared.errors import ConfigurationError


class Stack(nn.Module):
    def __init__(self, layers=3):
        super().__init__()
        self.embeddings = nn.Embedding(4, 2)
        self.layer = nn.ModuleList(nn.Linear(2, 2) for _ in range(layers))
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(2, 1)


def names(module):
    return {name.partition(".weight")[0].partition(".bias")[0] for name, _ in trainable(module)}


def test_everything_is_learned_and_dropout_is_off():
    module = Stack()
    steady(module, Recipe())
    assert names(module) == {"embeddings", "layer.0", "layer.1", "layer.2", "head"}
    assert module.dropout.p == 0


@pytest.mark.parametrize(
    ("layers", "kept"),
    [(1, {"layer.2"}), (2, {"layer.1", "layer.2"}), (9, {"layer.0", "layer.1", "layer.2"})],
)
def test_only_the_top_layers_and_what_comes_after_are_learned(layers, kept):
    module = Stack()
    steady(module, Recipe(layers=layers))
    assert names(module) == kept | {"head"}


def test_a_model_without_a_stack_has_no_top_layers():
    with pytest.raises(ConfigurationError, match="layers: this model has no stack"):
        steady(nn.Linear(2, 2), Recipe(layers=1))


def test_weights_are_a_copy_and_can_be_put_back():
    module = Stack()
    steady(module, Recipe(layers=1))
    before = learned(module)
    with torch.no_grad():
        for _, weight in trainable(module):
            weight.add_(1.0)
    assert all(not torch.equal(weight, before[name]) for name, weight in trainable(module))
    restore(module, before)
    assert all(torch.equal(weight, before[name]) for name, weight in trainable(module))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.other = nn.Linear(2, 2), nn.Linear(2, 2)


def test_adapters_alone_are_learned_and_merged_they_leave_the_model_as_it_was_built():
    module = Attention()
    plain = {name for name, _ in module.named_parameters()}
    before = module.query.weight.detach().clone()
    steady(module, Recipe(lora=2))
    assert {name for name, _ in trainable(module)} == {
        "query.lora_A.default.weight",
        "query.lora_B.default.weight",
    }
    with torch.no_grad():
        for _, weight in trainable(module):
            weight.fill_(0.5)
    inputs = torch.tensor([[1.0, -2.0]])
    adapted = module.query(inputs)
    merge_adapters(module)
    assert {name for name, _ in module.named_parameters()} == plain
    assert not torch.equal(module.query.weight, before)
    torch.testing.assert_close(module.query(inputs), adapted)
