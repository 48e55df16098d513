"""What is asked unasked: a model that its evaluation left undecided is built, and tried when it is ready."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count

from schemas.control import Model, Rollout, TrialTerms
from services.rollout.domain.trials.plan import planned_sessions
from shared.generations.state import Generations, Ledger


def next_request(
    ledger: Ledger, models: Sequence[Model], now: datetime, *, terms: TrialTerms
) -> Rollout | None:
    """Return the request that comes next; None: something is under way, or there is nothing to try.

    `models` are as `models.v1` has them now. A trial gets the terms, and as many sessions as its model
    advises.
    Each has an id of its own that says what it is for: what was asked once, and answered, is not asked again.
    """
    state = ledger.generations
    if ledger.pending or state.trial is not None or state.of("building"):
        return None
    asked = ledger.closed | ledger.running
    requests = (*_trials(state, models, now, terms=terms), *_builds(state, models, now))
    return next((request for request in requests if request.request_id not in asked), None)


def _trials(
    state: Generations, models: Iterable[Model], now: datetime, *, terms: TrialTerms
) -> Iterable[Rollout]:
    known = {model.model_id: model for model in models}
    tried = {trial.candidate for trial in state.past}
    for generation in state.of("ready"):
        built = generation.model
        if built is not None and built.verdict == "undecided" and generation.name not in tried:
            sessions = planned_sessions(terms.sessions, known.get(built.model_id))
            yield Rollout(
                request_id=f"try-{generation.name}",
                action="trial",
                generation=generation.name,
                trial=terms.model_copy(update={"sessions": sessions}),
                requested_at=now,
            )


def _builds(state: Generations, models: Iterable[Model], now: datetime) -> Iterable[Rollout]:
    """Yield the newest undecided model, unless it was built before or the live one is newer."""
    live = state.model(state.live or "")
    built = {generation.model.model_id for generation in state.known.values() if generation.model}
    undecided = [
        model
        for model in models
        if model.kind == "encoder"
        and model.verdict == "undecided"
        and model.model_id not in built
        and (live is None or model.created_at > live.created_at)
    ]
    for model in sorted(undecided, key=lambda model: model.created_at)[-1:]:
        name = next(name for number in count(2) if (name := f"g{number}") not in state.known)
        yield Rollout(
            request_id=f"build-{model.model_id}"[:128],
            action="backfill",
            generation=name,
            model_id=model.model_id,
            requested_at=now,
        )
