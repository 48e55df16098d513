"""The settings that data sets depend on."""

from pydantic import BaseModel, ConfigDict

import shared.settings
from services.trainer.dataset.domain.selection import DatasetFilters, DatasetSelection
from shared.catalogue.texts import TEMPLATES


class EmbedderText(BaseModel):
    """Of the `[embedder]` section, what a product's text is made of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: tuple[str, ...] = TEMPLATES


class DatasetSettings(shared.settings.Settings):
    """The common settings, and those of data sets."""

    dataset: DatasetFilters = DatasetFilters()
    embedder: EmbedderText = EmbedderText()

    @property
    def selection(self) -> DatasetSelection:
        """Return the selection with the text that the embedder embeds."""
        return DatasetSelection(**self.dataset.model_dump(), text=self.embedder.text)
