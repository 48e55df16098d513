"""What the trainer must know of the shop's search to answer as it does."""

from collections.abc import Sequence
from typing import Literal

from pydantic import ConfigDict

from schemas.base import Score, Value
from schemas.judgements import Canary
from services.trainer.dataset.settings import DatasetSettings
from shared.encoder.passages import Cut
from shared.generations.product_texts import ProductTexts
from shared.retrieval.settings import FusionSettings, TextSettings
from shared.section import Section

SearchMode = Literal["hybrid", "dense"]


class SearchPages(FusionSettings):
    """Of the `[search]` section, what decides a page."""

    model_config = ConfigDict(extra="ignore")


class IndexedText(TextSettings):
    """Of the `[shards.lexical]` section, what decides a page."""

    model_config = ConfigDict(extra="ignore")


class ShardsText(Section):
    """Of the `[shards]` section, what decides a page."""

    model_config = ConfigDict(extra="ignore")

    lexical: IndexedText = IndexedText()


class ShopSearch(Value):
    """How the shop's search answers, with which weight, and what it must find."""

    mode: SearchMode = "hybrid"
    """What the shop's front end asks for."""
    pages: FusionSettings = FusionSettings()
    text: TextSettings = TextSettings()
    cut: Cut = ProductTexts().cut
    """How the embedder cuts long texts."""
    fitted_weight: Score | None = None
    """The weight of vectors that is served with the live model; None: none was fitted, or it is void."""
    canaries: tuple[Canary, ...] = ()

    @property
    def live_weight(self) -> float:
        """The weight of vectors in what shoppers see today."""
        if self.mode == "dense":
            return 1.0
        fitted = self.fitted_weight
        return self.pages.fusion.dense_weight if fitted is None else fitted

    def candidate_weight(self, fitted: float | None) -> float:
        """Return the weight that a candidate would be served with; `fitted` was fitted for it, if any was."""
        return self.live_weight if fitted is None or self.mode == "dense" else fitted


class EvaluationSettings(DatasetSettings):
    """The settings of data sets, and those of search that pages depend on."""

    search: SearchPages = SearchPages()
    shards: ShardsText = ShardsText()

    def shop_search(
        self, mode: SearchMode, *, fitted_weight: float | None = None, canaries: Sequence[Canary] = ()
    ) -> ShopSearch:
        """Return how the shop's search answers."""
        return ShopSearch(
            mode=mode,
            pages=self.search,
            text=self.shards.lexical,
            cut=self.embedder.cut,
            fitted_weight=fitted_weight,
            canaries=tuple(canaries),
        )
