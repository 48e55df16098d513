"""The configured model, loaded: when it is known what to expect, no library sees its files unchecked."""

from typing import TYPE_CHECKING

from schemas.control import Model
from shared.encoder.description import Description, check_model, compare
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

if TYPE_CHECKING:
    from shared.encoder.sentence import SentenceEncoder


def load_encoder(model: ModelSettings, expected: Model | None = None) -> "SentenceEncoder":
    """Load the configured model (blocking, seconds); raises `ConfigurationError` when it is refused.

    When it is `expected` to be a certain model, that is made sure of before any library sees its files.
    """
    if expected is not None:
        check_model(model, expected)
    from shared.encoder.sentence import SentenceEncoder  # noqa: PLC0415 - torch is loaded only when needed

    if expected is None:
        return SentenceEncoder(model)
    try:
        loaded = SentenceEncoder(model)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # the library's, for damage
        raise ConfigurationError(f"model {expected.model_id} cannot be loaded: {error!r}") from error
    compare(Description(loaded.fingerprint, loaded.dimensions), expected)
    return loaded
