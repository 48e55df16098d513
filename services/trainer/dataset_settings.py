"""The settings that data sets depend on."""

from pydantic import BaseModel, ConfigDict

import shared.settings
from services.trainer.domain.selection import Selection
from shared.texts import TEMPLATES


class EmbedderText(BaseModel):
    """Of the `[embedder]` section, what a product's text is made of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: tuple[str, ...] = TEMPLATES


class DatasetSettings(shared.settings.Settings):
    """The common settings, and those of data sets."""

    dataset: Selection = Selection()
    embedder: EmbedderText = EmbedderText()

    @property
    def selection(self) -> Selection:
        """Return the selection with the text that the embedder embeds."""
        return self.dataset.model_copy(update={"text": self.embedder.text})
