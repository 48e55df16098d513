"""What decides a page of hybrid search: of search and shards, and of whoever answers as they do."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.search_api import Fusion
from shared.section import Section


class TextSettings(Section):
    """Which attributes are text, and how they count."""

    title_fields: tuple[str, ...] = ("title", "name", "brand")
    """Attributes that name the product; every other string attribute is body text."""
    title_weight: Annotated[float, Field(gt=0, le=100)] = 4.0
    """As how many words of the body a word of the title counts."""

    def part_of(self, attribute: str) -> Literal["title", "body"]:
        """Return as which of the two an attribute's words count."""
        return "title" if attribute in self.title_fields else "body"


class FusionSettings(Section):
    """Which candidates become one list, and how."""

    fusion: Fusion = Fusion()
    """How hybrid searches are fused when the request does not say."""
    depth: Annotated[int, Field(ge=1, le=1000)] = 50
    """Candidates by vector and by words, of all shards, that are held against each other for the first page;
    of a longer list twice as many stand behind these, and so on: it begins as a shorter one does."""
