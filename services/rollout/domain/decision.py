"""What keeps a request from being granted."""

from collections.abc import Callable, Mapping

from schemas.control import Model, Rollout
from shared.generations.state import SWITCHABLE, Generations


def objection(state: Generations, request: Rollout, model: Model | None) -> str | None:
    """Return why the request is refused; None: it is granted. `model` is the one that it names."""
    rules: Mapping[str, Callable[[], str | None]] = {
        "backfill": lambda: _building(state, request) or _model(request, model),
        "trial": lambda: _trying(state, request.generation),
        "stop": lambda: _stopping(state, request.generation),
        "promote": lambda: _switching(state, request.generation) or _unproven(state, request),
        "rollback": lambda: _rolling_back(state, request.generation),
        "retire": lambda: _retiring(state, request.generation),
    }
    if (rule := rules.get(request.action)) is None:
        return f"{request.action} is not built yet: promote moves all sessions at once"
    return rule()


def _building(state: Generations, request: Rollout) -> str | None:
    generation = state.known.get(request.generation)
    if generation is not None:
        return (
            f"there is a generation {generation.name} ({generation.stage}): take a name that was never used"
        )
    building = [generation.name for generation in state.of("building")]
    if building:
        return f"{building[0]} is being built: wait until it is ready, or retire it"
    return None


def _model(request: Rollout, model: Model | None) -> str | None:
    if model is None:
        return f"there is no model {request.model_id or '(none was named)'} in {Model.topic}"
    if model.kind != "encoder":
        return f"model {model.model_id} is a {model.kind}: an index is built with an encoder"
    if model.verdict == "refused" and not request.force:
        why = "; ".join(model.reasons) or "no reason is given"
        return f"the evaluation refused model {model.model_id} ({why}); `force` builds with it all the same"
    return None


def _trying(state: Generations, name: str) -> str | None:
    if state.trial is not None:
        tried = state.trial.candidate
        return f"{tried} is being tried: wait for its end, or `headrace rollout stop {tried}`"
    return _switching(state, name)


def _stopping(state: Generations, name: str) -> str | None:
    is_tried = state.trial is not None and state.trial.candidate == name
    return None if is_tried else f"no trial of {name} runs"


def _unproven(state: Generations, request: Rollout) -> str | None:
    model = state.model(request.generation)
    if model is None or model.verdict != "undecided" or request.force:
        return None
    if any(trial.candidate == request.generation and trial.end == "better" for trial in state.past):
        return None
    return (
        f"its evaluation left model {model.model_id} undecided: `headrace rollout trial {request.generation}`"
        " lets shoppers decide; `force` promotes it all the same"
    )


def _switching(state: Generations, name: str) -> str | None:
    generation = state.known.get(name)
    if generation is None:
        return f"there is no generation {name}"
    if generation.stage == "live":
        return f"{name} is live already"
    return None if generation.stage in SWITCHABLE else f"{name} is {generation.stage}, not ready"


def _rolling_back(state: Generations, name: str) -> str | None:
    target = state.back_from(name)
    if target is None or target not in state.known:
        return "there is no generation to go back to"
    if target != state.previous:
        return f"{name} was not live before {state.live}: promote it instead"
    stage = state.known[target].stage
    return None if stage in SWITCHABLE else f"{target} is {stage}"


def _retiring(state: Generations, name: str) -> str | None:
    generation = state.known.get(name)
    if generation is None:
        return f"there is no generation {name}"
    if generation.stage == "live":
        return f"{name} is live: promote another one first"
    if generation.stage == "retired":
        return f"{name} is retired already"
    built = [building.name for building in state.of("building") if building.source == name]
    return f"{built[0]} is being built from it: wait until it is ready" if built else None
