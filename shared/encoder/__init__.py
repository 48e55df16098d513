"""Text to unit vectors: a checked model directory, its fingerprint, and an encoder that packs by tokens.

`load` gives an `Encoder` (it imports torch, so it is called off the event loop and off the command line);
`batcher.CoalescingEncoder` puts an asynchronous front before it. `passages`, `packing` and `directory` are
light to import.
"""

from typing import TYPE_CHECKING

from shared.settings import ModelSettings

if TYPE_CHECKING:
    from shared.encoder.sentence import SentenceEncoder


def load(model: ModelSettings) -> "SentenceEncoder":
    """Load the configured model (blocking, seconds); raises `ConfigurationError` when it is refused."""
    from shared.encoder.sentence import SentenceEncoder  # noqa: PLC0415 - torch is loaded only when needed

    return SentenceEncoder(model)
