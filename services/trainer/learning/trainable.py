"""The model that is being fitted, whatever its kind: it learns from a batch, scores, and is saved.

Dropout is off: with a few hundred queries it costs a third of the time and the memory, the seed then
decides everything, and a run that was killed goes on exactly where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from schemas.control import ModelProbe
from services.trainer.learning.domain.batches import TrainingBatch
from services.trainer.learning.domain.recipe import Recipe
from shared.errors import ConfigurationError

ATTENTION = ("query", "key", "value", "q_proj", "k_proj", "v_proj", "o_proj", "dense")
"""What LoRA adapts, by the names that BERT-like and decoder-like models give to it."""


class FitNotes(NamedTuple):
    """What a fit notes of an embedding model, for whoever evaluates and serves it."""

    probes: tuple[ModelProbe, ...] = ()
    """The vectors that it gives to a few texts, with the weights as they are in memory."""
    cut: float = 0.0
    """Share of the products' texts of which the fit read a part only; they are served whole."""


class TrainableModel(Protocol):
    """One model in training. Everything is blocking and on one device."""

    @property
    def module(self) -> nn.Module:
        """What holds the weights."""

    def learn(self, batch: TrainingBatch) -> float:
        """Add the gradients of one batch to the weights and return the loss."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return how well each text answers the query; without gradients."""

    def prepare(self, texts: Sequence[str]) -> None:
        """Get ready to score these texts with the weights as they are now."""

    def notes(self, texts: Sequence[str]) -> FitNotes:
        """Return what is noted of it as it is now; `texts` are those of the products."""

    def save(self, directory: Path) -> None:
        """Write the model as sentence-transformers has it, weights as safetensors."""


def steady(module: nn.Module, recipe: Recipe) -> None:
    """Switch dropout off and, for LoRA, put adapters in and keep everything else as it is."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    if recipe.layers:
        _freeze(module, recipe.layers)
    if recipe.lora:
        _adapt(module, recipe.lora)


def merge_adapters(module: nn.Module) -> None:
    """Add what the adapters learned to the weights, and take them out."""
    from peft.tuners.lora import LoraLayer  # noqa: PLC0415 - seconds to import, and only LoRA needs it

    for name, part in list(module.named_modules()):
        if isinstance(part, LoraLayer):
            part.merge()
            parent = module.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], part.get_base_layer())


def trainable(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the weights that are learned, by name."""
    return ((name, weight) for name, weight in module.named_parameters() if weight.requires_grad)


def learned(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights that are learned."""
    return {name: weight.detach().cpu().clone() for name, weight in trainable(module)}


@torch.no_grad()
def restore(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights back that `learned` returned."""
    for name, weight in trainable(module):
        weight.copy_(weights[name])


def _freeze(module: nn.Module, layers: int) -> None:
    """Learn the topmost transformer layers only, and what comes after them."""
    stacks = [part for part in module.modules() if isinstance(part, nn.ModuleList) and len(part) > 1]
    if not stacks:
        raise ConfigurationError("recipe: layers: this model has no stack of layers; leave it at 0")
    stack = max(stacks, key=len)
    upper = {id(weight) for layer in stack[-layers:] for weight in layer.parameters()}
    within = {id(weight) for weight in stack.parameters()}
    for name, weight in module.named_parameters():
        is_above = id(weight) not in within and "embeddings" not in name
        weight.requires_grad_(id(weight) in upper or is_above)


def _adapt(module: nn.Module, rank: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 - as above

    linear = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    names = {name.rpartition(".")[2] for name in linear}
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=sorted(names & set(ATTENTION))
    )
    inject_adapter_in_model(config, module)  # everything but the adapters stops learning
