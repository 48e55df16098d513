"""Drift as a state machine: tallies of a window in, alarms that begin out, memory as bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import add

from pydantic import TypeAdapter

from services.monitor.drift.domain.cause import InstallationChange
from services.monitor.drift.domain.detector_group import AlarmOnset, DetectorGroup, armed
from services.monitor.drift.domain.evidence import evidence
from services.monitor.drift.domain.lexicon import Lexicon, Word
from services.monitor.drift.domain.rules import DetectorRule, DriftRule, TimeWindow
from services.monitor.drift.domain.sample import SignalSample
from services.monitor.drift.domain.signals import MODEL_SIGNALS, SHOP_SIGNALS, Signal, of_scope, samples
from services.monitor.drift.domain.tally import WindowTally

SHOP = "shop"
KNOWN = 500
"""Names of one kind that are remembered."""
CHANGES = 200
"""Changes of the installation that are remembered."""
GROUP = "panel"
"""What the stored layout calls a detector group: a memory in Redis has this in its names."""


@dataclass
class History:
    """What was last seen of the installation, to see it change. It is stored as JSON, by these names."""

    first: int | None = None
    """The first window ever."""
    closed: int = -1
    """The newest window that was judged."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    """By generation."""
    changes: list[InstallationChange] = field(default_factory=list)
    known: dict[str, list[str]] = field(default_factory=dict)
    """Processes and fields that have been there before, by kind."""
    requested: list[str] = field(default_factory=list)
    """Training jobs that were asked for, by id."""


_HISTORY = TypeAdapter(History)
_WORDS = TypeAdapter(dict[str, Word])


class DriftStateMachine:
    """Everything that is remembered of drift; `close` is its one step."""

    def __init__(self, rule: DriftRule, detector_rule: DetectorRule) -> None:
        self._rule = rule
        self._detector_rule = detector_rule
        self._adopt = int(rule.adopt_after / rule.window)
        self._forget = int(rule.forget_words_after / rule.window)
        self.history = History()
        self.words, self.segments = Lexicon(self._forget), Lexicon(self._forget)
        self.groups: dict[str, DetectorGroup] = {SHOP: self._new(SHOP)}

    def record_changes(self, changes: Sequence[InstallationChange]) -> None:
        """Remember changes of the installation."""
        in_order = sorted([*self.history.changes, *changes], key=lambda change: change.at)
        self.history.changes = in_order[-CHANGES:]

    def record_names(self, kind: str, names: Iterable[str], *, at: datetime, words: str) -> None:
        """Remember a change for each name of a kind that is new; the first ones ever are no change."""
        known = self.history.known.get(kind)
        new = sorted(set(names) - set(known or ()))
        if known is not None:
            self.record_changes([InstallationChange(at=at, what=words.format(name)) for name in new])
        if new:
            self.history.known[kind] = [*(known or ()), *new][-KNOWN:]

    def keep(self, generations: Sequence[str]) -> None:
        """Forget the generations that are no longer served."""
        kept = {SHOP, *generations}
        self.groups = {scope: group for scope, group in self.groups.items() if scope in kept}

    def close(self, number: int, tallies: Mapping[str, WindowTally]) -> list[AlarmOnset]:
        """Judge window `number`, given what each generation saw of it; earlier windows change nothing.

        What was seen without a generation (outcomes, the search log of another front end) is under "".
        """
        history = self.history
        if number <= history.closed:
            return []
        history.closed = number
        history.first = number if history.first is None else history.first
        window = self._rule.at(number)
        for generation, tally in tallies.items():
            self._notice_model(window, generation, tally)
        whole = reduce(add, tallies.values()) if tallies else WindowTally()
        by_scope = self._samples(number, tallies, whole)
        # One budget for all: with twice as many signals that may alarm, each alarms half as often. Counted
        # before this window is taken in, so that every signal of the window has the same share.
        run_length = self._rule.windows * armed(self.groups.values())
        onsets = {
            scope: self._step(group, window, by_scope.get(scope, {}), run_length=run_length)
            for scope, group in list(self.groups.items())
        }
        # The words of the window itself count as recent when it says which have become more frequent, but
        # they were new to `_samples`: added in between.
        self.words.add(whole.words, number)
        self.segments.add(whole.segments, number)
        for scope, begun in onsets.items():
            for onset in begun:
                origin = evidence(onset, whole, number=number, words=self.words, segments=self.segments)
                self.groups[scope].add_evidence(onset.alarm.signal, origin)
        return [onset for begun in onsets.values() for onset in begun]

    def _samples(
        self, number: int, tallies: Mapping[str, WindowTally], whole: WindowTally
    ) -> dict[str, dict[str, SignalSample]]:
        """Return the samples of each generation, and those of the shop: of all tallies together."""
        first = number if self.history.first is None else self.history.first
        learned = number - first >= self._rule.learn_words / self._rule.window
        words = self.words if learned else None
        by_scope = {scope: samples(tally, words, number) for scope, tally in tallies.items()}
        # With one tally the whole is that tally, and its sketches need not be opened twice.
        shop = next(iter(by_scope.values())) if len(by_scope) == 1 else samples(whole, words, number)
        return {**by_scope, SHOP: shop}

    def _step(
        self,
        group: DetectorGroup,
        window: TimeWindow,
        by_signal: Mapping[str, SignalSample],
        *,
        run_length: float,
    ) -> list[AlarmOnset]:
        of_group = of_scope(by_signal, _signals(group.name))
        return group.step(window, of_group, run_length=run_length, changes=self.history.changes)

    def _notice_model(self, window: TimeWindow, generation: str, tally: WindowTally) -> None:
        """Begin anew with another model, and note the switch."""
        if not generation:
            return
        before = self.history.fingerprints.get(generation)
        now = max(tally.fingerprints, default=before)
        switched = before is not None and now != before
        if now is not None and now != before:
            self.history.fingerprints[generation] = now
            what = f"generation {generation} answers with model {now}"
            self.record_changes([InstallationChange(at=window.start, what=what)])
        if generation not in self.groups or switched:
            self.groups[generation] = self._new(generation)

    def _new(self, scope: str) -> DetectorGroup:
        return DetectorGroup(scope, _signals(scope), self._detector_rule, adopt=self._adopt)

    def dump(self) -> dict[str, bytes]:
        """Return everything it remembers, by name."""
        groups = {
            f"{GROUP}:{scope}:{name}": memory
            for scope, group in self.groups.items()
            for name, memory in group.dump().items()
        }
        return {
            **groups,
            "seen": _HISTORY.dump_json(self.history),
            "words": _WORDS.dump_json(self.words.words),
            "segments": _WORDS.dump_json(self.segments.words),
        }

    def load(self, memories: Mapping[str, bytes]) -> list[str]:
        """Take memories over; return the signals that begin anew because theirs does not fit."""
        self.history = _HISTORY.validate_json(memories.get("seen", b"{}"))
        self.words = Lexicon(self._forget, _WORDS.validate_json(memories.get("words", b"{}")))
        self.segments = Lexicon(self._forget, _WORDS.validate_json(memories.get("segments", b"{}")))
        scopes: dict[str, dict[str, bytes]] = {SHOP: {}}
        for key, memory in memories.items():
            kind, _, rest = key.partition(":")
            scope, _, name = rest.partition(":")
            if kind == GROUP:
                scopes.setdefault(scope, {})[name] = memory
        unfit = []
        for scope, of_group in scopes.items():
            self.groups[scope] = self._new(scope)
            unfit += [f"{scope}:{name}" for name in self.groups[scope].load(of_group)]
        return unfit


def _signals(scope: str) -> Mapping[str, Signal]:
    return SHOP_SIGNALS if scope == SHOP else MODEL_SIGNALS
