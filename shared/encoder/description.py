"""What a model directory says of itself, read before any library sees it: its fingerprint and dimensions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from schemas.control import Model
from shared.encoder.directory import check_directory
from shared.encoder.fingerprint import fingerprint
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

JsonObject = Mapping[str, Any]  # Any: JSON from outside
DESCRIPTION = "config_sentence_transformers.json"
NO_LIMIT = 1 << 20
"""Tokenizers without a limit claim one of some 10 ** 30 tokens."""


class Description(NamedTuple):
    """What the model would be when it was loaded."""

    fingerprint: str
    dimensions: int


def check_model(settings: ModelSettings, model: Model) -> None:
    """Raise `ConfigurationError` with the reason unless the directory holds that very model, safe to load.

    `settings` name the directory. Nothing is run or unpickled: files are listed, hashed, and read as JSON.
    """
    if settings.path is None:
        raise ConfigurationError(f"model {model.model_id} has no directory")
    check_directory(settings.path)
    compare(describe(settings.path, settings), model)


def compare(description: Description, model: Model) -> None:
    """Raise `ConfigurationError` when a directory's description is not what the model's record says."""
    dimensions, own = description.dimensions, description.fingerprint
    if dimensions != model.dimensions:
        raise ConfigurationError(
            f"model {model.model_id}: {dimensions} dimensions in {model.location}, its record says "
            f"{model.dimensions}"
        )
    if own != model.fingerprint:
        raise ConfigurationError(
            f"model {model.model_id}: {model.location} has fingerprint {own}, its record says "
            f"{model.fingerprint}: the files, the prompts or model.max_tokens are not those it was made with"
        )


def describe(directory: Path, settings: ModelSettings) -> Description:
    """Return fingerprint and dimensions as `SentenceEncoder` would have them, without loading anything."""
    dimensions = _dimensions(directory)
    inputs: dict[str, str | int | bool] = {
        "query_prompt": settings.query_prompt or prompts(directory).get("query", ""),
        "document_prompt": settings.document_prompt or prompts(directory).get("document", ""),
        "max_tokens": min(settings.max_tokens, _longest(directory) or settings.max_tokens),
        "dimensions": dimensions,
        "normalised": True,
    }
    return Description(fingerprint(directory, inputs), dimensions)


def prompts(directory: Path) -> dict[str, str]:
    """Return the prompts that the model's own configuration names."""
    configured = _json(directory / DESCRIPTION).get("prompts")
    return {name: prompt for name, prompt in (configured or {}).items() if isinstance(prompt, str)}


def model_type(directory: Path) -> str | None:
    """Return which class of sentence-transformers the model was saved by, if it says so."""
    kind = _json(directory / DESCRIPTION).get("model_type")
    return kind if isinstance(kind, str) else None


def _longest(directory: Path) -> int | None:
    """Return the most tokens of an input: sentence-transformers' own limit, else the tokenizer's."""
    limit = _json(directory / "sentence_bert_config.json").get("max_seq_length")
    if limit is None:
        limits = (
            _json(directory / "tokenizer_config.json").get("model_max_length"),
            _json(directory / "config.json").get("max_position_embeddings"),
        )
        lengths = [most for most in limits if isinstance(most, int) and 0 < most < NO_LIMIT]
        limit = min(lengths, default=None)
    return limit if isinstance(limit, int) else None


def _dimensions(directory: Path) -> int:
    """Return what the last module that says so puts out; else the width of the transformer."""
    width = _json(directory / "config.json").get("hidden_size")
    for module in json.loads((directory / "modules.json").read_bytes()):
        config = _json(directory / str(module.get("path", "")) / "config.json")
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        if kind == "Pooling":
            width = config.get("embedding_dimension") or _pooled(config) or width
        elif kind == "Dense":
            width = config.get("out_features") or width
    width = _json(directory / DESCRIPTION).get("truncate_dim") or width
    if not isinstance(width, int) or width < 1:
        raise ConfigurationError(f"{directory} does not say how many dimensions its vectors have")
    return width


def _pooled(config: JsonObject) -> Any:  # Any: JSON from outside
    modes = sum(bool(value) for name, value in config.items() if name.startswith("pooling_mode_"))
    width = config.get("word_embedding_dimension")
    return width * max(1, modes) if isinstance(width, int) else None


def _json(file: Path) -> JsonObject:
    if not file.is_file():
        return {}
    content = json.loads(file.read_bytes())
    return content if isinstance(content, dict) else {}
