"""The configured model, loaded: no library sees its files unchecked, and its vectors are the library's."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from schemas.control import Model, ModelProbe
from shared.encoder.description import Description, Encoding, check_model, compare, read_encoding
from shared.encoder.directory import model_directory, other_files, unread
from shared.encoder.parity import check_parity, packaged_probes, training_probes
from shared.encoder.runtimes.port import RuntimeName, UnsupportedModelError
from shared.errors import ConfigurationError, FatalError, HeadraceError
from shared.extras import TORCH, require
from shared.ports import Encoder
from shared.settings import ModelSettings

log = structlog.get_logger()


def load_encoder(model: ModelSettings, expected: Model | None = None) -> Encoder:
    """Load the configured model (blocking, seconds); raises `ConfigurationError` when it is refused.

    When it is `expected` to be a certain model, that is made sure of before any library sees its files.
    """
    if expected is not None:
        check_model(model, expected)
    encoding = read_encoding(model_directory(model.path), model)
    loaded = _loaded(encoding, model, _noted(encoding.directory, model, expected))
    if expected is not None:
        compare(Description(loaded.fingerprint, loaded.dimensions), expected)
        check_parity(loaded, expected)
    if others := unread(other_files(encoding.directory)):
        log.info("model.other_files", directory=str(encoding.directory), files=others)
    return loaded


def converted(model: ModelSettings) -> RuntimeName:
    """Convert the configured model, keep it in the cache, and return the runtime that it is kept for.

    Raises `UnsupportedModelError` when only torch runs it.
    """
    names: tuple[RuntimeName, ...] = ("ctranslate2", "onnx")
    for name in names:
        try:
            load_encoder(model.model_copy(update={"runtime": name}))
        except UnsupportedModelError as error:
            reason = error
        else:
            return name
    raise reason


def _noted(directory: Path, model: ModelSettings, expected: Model | None) -> Sequence[ModelProbe]:
    """Return vectors that the model is known to give: by its record, by its training, or by its release."""
    if expected is not None:
        return expected.probes
    return training_probes(directory) or packaged_probes(model)


def _loaded(encoding: Encoding, model: ModelSettings, noted: Sequence[ModelProbe]) -> Encoder:
    """Load the model by the way that is its own, and compare what it gives with the library."""
    require("an embedding model", "tokenizers", "safetensors")
    from shared.encoder.choice import load_sentence_encoder  # noqa: PLC0415 - not without the extra `serve`

    try:
        if encoding.packs:
            return load_sentence_encoder(encoding, model, noted)
        return _library_encoder(encoding, model)
    except ConfigurationError:
        raise
    except FatalError as error:  # such as weights that are not finite
        raise ConfigurationError(f"{encoding.directory}: {error}") from error
    except HeadraceError:
        raise
    except (ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{encoding.directory} cannot be loaded: {error!r}"[:1000]) from error


def _library_encoder(encoding: Encoding, model: ModelSettings) -> Encoder:
    require(f"{encoding.directory}, which only the library itself can run,", *TORCH)
    from shared.encoder.comparison import check_vectors  # noqa: PLC0415 - torch is loaded only when needed
    from shared.encoder.library import LibraryEncoder  # noqa: PLC0415 - likewise

    if model.precision == "int8" or model.runtime not in {"auto", "torch"}:
        raise ConfigurationError(
            f"{encoding.directory}: only torch runs it, and not in int8: see model.runtime"
        )
    encoder = LibraryEncoder(encoding, model)
    check_vectors(encoder, encoder.library, encoding)
    return encoder
