"""The negatives' section of the configuration."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from schemas.filters import FieldName
from schemas.search_api import MAX_K
from services.negatives.domain.rules import OBJECTIVE, Method, MiningRules
from shared.section import Duration, Section
from shared.settings import Port
from shared.settings import Settings as Base

Share = Annotated[float, Field(gt=0, le=1)]
Grade = Annotated[float, Field(ge=0, le=3)]
Rank = Annotated[int, Field(ge=1, le=MAX_K)]
Expected = Annotated[float, Field(gt=0, le=1e6)]


class NegativeSettings(Section):
    """What is mined, from where, and how fast; the defaults are explained in `domain.rules`."""

    port: Port = 8850
    search_url: str = "http://127.0.0.1:8800"
    search_token: SecretStr = SecretStr("")
    """Sent as a bearer token when search asks for one."""
    search_timeout: Duration = timedelta(seconds=5)
    queries_per_second: Annotated[int, Field(ge=1, le=1000)] = 5
    """Mined at most, by the one worker that mines."""
    settle: Duration = timedelta(seconds=10)
    """How long a query waits after its judgements moved; it is mined no oftener than that."""
    scored_positives: Annotated[int, Field(ge=0, le=100)] = 5
    """Positives that the search does not find, best first, whose scores are asked one by one."""
    objective: frozenset[str] = OBJECTIVE
    """Actions that make a positive."""
    positive_grade: Grade = MiningRules.positive_grade
    positive_actions: Annotated[int, Field(ge=1)] = MiningRules.positive_actions
    neutral_grade: Grade = MiningRules.neutral_grade
    evidence: Expected = MiningRules.evidence
    skipped_expected: Expected = MiningRules.skipped_expected
    passed_expected: Expected = MiningRules.passed_expected
    went_on: Expected = MiningRules.went_on
    margin: Share = MiningRules.margin
    likely: Share = MiningRules.likely
    overlap: Share = MiningRules.overlap
    co_positive_limit: Annotated[int, Field(ge=0, le=100)] = MiningRules.co_positive_limit
    depth: Rank = MiningRules.depth
    first_rank: Rank = MiningRules.first_rank
    last_rank: Rank = MiningRules.last_rank
    number: Annotated[int, Field(ge=1, le=500)] = MiningRules.number
    method: Method = MiningRules.method
    hard: Share = MiningRules.hard
    medium: Share = MiningRules.medium
    cross_encoder: Path | None = None
    """A sentence-transformers CrossEncoder directory that is asked about candidates; absent: nobody is."""
    veto: Share = MiningRules.veto
    remine_records: Annotated[int, Field(ge=0)] = 50_000
    """All queries are mined again when so many records were written to the index since they were, or when
    its log has become a quarter longer; 0: never."""
    remine_every: Duration = timedelta(hours=1)
    """But no oftener than that."""
    titles: Annotated[tuple[FieldName, ...], Field(max_length=20)] = MiningRules.titles
    codes: Annotated[tuple[FieldName, ...], Field(max_length=50)] = MiningRules.codes

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first_rank > self.last_rank:
            raise ValueError("first_rank is after last_rank")
        if self.medium > self.hard:
            raise ValueError("medium is above hard")
        return self

    def rules(self) -> MiningRules:
        """Return the rules of mining."""
        return MiningRules(**{field.name: getattr(self, field.name) for field in fields(MiningRules)})


class Settings(Base):
    """The common settings and the negatives'."""

    negatives: NegativeSettings = NegativeSettings()
