"""An environment for processes in which torch, and what is installed only beside it, cannot be imported."""

import os
from pathlib import Path

BLOCKED = ("torch", "transformers", "sentence_transformers", "peft", "accelerate", "huggingface_hub", "onnx")
BLOCK = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in {BLOCKED!r}:
            return None
        return super().find_spec(fullname, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def environment(directory: Path) -> dict[str, str]:
    """Return the environment; Python reads a file of this directory at its start, before all else."""
    directory.mkdir(exist_ok=True)
    (directory / "sitecustomize.py").write_text(BLOCK)
    return {**os.environ, "PYTHONPATH": str(directory)}
