"""The whole watch as a state machine: tallies of a window in, alarms that begin out, memory as bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from operator import add

from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.monitor.domain.drift.cause import Change
from services.monitor.domain.drift.detector import Frame
from services.monitor.domain.drift.evidence import evidence
from services.monitor.domain.drift.lexicon import Lexicon, Word
from services.monitor.domain.drift.panel import News, Panel, Window, speaking
from services.monitor.domain.drift.reading import Reading
from services.monitor.domain.drift.signals import MODEL_SIGNALS, SHOP_SIGNALS, of_scope, readings
from services.monitor.domain.drift.tally import Tally

SHOP = "shop"
KNOWN = 500
"""Names of one kind that are remembered."""
CHANGES = 200
"""Changes of the installation that are remembered."""
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Rule(BaseModel):
    """How drift is watched, and how often a false alarm is acceptable."""

    model_config = ConfigDict(frozen=True)

    false_alarm_every: timedelta = timedelta(days=30)
    """The mean time between two false alarms of all signals together."""
    window: timedelta = timedelta(hours=1)
    adopt_after: timedelta = timedelta(days=14)
    """An alarm that lasts so long is the new normal."""
    learn_words: timedelta = timedelta(days=14)
    """So long all words are only learned: at first every one is new, which is no rate to compare with."""
    forget_words_after: timedelta = timedelta(days=56)

    @property
    def windows(self) -> float:
        """Return `false_alarm_every` in windows."""
        return self.false_alarm_every / self.window

    def at(self, number: int) -> Window:
        """Return a window by its number."""
        return Window(number=number, start=EPOCH + number * self.window, span=self.window)

    def number(self, moment: datetime) -> int:
        """Return the number of the window that a moment lies in."""
        return (moment - EPOCH) // self.window


@dataclass
class _Seen:
    """What was last seen of the installation, to see it change."""

    first: int | None = None
    """The first window ever."""
    closed: int = -1
    fingerprints: dict[str, str] = field(default_factory=dict)
    """By generation."""
    changes: list[Change] = field(default_factory=list)
    known: dict[str, list[str]] = field(default_factory=dict)
    """Processes and fields that have been there before, by kind."""
    requested: list[str] = field(default_factory=list)
    """Training jobs that were asked for, by id."""


_SEEN = TypeAdapter(_Seen)
_WORDS = TypeAdapter(dict[str, Word])


class Watch:
    """Everything that is remembered of drift; `close` is its one step."""

    def __init__(self, rule: Rule, frame: Frame) -> None:
        self._rule = rule
        self._frame = frame
        self._adopt = int(rule.adopt_after / rule.window)
        self._forget = int(rule.forget_words_after / rule.window)
        self.seen = _Seen()
        self.words, self.segments = Lexicon(self._forget), Lexicon(self._forget)
        self.panels: dict[str, Panel] = {SHOP: Panel(SHOP, SHOP_SIGNALS, frame, adopt=self._adopt)}

    def changed(self, changes: Sequence[Change]) -> None:
        """Remember changes of the installation."""
        self.seen.changes = sorted([*self.seen.changes, *changes], key=lambda change: change.at)[-CHANGES:]

    def noticed(self, kind: str, names: Iterable[str], *, at: datetime, words: str) -> None:
        """Remember a change for each name of a kind that is new; the first ones ever are no change."""
        known = self.seen.known.get(kind)
        fresh = sorted(set(names) - set(known or ()))
        if known is not None:
            self.changed([Change(at=at, what=words.format(name)) for name in fresh])
        if fresh:
            self.seen.known[kind] = [*(known or ()), *fresh][-KNOWN:]

    def keep(self, generations: Sequence[str]) -> None:
        """Forget the generations that are no longer served."""
        self.panels = {name: panel for name, panel in self.panels.items() if name in {SHOP, *generations}}

    def close(self, number: int, tallies: Mapping[str, Tally]) -> list[News]:
        """Judge window `number`, given what each generation saw of it; earlier windows change nothing.

        What was seen without a generation (outcomes, the search log of another front end) is under "".
        """
        if number <= self.seen.closed:
            return []
        self.seen.closed = number
        self.seen.first = number if self.seen.first is None else self.seen.first
        window = self._rule.at(number)
        for generation, tally in tallies.items():
            self._notice(window, generation, tally)
        every = self._rule.windows * speaking(self.panels.values())
        whole = reduce(add, tallies.values()) if tallies else Tally()
        words = self.words if number - self.seen.first >= self._rule.learn_words / self._rule.window else None
        said = {scope: readings(tally, words, number) for scope, tally in tallies.items()}
        alone = next(iter(said.values())) if len(said) == 1 else None
        said[SHOP] = alone if alone is not None else readings(whole, words, number)
        news = [
            (panel, each)
            for scope, panel in list(self.panels.items())
            for each in self._step(panel, window, said.get(scope, {}), every=every)
        ]
        self.words.add(whole.words, number)
        self.segments.add(whole.segments, number)
        for panel, each in news:
            told = evidence(each, whole, number=number, words=self.words, segments=self.segments)
            panel.tell(each.alarm.signal, told)
        return [each for _, each in news]

    def _step(
        self, panel: Panel, window: Window, found: Mapping[str, Reading], *, every: float
    ) -> list[News]:
        signals = SHOP_SIGNALS if panel.name == SHOP else MODEL_SIGNALS
        return panel.step(window, of_scope(found, signals), run_length=every, changes=self.seen.changes)

    def _notice(self, window: Window, generation: str, tally: Tally) -> None:
        """Begin anew with another model, and note the switch."""
        if not generation:
            return
        before = self.seen.fingerprints.get(generation)
        now = max(tally.fingerprints, default=before)
        if now != before and now is not None:
            self.seen.fingerprints[generation] = now
            self.changed([Change(at=window.start, what=f"generation {generation} answers with model {now}")])
        if generation not in self.panels or (before is not None and now != before):
            self.panels[generation] = Panel(generation, MODEL_SIGNALS, self._frame, adopt=self._adopt)

    def dump(self) -> dict[str, bytes]:
        """Return everything it remembers, by name."""
        panels = {
            f"panel:{scope}:{name}": memory
            for scope, panel in self.panels.items()
            for name, memory in panel.dump().items()
        }
        return {
            **panels,
            "seen": _SEEN.dump_json(self.seen),
            "words": _WORDS.dump_json(self.words.words),
            "segments": _WORDS.dump_json(self.segments.words),
        }

    def load(self, memories: Mapping[str, bytes]) -> list[str]:
        """Take memories over; return the signals that begin anew because theirs does not fit."""
        self.seen = _SEEN.validate_json(memories.get("seen", b"{}"))
        self.words = Lexicon(self._forget, _WORDS.validate_json(memories.get("words", b"{}")))
        self.segments = Lexicon(self._forget, _WORDS.validate_json(memories.get("segments", b"{}")))
        scopes: dict[str, dict[str, bytes]] = {SHOP: {}}
        for key, memory in memories.items():
            kind, _, rest = key.partition(":")
            scope, _, name = rest.partition(":")
            if kind == "panel":
                scopes.setdefault(scope, {})[name] = memory
        unfit = []
        for scope, parts in scopes.items():
            signals = SHOP_SIGNALS if scope == SHOP else MODEL_SIGNALS
            self.panels[scope] = Panel(scope, signals, self._frame, adopt=self._adopt)
            unfit += [f"{scope}:{name}" for name in self.panels[scope].load(parts)]
        return unfit
