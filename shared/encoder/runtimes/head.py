"""What a model does with its transformer's output, in NumPy: pooling, dense layers, normalising.

The modules are those of sentence-transformers 6.2. What is not known here raises `UnsupportedModelError`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.arrays import Vectors
from shared.encoder.directory import Module, read_modules
from shared.encoder.runtimes.port import UnsupportedModelError
from shared.encoder.runtimes.weights import read_weights

Hidden = NDArray[np.float32]
"""What a transformer gives: (texts, tokens, width)."""
Mask = NDArray[np.int64]
LEGACY_MODES = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}
"""What switches a mode on in the older form, in the order in which their rows are joined."""
TINY = 1e-12
"""Below this length a vector is not brought to length one, as in torch."""


class TransformerModule(NamedTuple):
    """The transformer of a directory, and what makes a row of its output."""

    module: Module
    head: "PoolingHead"


class PoolingHead(NamedTuple):
    """Poolings, whose rows are joined, then what is done with the joined rows."""

    poolings: Sequence[Callable[[Hidden, Mask], Vectors]]
    steps: Sequence[Callable[[Vectors], Vectors]]

    def rows(self, hidden: Hidden, mask: Mask) -> Vectors:
        """Return the embedding of each text."""
        pooled = [pooling(hidden, mask) for pooling in self.poolings]
        rows = pooled[0] if len(pooled) == 1 else np.concatenate(pooled, axis=1)
        for step in self.steps:
            rows = step(rows)
        return rows


def read_transformer(directory: Path) -> TransformerModule:
    """Return the transformer of a checked directory, and its head."""
    modules = read_modules(directory)
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or any(module.keywords for module in modules):
        raise UnsupportedModelError(f"{directory} is not a transformer with a pooling behind it")
    steps = [_step(module) for module in modules[2:] if module.kind != "Dropout"]
    return TransformerModule(modules[0], PoolingHead(_poolings(modules[1].folder), steps))


def _poolings(folder: Path) -> list[Callable[[Hidden, Mask], Vectors]]:
    config = _config(folder)
    switched = [mode for switch, mode in LEGACY_MODES.items() if config.get(f"pooling_mode_{switch}")]
    modes = config.get("pooling_mode") or switched or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if any(mode not in POOLINGS for mode in modes):
        raise UnsupportedModelError(f"{folder}: a pooling by {', '.join(modes)}")
    return [POOLINGS[mode] for mode in modes]


def _step(module: Module) -> Callable[[Vectors], Vectors]:
    if module.kind == "Normalize":
        return _normalised
    if module.kind == "Dense":
        return _dense(module.folder)
    raise UnsupportedModelError(f"{module.folder}: a {module.kind} behind the pooling")


def _dense(folder: Path) -> Callable[[Vectors], Vectors]:
    config, weights = _config(folder), read_weights(folder)
    activation = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    inputs = {config.get(name) for name in ("module_input_name", "module_output_name")}
    if activation not in ACTIVATIONS or config.get("use_residual") or inputs - {None, "sentence_embedding"}:
        raise UnsupportedModelError(f"{folder}: a dense layer with {activation}, a residual or other inputs")
    try:
        matrix = weights["linear.weight"].T
        bias = weights["linear.bias"] if config.get("bias", True) else 0
    except KeyError as error:
        raise UnsupportedModelError(f"{folder}: no {error}") from error
    return lambda rows: ACTIVATIONS[activation](rows @ matrix + bias)


def _mean(hidden: Hidden, mask: Mask) -> Vectors:
    return _sum(hidden, mask) / _count(mask)


def _mean_sqrt(hidden: Hidden, mask: Mask) -> Vectors:
    return np.divide(_sum(hidden, mask), np.sqrt(_count(mask)), dtype=np.float32)


def _cls(hidden: Hidden, mask: Mask) -> Vectors:  # noqa: ARG001 - padding is behind a text
    return hidden[:, 0]


def _max(hidden: Hidden, mask: Mask) -> Vectors:
    rows: Vectors = np.where(mask[..., None] > 0, hidden, -np.inf).max(axis=1)
    return rows


def _sum(hidden: Hidden, mask: Mask) -> Vectors:
    rows: Vectors = np.einsum("nsd,ns->nd", hidden, mask.astype(np.float32))
    return rows


def _count(mask: Mask) -> Vectors:
    counts: Vectors = mask.sum(axis=1, keepdims=True).astype(np.float32)
    return counts


def _normalised(rows: Vectors) -> Vectors:
    norms: Vectors = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, np.maximum(norms, TINY), dtype=np.float32)


POOLINGS: Mapping[str, Callable[[Hidden, Mask], Vectors]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
}
ACTIVATIONS: Mapping[str, Callable[[Vectors], Vectors]] = {
    "Identity": lambda rows: rows,
    "ReLU": lambda rows: np.maximum(rows, 0),
    "Sigmoid": lambda rows: np.divide(1, 1 + np.exp(-rows), dtype=np.float32),
    "Tanh": np.tanh,
}


def _config(folder: Path) -> Mapping[str, Any]:  # Any: JSON from outside
    content = json.loads((folder / "config.json").read_bytes())
    return content if isinstance(content, dict) else {}
