"""The configured model, loaded: no library sees its files unchecked, and its vectors are the library's."""

import structlog

from schemas.control import Model
from shared.encoder.description import Description, Encoding, check_model, compare, read_encoding
from shared.encoder.directory import model_directory, other_files, unread
from shared.encoder.parity import check_parity
from shared.errors import ConfigurationError, FatalError, HeadraceError
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
    loaded = _loaded(encoding, model)
    if expected is not None:
        compare(Description(loaded.fingerprint, loaded.dimensions), expected)
        check_parity(loaded, expected)
    if others := unread(other_files(encoding.directory)):
        log.info("model.other_files", directory=str(encoding.directory), files=others)
    return loaded


def _loaded(encoding: Encoding, model: ModelSettings) -> Encoder:
    """Load the model by the way that is its own, and compare what it gives with the library."""
    from shared.encoder.choice import load_sentence_encoder  # noqa: PLC0415 - not without the extra `model`

    try:
        return load_sentence_encoder(encoding, model) if encoding.packs else _library_encoder(encoding, model)
    except ConfigurationError:
        raise
    except FatalError as error:  # such as weights that are not finite
        raise ConfigurationError(f"{encoding.directory}: {error}") from error
    except HeadraceError:
        raise
    except (ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{encoding.directory} cannot be loaded: {error!r}"[:1000]) from error


def _library_encoder(encoding: Encoding, model: ModelSettings) -> Encoder:
    from shared.encoder.comparison import check_vectors  # noqa: PLC0415 - torch is loaded only when needed
    from shared.encoder.library import LibraryEncoder  # noqa: PLC0415 - likewise

    if model.precision == "int8" or model.runtime not in {"auto", "torch"}:
        raise ConfigurationError(
            f"{encoding.directory}: only torch runs it, and not in int8: see model.runtime"
        )
    encoder = LibraryEncoder(encoding, model)
    check_vectors(encoder, encoder.library, encoding)
    return encoder
