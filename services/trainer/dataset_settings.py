"""The settings that data sets depend on."""

from pydantic import BaseModel, ConfigDict

import shared.settings
from services.trainer.domain.selection import Filters, Selection
from shared.texts import TEMPLATES


class EmbedderText(BaseModel):
    """Of the `[embedder]` section, what a product's text is made of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: tuple[str, ...] = TEMPLATES


class DatasetSettings(shared.settings.Settings):
    """The common settings, and those of data sets."""

    dataset: Filters = Filters()
    embedder: EmbedderText = EmbedderText()

    @property
    def selection(self) -> Selection:
        """Return the selection with the text that the embedder embeds."""
        return Selection(**self.dataset.model_dump(), text=self.embedder.text)
