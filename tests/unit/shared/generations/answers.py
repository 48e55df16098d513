"""Messages of `rollout.v1`, made in one line."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from schemas.control import Model, Rollout

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = Model(
    model_id="m-1",
    fingerprint="0" * 16,
    location="/models/m-1",
    dimensions=3,
    verdict="admitted",
    created_at=NOW,
)


def message(
    action: str,
    generation: str,
    status: str = "done",
    *,
    request_id: str | None = "r",
    model: Model | None = MODEL,
    reason: str = "",
) -> Rollout:
    """Return an answer (or, with status requested, a request); a running backfill names its model."""
    return Rollout.model_validate(
        {
            "action": action,
            "generation": generation,
            "status": status,
            "request_id": request_id,
            "model": model if (action, status) == ("backfill", "running") else None,
            "reason": reason,
            "requested_at": NOW,
        }
    )


messages = st.builds(
    message,
    st.sampled_from(["backfill", "promote", "rollback", "retire", "shadow", "ramp"]),
    st.sampled_from(["g1", "g2", "g3", "g4"]),
    st.sampled_from(["requested", "running", "done", "refused"]),
    request_id=st.none() | st.sampled_from([f"r-{number}" for number in range(8)]),
    model=st.sampled_from([MODEL, None]),
    reason=st.sampled_from(["", "recall fell"]),
)
FOUNDING = message("promote", "g1", request_id="founding")
logs = st.lists(messages, max_size=15).map(lambda log: [FOUNDING, *log])
