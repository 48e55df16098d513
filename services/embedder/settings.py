"""How the embedder is configured."""

from typing import Annotated, Self

from pydantic import Field, model_validator

import shared.settings
from shared.catalogue.texts import TEMPLATES
from shared.encoder.passages import Cut
from shared.section import Section
from shared.settings import Port


class EmbedderSettings(Section):
    """The `[embedder]` section."""

    port: Port = 8820
    text: tuple[str, ...] = TEMPLATES
    """What is embedded, a line each: a field's name, or a text around names in braces (of
    `{title|name}` the first that has a value)."""
    language: str = "language"
    """The attribute that says which language a product is in; without a value, its text is looked at."""
    passage_size: Annotated[int, Field(ge=8)] = 240
    """Longest passage, in tokens of the model; what the model reads at once is less, where it is."""
    passage_overlap: Annotated[int, Field(ge=0)] = 32
    """Tokens of whole sentences that neighbouring passages share at most."""
    passages: Annotated[int, Field(ge=1, le=64)] = 4
    """Passages of one product at most; each costs an inference and a vector. What is left out is told on
    `catalogue.findings.v1`."""
    batch_messages: Annotated[int, Field(ge=1)] = 1000
    batch_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024

    @model_validator(mode="after")
    def _overlap_is_shorter(self) -> Self:
        if self.passage_overlap >= self.passage_size:
            raise ValueError("passage_overlap must be smaller than passage_size")
        return self

    @property
    def cut(self) -> Cut:
        """How long texts are cut."""
        return Cut(size=self.passage_size, overlap=self.passage_overlap, most=self.passages)


class Settings(shared.settings.Settings):
    """Settings of an embedder process."""

    embedder: EmbedderSettings = EmbedderSettings()
