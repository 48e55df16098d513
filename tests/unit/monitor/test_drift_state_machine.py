"""From tallies to alarms: what is kept of a window, what an alarm says, what a model switch does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.drift.domain.cause import InstallationChange, verdict
from services.monitor.drift.domain.features import FEATURES, transform
from services.monitor.drift.domain.findings import key_of, observations
from services.monitor.drift.domain.lexicon import Lexicon
from services.monitor.drift.domain.rules import DetectorRule, DriftRule
from services.monitor.drift.domain.signals import samples
from services.monitor.drift.domain.state_machine import SHOP, DriftStateMachine
from services.monitor.drift.domain.tally import AnsweredQuery, WindowTally, tally_documents, tally_queries

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
FRAME = DetectorRule(season="none", learn=60, remember=300, memory=20)
RULE = DriftRule(false_alarm_every=timedelta(days=20))
ONE, OTHER = "1" * 16, "2" * 16


def asked(
    rng: np.random.Generator, *, towards: float = 0.0, fingerprint: str = ONE, word: str = ""
) -> AnsweredQuery:
    vector = rng.standard_normal(8) + towards
    vector /= np.linalg.norm(vector)
    text = f"{word} {rng.choice(['red', 'blue', 'green'])} {rng.choice(['shoe', 'lamp', 'sofa'])}"
    found = [float(value) for value in rng.uniform(0.4 - towards / 10, 0.8, 3)]
    return AnsweredQuery(text.strip(), int(rng.random() > 0.1), found, vector.astype(np.float32), fingerprint)


def window(
    rng: np.random.Generator, *, count: int = 80, worse: float = 1.0, **of_each: object
) -> WindowTally:
    tally = tally_queries([asked(rng, **of_each) for _ in range(count)], threshold=0.5)  # type: ignore[arg-type]
    return tally + WindowTally(counts={"shown": 800, "click": int(rng.binomial(800, 0.1 * worse))})


def warm(watch: DriftStateMachine, rng: np.random.Generator, windows: int = 150) -> int:
    for number in range(windows):
        watch.close(number, {"g1": window(rng)})
    return windows


@given(
    st.lists(st.tuples(st.text(max_size=20), st.none() | st.integers(0, 3)), max_size=12), st.integers(0, 12)
)
def test_parts_of_a_window_add_up_to_the_whole(queries: list[tuple[str, int | None]], cut: int) -> None:
    rows = np.eye(12, 8, dtype=np.float32)
    every = [
        AnsweredQuery(text, found, [0.5], rows[at], ONE)
        for at, (text, found) in enumerate(dict(queries).items())
    ]
    whole, parts = tally_queries(every), tally_queries(every[cut:]) + tally_queries(every[:cut])
    assert parts.counts == whole.counts
    assert parts.words == whole.words
    assert set(parts.query_examples) == set(whole.query_examples)
    assert np.allclose(np.frombuffer(parts.queries), np.frombuffer(whole.queries), atol=1e-5)


def test_a_tally_survives_json() -> None:
    tally = window(np.random.default_rng(1))
    assert WindowTally.model_validate_json(tally.model_dump_json()) == tally


def test_random_features_estimate_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((40, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    made = transform(rows, seed=1)
    assert made.shape == (40, FEATURES)
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    assert np.abs(made @ made.T - np.exp(-squares / (2 * 0.7**2))).mean() < 0.07


def test_a_signal_with_too_few_says_nothing() -> None:
    rng = np.random.default_rng(3)
    found = samples(window(rng, count=10), Lexicon(10), 1)
    assert set(found) == {"click-rate", "cart-rate", "purchase-rate"}
    assert "ann-recall" not in samples(window(rng), Lexicon(10), 1)


def test_while_words_are_learned_none_is_called_new() -> None:
    rule = replace(RULE, learn_words=40 * HOUR)
    watch, busy = (
        DriftStateMachine(rule, FRAME),
        {"": WindowTally(words={f"word {at}": 1 for at in range(60)})},
    )
    for number in range(100, 140):
        watch.close(number, busy)
    assert watch.groups[SHOP].detectors["new-terms"].share == 0
    memory, watch = watch.dump(), DriftStateMachine(rule, FRAME)
    watch.load(memory)
    watch.close(140, busy)
    assert watch.groups[SHOP].detectors["new-terms"].share == 1


@pytest.mark.parametrize(
    ("rise", "deployed", "cause"),
    [
        (np.where(np.arange(200) >= 195, 6.0, 0.0), 195, "bug"),
        (np.where(np.arange(200) >= 195, 6.0, 0.0), 120, "unknown"),
        (np.maximum(0, np.arange(200) - 160) * 0.15, 160, "drift"),
    ],
)
def test_a_step_near_a_deployment_is_a_bug_and_a_slope_is_drift(
    rise: np.ndarray, deployed: int, cause: str
) -> None:
    noise = np.random.default_rng(4).standard_normal(200)
    changes = [InstallationChange(at=START + deployed * HOUR, what="search was deployed")]
    said = verdict(rise + noise, START + 199 * HOUR, span=HOUR, changes=changes)
    assert said.cause == cause


def test_words_that_have_come_up_are_named_and_new_ones_counted() -> None:
    words = Lexicon(forget=100)
    for number in range(50):
        words.add({"shoe": 20, "lamp": 10}, number)
    assert words.unknown(["shoe", "zentoro"], 50) == 1
    words.add({"shoe": 20, "lamp": 10, "zentoro": 12}, 50)
    assert words.more_frequent(50) == ("zentoro",)
    assert words.unknown(["shoe"], 151 + 50) == 1, "forgotten when not seen for long"


def test_a_broken_encoder_is_an_alarm_with_evidence_over_a_restart() -> None:
    rng, watch = np.random.default_rng(5), DriftStateMachine(RULE, FRAME)
    after = warm(watch, rng)
    watch.record_changes([InstallationChange(at=RULE.at(after).start, what="search was deployed")])
    found = watch.close(after, {"g1": window(rng, towards=2.0, word="neu")})
    watch, memory = DriftStateMachine(RULE, FRAME), watch.dump()
    assert watch.load(memory) == []
    for number in range(after + 1, after + 4):
        found += watch.close(number, {"g1": window(rng, towards=2.0, word="neu")})
    signals = {onset.alarm.signal for onset in found}
    assert {"query-embeddings", "scores-median"} <= signals
    alarm = watch.groups["g1"].alarms["query-embeddings"]
    assert alarm.verdict.cause == "bug"
    assert alarm.verdict.change == "search was deployed"
    assert alarm.evidence["terms"] == ("neu",)
    assert all(query.startswith("neu") for query in alarm.evidence["queries"])
    [said] = [it for it in observations(watch.groups["g1"], {}) if it.key == key_of("g1", "scores-median")]
    assert float(str(said.evidence["psi"])) > 5 * float(str(said.evidence["psi_by_chance"])) > 0


def test_a_window_that_is_closed_changes_nothing_any_more() -> None:
    rng, watch = np.random.default_rng(6), DriftStateMachine(RULE, FRAME)
    warm(watch, rng, 70)
    before = watch.dump()
    assert watch.close(69, {"g1": window(rng, towards=3.0)}) == []
    assert watch.dump() == before


def test_another_model_begins_anew_and_the_shop_s_rates_go_on_and_blame_the_switch() -> None:
    rng, watch = np.random.default_rng(7), DriftStateMachine(RULE, FRAME)
    after = warm(watch, rng)
    for number in range(after, after + 4):
        watch.close(number, {"g1": window(rng, worse=0.5, towards=2.0, fingerprint=OTHER)})
    assert not watch.groups["g1"].alarms
    alarm = watch.groups[SHOP].alarms["click-rate"]
    assert alarm.verdict.cause == "bug"
    assert alarm.verdict.change == f"generation g1 answers with model {OTHER}"
    assert alarm.usual == pytest.approx(0.1, abs=0.01)


def test_what_lasts_is_the_new_normal() -> None:
    rng = np.random.default_rng(8)
    watch = DriftStateMachine(replace(RULE, adopt_after=timedelta(hours=30)), FRAME)
    after = warm(watch, rng)
    for number in range(after, after + 40):
        watch.close(number, {"g1": window(rng, worse=0.5)})
    assert "click-rate" not in watch.groups[SHOP].alarms
    assert watch.groups[SHOP].detectors["click-rate"].learned < 1


def test_products_that_are_written_are_watched_by_field() -> None:
    rows = np.eye(30, 8, dtype=np.float32)
    tally = tally_documents(
        [f"lamp {at}" for at in range(30)], rows, ["brand=Acme"] * 20 + ["brand=Bolt"] * 10
    )
    assert samples(tally, Lexicon(1), 0)["document-embeddings"].count == 30
    assert tally.segments == {"brand=Acme": 20, "brand=Bolt": 10}


def test_a_full_lexicon_forgets_what_was_not_seen_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.monitor.drift.domain.lexicon.CAPACITY", 20)
    words = Lexicon(forget=1000)
    for number in range(20):
        words.add({"often": 9, f"once {number}": 1}, number)
    words.add({"last": 1}, 20)
    assert words.unknown(["often", "last", "once 19"], 21) == 0
    assert words.unknown(["once 0"], 21) == 1
