"""How the embedder is configured."""

from typing import Annotated

from pydantic import Field

import shared.settings
from shared.generations.product_texts import ProductTexts
from shared.settings import Port


class EmbedderSettings(ProductTexts):
    """The `[embedder]` section."""

    port: Port = 8820
    language: str = "language"
    """The attribute that says which language a product is in; without a value, its text is looked at."""
    batch_messages: Annotated[int, Field(ge=1)] = 1000
    batch_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024


class Settings(shared.settings.Settings):
    """Settings of an embedder process."""

    embedder: EmbedderSettings = EmbedderSettings()
