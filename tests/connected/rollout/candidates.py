"""Models to build generations with: MiniLM with other weights, and directories that must not be loaded."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from safetensors.numpy import load_file, save_file

from schemas.control import Model
from shared.encoder.description import describe
from shared.encoder.directory import packaged_directory
from shared.settings import ModelSettings

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def perturbed(place: Path) -> Path:
    """Write a MiniLM whose word embeddings are a little longer: another model, about as good."""
    shutil.copytree(packaged_directory(), place)
    weights = load_file(place / "model.safetensors")
    for name in weights:
        if name.endswith("word_embeddings.weight"):
            weights[name] = weights[name] * 1.01
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    return place


def record(model_id: str, place: Path, **other: object) -> Model:
    """Return what `models.v1` says of the directory."""
    found = describe(place, ModelSettings())
    return Model.model_validate(
        {
            "model_id": model_id,
            "location": str(place),
            "verdict": "imported",
            "created_at": NOW,
            **found._asdict(),
            **other,
        }
    )


def hostile(good: Path, place: Path) -> dict[str, Model]:
    """Write what must be refused, by the words of the reason."""
    pickled, coded = _copy(good, place / "pickled"), _copy(good, place / "coded")
    models = {
        ".safetensors": record("pickled", pickled),
        "auto_map": record("coded", coded),
        "fingerprint": record("other-weights", good, fingerprint="0" * 16),
        "dimensions": record("other-dimensions", good, dimensions=48),
        "not a directory": record("gone", good, location=str(place / "gone")),
    }
    (pickled / "model.safetensors").unlink()
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04cposix\nsystem\n")
    configuration = json.loads((coded / "config.json").read_bytes())
    configuration["auto_map"] = {"AutoModel": "evil.Model"}
    (coded / "config.json").write_text(json.dumps(configuration))
    return models


def _copy(good: Path, place: Path) -> Path:
    """Copy a model, its weights by hard link."""

    def link(source: str, target: str) -> str:
        Path(target).hardlink_to(source) if source.endswith(".safetensors") else shutil.copy(source, target)
        return target

    shutil.copytree(good, place, copy_function=link)
    return place
