"""Could the canaries be asked at all: a search that fails is a finding of its own, never recall 0."""

from collections.abc import Sequence

from schemas.alerts import alert_key
from services.monitor.alerts.domain.observation import Observation

UNREACHABLE = "search-unreachable"
PARTIAL = "canaries-partial"


def reachability(asked: int, failures: Sequence[str], *, generation: str) -> Observation | None:
    """Say whether searches fail (`failures`: why each failed); None when nothing was asked."""
    if asked == 0:
        return None
    kinds = sorted(set(failures), key=lambda why: (-failures.count(why), why))
    return Observation(
        key=alert_key(UNREACHABLE, generation),
        breached=bool(failures),
        severity="critical" if len(failures) * 2 >= asked else "warning",
        summary=f"{len(failures)} of {asked} canary searches failed" + (f": {kinds[0]}" if kinds else ""),
        action=(
            "check that the search worker runs and is ready (GET /readyz on its port), and that the "
            "monitor's search_url and search_token are right"
        )
        if failures
        else "nothing to do",
        evidence={"asked": asked, "failed": len(failures), "reasons": tuple(kinds[:5])},
        signature="all" if len(failures) == asked else "some",
        generation=generation,
    )


def partiality(asked: int, incomplete: int, *, generation: str) -> Observation | None:
    """Say whether answers lacked shards, so that canaries went unjudged; None when nothing was asked."""
    if asked == 0:
        return None
    return Observation(
        key=alert_key(PARTIAL, generation),
        breached=incomplete > 0,
        severity="warning",
        summary=f"{incomplete} of {asked} canary answers were partial and could not be judged",
        action="see the shard-missing and shard-lag alerts: a shard is away, loading or slow"
        if incomplete
        else "nothing to do",
        evidence={"asked": asked, "partial": incomplete},
        signature="all" if incomplete == asked else "some",
        generation=generation,
    )
