"""The settings that data sets depend on."""

from pydantic import ConfigDict

import shared.settings
from services.trainer.dataset.domain.selection import DatasetFilters, DatasetSelection
from shared.generations.product_texts import ProductTexts


class EmbedderText(ProductTexts):
    """Of the `[embedder]` section, what a product's texts are made of."""

    model_config = ConfigDict(extra="ignore")


class DatasetSettings(shared.settings.Settings):
    """The common settings, and those of data sets."""

    dataset: DatasetFilters = DatasetFilters()
    embedder: EmbedderText = EmbedderText()

    @property
    def selection(self) -> DatasetSelection:
        """Return the selection with the text that the embedder embeds."""
        return DatasetSelection(**self.dataset.model_dump(), text=self.embedder.text)
