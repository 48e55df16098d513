"""Weights of a checked directory as NumPy arrays, without torch; nothing is unpickled."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import deserialize

from shared.arrays import Vectors
from shared.encoder.runtimes.port import UnsupportedModelError

WHOLE, PARTS = "model.safetensors", "model.safetensors.index.json"
TYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I64": np.int64}

Weights = Mapping[str, Vectors]


def read_weights(folder: Path) -> dict[str, Vectors]:
    """Return the tensors of a module's folder by name, in float32.

    Raises `UnsupportedModelError` where there are none, or one that is not made of floats.
    """
    return {
        name: _array(folder, name, tensor)
        for file in _files(folder)
        for name, tensor in deserialize(file.read_bytes())  # type: ignore[no-untyped-call]  # it is
    }


def _files(folder: Path) -> Iterator[Path]:
    if (folder / WHOLE).is_file():
        yield folder / WHOLE
    elif (folder / PARTS).is_file():
        parts = json.loads((folder / PARTS).read_bytes())["weight_map"]
        yield from (folder / name for name in sorted(set(parts.values())))
    else:
        raise UnsupportedModelError(f"{folder} has no {WHOLE}")


def _array(folder: Path, name: str, tensor: Mapping[str, Any]) -> Vectors:  # Any: of safetensors
    kind, shape = tensor["dtype"], tensor["shape"]
    if kind == "BF16":  # the upper half of a float32
        halves = np.frombuffer(tensor["data"], np.uint16).astype(np.uint32)
        return np.left_shift(halves, 16, dtype=np.uint32).view(np.float32).reshape(shape)
    if kind not in TYPES:
        raise UnsupportedModelError(f"{folder}: {name} is of type {kind}")
    numbers: Vectors = np.frombuffer(tensor["data"], TYPES[kind]).astype(np.float32, copy=False)
    return numbers.reshape(shape)
