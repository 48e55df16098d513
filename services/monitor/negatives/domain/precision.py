"""Are negatives right: the share of those that shoppers looked at and did not act upon."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.alerts import alert_key
from services.monitor.alerts.domain.observation import Observation

NEGATIVE_PRECISION = "negative-precision"
SUBJECT = "mined"


class PrecisionRule(BaseModel):
    """From which share down it is too low, and of how many negatives a share says something."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least: Annotated[float, Field(ge=0, le=1)] = 0.8
    looked_at: Annotated[int, Field(ge=1)] = 100


def negative_precision(looked_at: int, acted_upon: int, rule: PrecisionRule) -> Observation:
    """Say how many of the negatives that were looked at enough since they were mined were acted upon."""
    share = 1 - acted_upon / looked_at if looked_at else 1.0
    return Observation(
        key=alert_key(NEGATIVE_PRECISION, SUBJECT),
        breached=looked_at >= rule.looked_at and share < rule.least,
        severity="warning",
        summary=(
            f"shoppers acted upon {acted_upon:,} of {looked_at:,} negatives that they have looked at enough "
            f"since these were mined: {share:.1%} were right, and {rule.least:.0%} should be"
        ),
        action=(
            "models learn from wrong negatives: set a lower negatives.margin, a higher negatives.first_rank, "
            "or a negatives.cross_encoder; until then train with `--option negatives=0`"
        ),
        evidence={"looked_at": looked_at, "acted_upon": acted_upon, "precision": share},
        signature=f"{share:.1f}",
    )
