"""Text to unit vectors: a checked model directory, its fingerprint, and an encoder that packs by tokens.

`load` gives an `Encoder` (it imports torch, so it is called off the event loop and off the command line);
`batcher.CoalescingEncoder` puts an asynchronous front before it. `passages`, `packing` and `directory` are
light to import.
"""

from typing import TYPE_CHECKING

from schemas.control import Model
from shared.encoder.description import Description, check_model, compare
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

if TYPE_CHECKING:
    from shared.encoder.sentence import SentenceEncoder


def load(model: ModelSettings, expected: Model | None = None) -> "SentenceEncoder":
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
