"""Verdicts on canaries put into words: the observations, each with the action it recommends."""

from collections.abc import Iterable

from schemas.alerts import alert_key
from schemas.judgements import Canary
from services.monitor.alerts.domain.observation import Observation
from services.monitor.canaries.domain.verdict import CanaryVerdict, Circumstances, Overall

RECALL = "canary-recall"
RANK = "canary-rank"
REFUSED = "canary-refused"
DETECTORS = frozenset({RECALL, RANK, REFUSED})
OVERALL = "canaries-overall"
LISTED = 20
"""Identifiers in an alert's evidence; the rest are counted only."""


def canary_key(detector: str, canary: Canary, generation: str) -> str:
    """Return the key of that detector's alert on a canary of a generation."""
    return alert_key(detector, f"{generation}:{canary.canary_id}")


def recall(verdict: CanaryVerdict, circumstances: Circumstances) -> Observation:
    """Put a canary's recall into an observation."""
    canary, result, past = verdict.canary, verdict.result, verdict.past
    known = len(set(canary.product_ids))
    hits = known - len(result.missing)
    collapsed = result.recall == 0 and past.before is not None
    return Observation(
        key=canary_key(RECALL, canary, circumstances.generation),
        breached=result.breached,
        severity="critical" if canary.minimum_recall is not None or collapsed else "warning",
        summary=(
            f"canary {canary.canary_id} “{_short(canary.query)}” finds {hits} of {known} known products "
            f"in its top {canary.k} (recall {result.recall:.2f}, limit {result.limit:.2f})"
        ),
        cause=verdict.memory.cause or "unknown",
        action=_recall_action(verdict),
        evidence={
            "query": canary.query,
            "recall": result.recall,
            "limit": result.limit,
            "k": canary.k,
            "missing": result.missing[:LISTED],
            **({} if past.before is None else {"recall_before": past.before}),
        },
        signature=f"{hits}/{known}",
        generation=circumstances.generation,
    )


def rank(verdict: CanaryVerdict, circumstances: Circumstances) -> Observation | None:
    """Put a canary's reciprocal rank into an observation; None while its recall is the news."""
    canary, result = verdict.canary, verdict.result
    if result.breached:
        return None
    breached = result.reciprocal_rank < verdict.rank_limit
    position = _position(result.reciprocal_rank)
    return Observation(
        key=canary_key(RANK, canary, circumstances.generation),
        breached=breached,
        severity="info",
        summary=(
            f"canary {canary.canary_id} “{_short(canary.query)}”: its first known product is at rank "
            f"{position}, usually at {_position(verdict.past.rank.reference)}"
        ),
        action=(
            "compare with the last change of model, fusion weights or catalogue; GET /why on the search API "
            f"explains the rank of {canary.product_ids[0]}"
        )
        if breached
        else "nothing to do",
        evidence={
            "query": canary.query,
            "reciprocal_rank": result.reciprocal_rank,
            "limit": verdict.rank_limit,
        },
        signature=position,
        generation=circumstances.generation,
    )


def mean_recall(overall: Overall, circumstances: Circumstances) -> Observation:
    """Put the mean over all canaries into an observation."""
    listed = ", ".join(overall.low[:5]) or "none below its own limit: many fell a little"
    return Observation(
        key=alert_key(OVERALL, circumstances.generation),
        breached=overall.breached,
        severity="critical" if overall.recall < overall.reference / 2 else "warning",
        summary=(
            f"mean canary recall on {circumstances.generation} is {overall.recall:.3f}, usually "
            f"{overall.reference:.3f}, over {overall.canaries} canaries"
        ),
        cause=overall.cause,
        action=(
            f"canaries breached: {listed}; undo the release or import that came just before, or roll back "
            f"generation {circumstances.generation}"
        )
        if overall.breached
        else "nothing to do",
        evidence={
            "recall": overall.recall,
            "reference": overall.reference,
            "canaries": overall.canaries,
            "breached": overall.low[:LISTED],
        },
        signature=f"{overall.recall:.1f}",
        generation=circumstances.generation,
    )


def refused(canary: Canary, why: str | None, circumstances: Circumstances) -> Observation:
    """Say whether search takes the canary for a search at all; `why` it does not."""
    return Observation(
        key=canary_key(REFUSED, canary, circumstances.generation),
        breached=why is not None,
        severity="warning",
        summary=(
            f"canary {canary.canary_id} “{_short(canary.query)}” is "
            + (f"refused by search: {why}" if why else "accepted by search")
        ),
        action=(
            f"publish the canary again with a query that search accepts, or `headrace canaries remove "
            f"{canary.canary_id}`"
        )
        if why
        else "nothing to do",
        evidence={"query": canary.query, "why": why or ""},
        generation=circumstances.generation,
    )


def removed(
    keys: Iterable[str], canaries: Iterable[Canary], circumstances: Circumstances
) -> list[Observation]:
    """Return what closes those of the alerts `keys` on this generation whose canary was removed."""
    kept = {
        canary_key(detector, canary, circumstances.generation)
        for canary in canaries
        for detector in DETECTORS
    }
    prefixes = tuple(f"{detector}:{circumstances.generation}:" for detector in sorted(DETECTORS))
    return [
        Observation(
            key=key,
            breached=False,
            summary=f"canary {key.split(':', 2)[2]} was removed",
            action="nothing to do",
            final=True,
        )
        for key in sorted(keys)
        if key.startswith(prefixes) and key not in kept
    ]


def _recall_action(verdict: CanaryVerdict) -> str:
    canary, missing = verdict.canary, verdict.result.missing
    if not verdict.result.breached:
        return "nothing to do"
    first = missing[0] if missing else canary.product_ids[0]
    if verdict.past.before is None:
        return (
            f"check that {first} is in the catalogue (GET /product/{first} on the search API) and that the "
            f"canary names the right products (`headrace canaries add --id {canary.canary_id}` changes it)"
        )
    return (
        f"GET /product/{first} on the search API: if it was deleted by mistake, publish it again; if it is "
        f"gone for good, name other products or run `headrace canaries remove {canary.canary_id}`; if it is "
        f"there, GET /why says why it ranks below {canary.k}"
    )


def _position(reciprocal_rank: float | None) -> str:
    return str(round(1 / reciprocal_rank)) if reciprocal_rank else "none"


def _short(query: str) -> str:
    return query if len(query) <= 60 else query[:59] + "…"
