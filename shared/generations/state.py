"""Which generations of the index there are, and which is live: the sum of the answers on `rollout.v1`.

Kafka is the truth, and the only one: whoever needs the state reads the topic from its beginning (it is
small, and kept for ever) and follows it, see `shared.generations.rollout_log`. Everything here is pure.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from schemas.base import GenerationName, Identifier, Value
from schemas.control import Model, Rollout, TrialEnd, TrialTerms
from shared.generations.trial import Trial

Stage = Literal["building", "ready", "live", "warm", "retired"]
"""Backfilled; whole and tested, never live yet; answering; kept up to date to go back to; given up."""
SWITCHABLE: tuple[Stage, ...] = ("ready", "warm")


class Generation(Value):
    """One generation; without `model` it is of the configured model."""

    name: GenerationName
    stage: Stage
    model: Model | None = None
    source: GenerationName | None = None
    """The generation that it is backfilled from; the founding one has none."""
    request_id: Identifier | None = None
    """Of the backfill."""
    reason: str = ""
    """Why it was given up, when it was refused."""

    def at(self, stage: Stage) -> "Generation":
        """Return it in another stage."""
        return self.model_copy(update={"stage": stage})


class Generations(Value):
    """All generations by name; retired ones stay, so that no name is used twice."""

    live: GenerationName | None = None
    previous: GenerationName | None = None
    """What was live before: a roll-back goes there."""
    known: Mapping[GenerationName, Generation] = {}
    trial: Trial | None = None
    """The one that runs; its candidate stays as it is, ready or warm."""
    past: tuple[Trial, ...] = ()
    """Trials that are over, in the order of their ends."""

    @property
    def served(self) -> dict[str, Generation]:
        """Those that are not retired, by name."""
        return {name: generation for name, generation in self.known.items() if generation.stage != "retired"}

    def of(self, *stages: Stage) -> list[Generation]:
        """Return those in one of the stages, by name."""
        return [self.known[name] for name in sorted(self.known) if self.known[name].stage in stages]

    def model(self, name: str) -> Model | None:
        """Return the model of a generation; None: it is configured, or nothing is known of it."""
        known = self.known.get(name)
        return known.model if known else None

    def founded(self, configured: str) -> "Generations":
        """Return the state with the configured generation as the live one, while configuration decides.

        That is until the first generation is built from a model of `models.v1`; from then on the topic does.
        """
        if self.live == configured or any(generation.model is not None for generation in self.known.values()):
            return self
        return Generations(live=configured, known={configured: Generation(name=configured, stage="live")})

    def after(self, answer: Rollout) -> "Generations":
        """Return the state after one answer; one that makes no sense changes nothing.

        A trial is over with its own final answer, when it was stopped, and when its two generations are no
        longer the live one and one that could be.
        """
        generation = self.known.get(answer.generation)
        match answer.action, answer.status:
            case "backfill", _:
                return self._backfilled(generation, answer)
            case ("trial", _) | ("stop", "done"):
                return self._tried(answer)
            case "promote", "done":
                return self.founded(answer.generation) if generation is None else self._switched(generation)
            case "rollback", "done":
                return self._switched(self.known.get(self.back_from(answer.generation) or ""))
            case "retire", "done":
                return self._retired(generation)
        return self

    def can_be_tried(self, candidate: str) -> bool:
        """Whether a generation could be switched to, so that it can be tried beside the live one."""
        known = self.known.get(candidate)
        return self.live is not None and known is not None and known.stage in SWITCHABLE

    def back_from(self, named: str) -> str | None:
        """Return where a roll-back goes that names the live generation, or the one to go back to."""
        return self.previous if named == self.live else named

    def without_trial(self, end: TrialEnd) -> "Generations":
        """Return the state after the end of the trial that runs; without one, as it is."""
        if self.trial is None:
            return self
        ended = self.trial.model_copy(update={"end": end})
        return self.model_copy(update={"trial": None, "past": (*self.past, ended)})

    def _backfilled(self, generation: Generation | None, answer: Rollout) -> "Generations":
        if generation is None:
            begun = answer.status == "running" and answer.model is not None and self.live is not None
            return self._with(self._new(answer)) if begun else self
        if generation.stage != "building" or answer.status == "running":
            return self
        if answer.status == "done":
            return self._with(generation.at("ready"))
        if generation.request_id != answer.request_id:
            return self
        return self._with(generation.at("retired").model_copy(update={"reason": answer.reason}))

    def _new(self, answer: Rollout) -> Generation:
        return Generation(
            name=answer.generation,
            stage="building",
            model=answer.model,
            source=self.live,
            request_id=answer.request_id,
        )

    def _tried(self, answer: Rollout) -> "Generations":
        if (answer.action, answer.status) == ("trial", "running"):
            begins = self.trial is None and self.can_be_tried(answer.generation)
            return self.model_copy(update={"trial": self._trial(answer)}) if begins else self
        if self.trial is None:
            return self
        stopped = answer.action == "stop" and answer.generation == self.trial.candidate
        if stopped or answer.request_id == self.trial.name:
            return self.without_trial("stopped" if stopped else answer.end or "void")
        return self

    def _trial(self, answer: Rollout) -> Trial:
        return Trial(
            name=answer.request_id or "",
            live=self.live or "",
            candidate=answer.generation,
            terms=answer.trial or TrialTerms(),
            began_at=answer.requested_at,
        )

    def _switched(self, to: Generation | None) -> "Generations":
        """Make `to` the live one, and keep the one before warm."""
        if to is None or to.stage not in SWITCHABLE or self.live is None:
            return self
        before = self.known[self.live].at("warm")
        switched = self._with(before, to.at("live")).without_trial("void")
        return switched.model_copy(update={"live": to.name, "previous": before.name})

    def _retired(self, generation: Generation | None) -> "Generations":
        if generation is None or generation.name == self.live:
            return self
        previous = None if generation.name == self.previous else self.previous
        left = self._with(generation.at("retired")).model_copy(update={"previous": previous})
        is_tried = self.trial is not None and generation.name == self.trial.candidate
        return left.without_trial("void") if is_tried else left

    def _with(self, *generations: Generation) -> "Generations":
        by_name = {**self.known, **{generation.name: generation for generation in generations}}
        return self.model_copy(update={"known": by_name})


class Ledger(Value):
    """The topic so far: the generations, and which requests wait for an answer."""

    generations: Generations = Generations()
    pending: tuple[Rollout, ...] = ()
    """Requests without any answer, oldest first; each has its `request_id`."""
    running: frozenset[Identifier] = frozenset()
    closed: frozenset[Identifier] = frozenset()

    @property
    def followed_trial(self) -> Trial | None:
        """A trial that is over, and has no final answer yet; else the one that runs."""
        unsaid = (trial for trial in self.generations.past if trial.name in self.running)
        return next(unsaid, self.generations.trial)

    def take(self, message: Rollout, *, offset: int) -> "Ledger":
        """Return the ledger with the message that lies at `offset`; what is said again is no news."""
        identified = (
            message if message.request_id else message.model_copy(update={"request_id": _place(offset)})
        )
        request_id = identified.request_id or ""
        if request_id in self.closed:
            return self
        match identified.status:
            case "requested":
                waiting = {request.request_id for request in self.pending} | self.running
                new = () if request_id in waiting else (identified,)
                return self.model_copy(update={"pending": (*self.pending, *new)})
            case "running":
                return self if request_id in self.running else self._answered(identified)
        return self._answered(identified)

    def _answered(self, answer: Rollout) -> "Ledger":
        answered = {answer.request_id}
        runs = answer.status == "running"
        return Ledger(
            generations=self.generations.after(answer),
            pending=tuple(request for request in self.pending if request.request_id not in answered),
            running=self.running | answered if runs else self.running - answered,
            closed=self.closed if runs else self.closed | answered,
        )


def fold(messages: Iterable[tuple[int, Rollout]]) -> Ledger:
    """Return the ledger of these messages (offset, message), in log order."""
    ledger = Ledger()
    for offset, message in messages:
        ledger = ledger.take(message, offset=offset)
    return ledger


def _place(offset: int) -> str:
    return f"{Rollout.topic}-{offset}"
