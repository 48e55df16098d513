"""The name of a model: two vectors may be compared when their fingerprints are equal."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from shared.encoder.directory import TRANSFORMER_CONFIGS, sha256_of

DIGITS = 16
TOKENIZER = frozenset(
    {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
    }
)
STRUCTURE = frozenset({"config.json", "modules.json", "router_config.json", *TRANSFORMER_CONFIGS})


def fingerprint(directory: Path, inputs: Mapping[str, str | int | bool]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 over the model's files and `inputs`.

    Files: weights, tokenizer, architecture, pooling (by content and relative path). `inputs` is what
    else makes the vectors: prompts, longest input, dimensions, normalisation.
    """
    files = {
        file.relative_to(directory).as_posix(): sha256_of(file)
        for file in directory.rglob("*")
        if file.is_file() and _matters(file)
    }
    canonical = json.dumps({"files": files, "inputs": dict(inputs)}, sort_keys=True)
    return sha256(canonical.encode()).hexdigest()[:DIGITS]


def _matters(file: Path) -> bool:
    return file.suffix in {".safetensors", ".model"} or file.name in TOKENIZER | STRUCTURE
