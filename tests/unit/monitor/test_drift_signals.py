"""From a window's tally to samples, words and segments, baselines and variances."""

from datetime import UTC, datetime, timedelta
from math import asin, inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.drift.domain.features import FEATURES
from services.monitor.drift.domain.lexicon import Lexicon, Word
from services.monitor.drift.domain.ranks import CAP, Ranks, tie_break
from services.monitor.drift.domain.sample import SignalSample, features, quantile, rate
from services.monitor.drift.domain.season import SETTLE, SeasonalBaseline, VarianceModel, slot_of
from services.monitor.drift.domain.shape import LEAST_RISE, fit_shape
from services.monitor.drift.domain.signals import MODEL_SIGNALS, SHOP_SIGNALS, SIGNALS, of_scope, samples
from services.monitor.drift.domain.sketches import merged, opened, sketch
from services.monitor.drift.domain.tally import EXAMPLES, WORDS, Example, WindowTally, kept_examples, sample

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def plain(value: float, variance: float = 0.01, count: int = 100) -> SignalSample:
    return SignalSample(np.array([value], dtype=np.float32), variance, count, value)


# Samples


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_a_rate_is_shown_as_it_is_and_compared_on_the_arcsine_scale(trials, share):
    hits = round(share * trials)
    one = rate(hits, trials)
    assert one.shown == hits / trials
    assert float(one.mean[0]) == pytest.approx(2 * asin(sqrt(hits / trials)), abs=1e-6)
    assert one.variance == 1 / trials


def test_more_hits_than_trials_count_as_all():
    assert rate(12, 10).shown == 1.0


@given(count=st.integers(1, 1000), usual=st.floats(0, 4))
def test_expected_hits_are_those_of_the_rarer_side(count, usual):
    assert 0 <= rate(0, count).expected_hits(usual) <= count / 2


def test_a_quantile_of_equal_values_has_no_variance_to_speak_of():
    one = quantile(sketch([0.5] * 100), 0.95)
    assert (one.shown, one.count) == (0.5, 100)
    assert 0 < one.variance < 1e-9


def test_a_quantile_of_more_values_is_surer():
    rng = np.random.default_rng(1)
    few, many = (quantile(sketch(rng.normal(0, 1, count)), 0.5) for count in (50, 5000))
    assert few.variance > 10 * many.variance
    assert many.shown == pytest.approx(0, abs=0.1)


def test_features_of_one_text_do_not_scatter_and_those_of_many_do():
    row = np.zeros(FEATURES)
    row[0] = 1
    assert features(10 * row, 10).shown == pytest.approx(0, abs=1e-6)
    two = np.zeros(FEATURES)
    two[:2] = 5
    assert features(two, 10).shown == pytest.approx(0.5)


# Signals


def test_every_signal_is_of_one_scope():
    assert not MODEL_SIGNALS.keys() & SHOP_SIGNALS.keys()
    assert SIGNALS.keys() == MODEL_SIGNALS.keys() | SHOP_SIGNALS.keys()


FULL = WindowTally(
    counts={
        "shown": 500,
        "click": 50,
        "add_to_cart": 5,
        "purchase": 2,
        "answers": 100,
        "empty": 4,
        "scored": 90,
        "weak": 9,
        "probed": 60,
        "recalled": 57,
        "canaries_expected": 20,
        "canaries_found": 18,
        "vectors": 80,
        "documents": 20,
    },
    similarities=sketch([0.5] * 200),
    nearest=sketch([0.4] * 90),
    queries=np.full(FEATURES, 0.1).tobytes(),
    documents=np.full(FEATURES, 0.1).tobytes(),
    words={f"w{number}": 1 for number in range(60)},
)


def test_a_full_window_has_a_sample_of_every_signal():
    found = samples(FULL, Lexicon(10), 1)
    assert found.keys() == SIGNALS.keys()
    shown = {name: round(one.shown, 3) for name, one in found.items() if one.rate}
    assert shown == {
        "click-rate": 0.1,
        "cart-rate": 0.01,
        "purchase-rate": 0.004,
        "zero-results": 0.04,
        "weak-answers": 0.1,
        "ann-recall": 0.95,
        "canary-recall": 0.9,
        "new-terms": 1.0,
    }


@pytest.mark.parametrize(
    ("count", "signal", "least"),
    [
        ("answers", "zero-results", 50),
        ("scored", "weak-answers", 50),
        ("probed", "ann-recall", 50),
        ("canaries_expected", "canary-recall", 1),
        ("vectors", "query-embeddings", 50),
        ("documents", "document-embeddings", 20),
    ],
)
def test_below_its_least_count_a_signal_says_nothing(count, signal, least):
    for number, there in ((least, True), (least - 1, False)):
        tally = FULL.model_copy(update={"counts": {**FULL.counts, count: number}})
        assert (signal in samples(tally, Lexicon(10), 1)) == there


def test_without_a_lexicon_no_word_is_called_new():
    assert "new-terms" not in samples(FULL, None, 1)


def test_an_empty_window_says_nothing():
    assert samples(WindowTally(), Lexicon(1), 1) == {}


def test_a_scope_has_its_own_signals_only():
    found = samples(FULL, Lexicon(10), 1)
    assert of_scope(found, SHOP_SIGNALS).keys() == SHOP_SIGNALS.keys()
    assert of_scope(found, MODEL_SIGNALS).keys() == MODEL_SIGNALS.keys()


# What is kept of a window


texts = st.text(min_size=1, max_size=5)


@given(
    st.dictionaries(texts, st.integers(1, 9), max_size=40),
    st.dictionaries(texts, st.integers(1, 9), max_size=40),
)
def test_a_sample_of_words_does_not_depend_on_their_order(one, other):
    together = {**one, **other}
    backwards = dict(reversed(together.items()))
    assert sample(together) == sample(backwards)


def test_of_many_words_a_fair_sample_is_kept_and_equal_tallies_keep_equal_words():
    many = {f"word {number}": number + 1 for number in range(3 * WORDS)}
    kept = sample(many)
    assert len(kept) == WORDS
    assert all(many[word] == count for word, count in kept.items())
    assert sample({**kept, **many}) == kept
    late = sum(number >= 1.5 * WORDS for number in range(3 * WORDS) if f"word {number}" in kept)
    assert late == pytest.approx(WORDS / 2, rel=0.1)


@given(st.lists(texts, max_size=60), st.randoms(use_true_random=False))
def test_examples_are_few_each_text_once_and_the_same_in_any_order(some, rng):
    examples = [Example(text=text) for text in some]
    shuffled = list(examples)
    rng.shuffle(shuffled)
    kept = kept_examples(examples)
    assert kept == kept_examples(shuffled)
    assert len(kept) == min(EXAMPLES, len(set(some)))


@given(st.lists(st.floats(-1, 1, width=32), max_size=50), st.lists(st.floats(-1, 1, width=32), max_size=50))
def test_sketches_of_parts_add_up(one, other):
    whole = merged(sketch(one), sketch(other))
    if not one and not other:
        assert whole == b""
    else:
        assert opened(whole).n == len(one) + len(other)
        assert opened(whole).get_max_value() == max([*one, *other])


# Words


def test_a_word_is_known_for_as_long_as_it_is_remembered():
    words = Lexicon(forget=10)
    words.add({"shoe": 1}, 5)
    assert [words.unknown(["shoe"], number) for number in (6, 15, 16)] == [0, 0, 1]
    assert words.unknown(["shoe", "lamp", "lamp "], 6) == 2


def test_counts_fade_by_the_windows_that_passed():
    words = Lexicon(100, {"shoe": Word(usual=10.0, recent=10.0, seen=0)})
    words.add({"shoe": 1}, 4)
    usual, recent, seen = words.words["shoe"]
    assert (usual, recent, seen) == (pytest.approx(10 * 0.997**4 + 1), pytest.approx(10 * 0.85**4 + 1), 4)


def test_the_words_that_came_up_are_named_most_surely_first():
    words = Lexicon(1000)
    for number in range(300):
        words.add({"shoe": 40, "lamp": 20, "sofa": 10}, number)
    assert words.more_frequent(299) == ()
    words.add({"shoe": 40, "lamp": 150, "neon": 100, "rare": 1}, 300)
    assert words.more_frequent(300)[:2] == ("neon", "lamp")
    assert "rare" not in words.more_frequent(300), "once is chance"
    assert words.more_frequent(300, most=1) == ("neon",)


def test_nothing_is_more_frequent_than_nothing():
    assert Lexicon(10).more_frequent(5) == ()
    fresh = Lexicon(10)
    fresh.add({"shoe": 5}, 0)
    assert fresh.more_frequent(0) == (), "there is no rest to compare with"


# Baseline and variance


@pytest.mark.parametrize(
    ("season", "hours", "slots"),
    [("week", (0, 167, 168), (0, 167, 0)), ("day", (0, 23, 24), (0, 23, 0)), ("none", (0, 5), (0, 0))],
)
def test_a_slot_is_the_hour_of_the_season(season, hours, slots):
    assert tuple(slot_of(MONDAY + hour * HOUR, season) for hour in hours) == slots


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_of_its_first_visits_a_baseline_is_the_plain_mean(values):
    baseline = SeasonalBaseline(slots=1, dimensions=1, memory=8)
    for value in values:
        baseline.learn(0, plain(value))
    assert float(baseline.mean[0, 0]) == pytest.approx(np.mean(values), abs=1e-4)
    assert float(baseline.spread[0]) == pytest.approx(1 / len(values))
    assert float(baseline.variance[0]) == pytest.approx(0.01 / len(values))


def test_later_it_follows_and_each_slot_on_its_own():
    baseline = SeasonalBaseline(slots=2, dimensions=1, memory=4)
    for _ in range(40):
        baseline.learn(0, plain(1.0))
    for _ in range(40):
        baseline.learn(0, plain(3.0))
    assert float(baseline.mean[0, 0]) == pytest.approx(3.0, abs=1e-3)
    assert (baseline.share, baseline.level) == (0.5, pytest.approx(3.0, abs=1e-3))
    assert float(baseline.spread[0]) > 1 / 8, "a mean of about four stays as unsure as one of four"


@pytest.mark.parametrize(("clip", "moved"), [(inf, 5.0), (2.0, 1.0)])
def test_one_window_moves_it_by_a_clipped_step_only(clip, moved):
    baseline = SeasonalBaseline(slots=1, dimensions=1, memory=8)
    baseline.learn(0, plain(0.0))
    baseline.learn(0, plain(10.0), clip=clip)
    assert float(baseline.mean[0, 0]) == pytest.approx(moved)


def test_until_it_has_settled_sampling_alone_is_expected():
    model = VarianceModel()
    for _ in range(SETTLE - 1):
        model.add(100.0, 1.0, 2.0)
    assert model.expected(0.5, 2.0) == 0.5


@pytest.mark.parametrize(("factor", "between"), [(1.0, 0.0), (3.0, 0.0), (1.0, 0.5)])
def test_how_differences_grow_with_sampling_is_found(factor, between):
    rng, model = np.random.default_rng(7), VarianceModel()
    for _ in range(4000):
        sampling, spread = float(rng.uniform(0.01, 2.0)), 1.2
        expected = factor * sampling + between * spread
        model.add(float(rng.chisquare(1)) * expected, sampling, spread)
    for sampling in (0.2, 1.5):
        expected = factor * sampling + between * 1.2
        assert model.expected(sampling, 1.2) == pytest.approx(expected, rel=0.25)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(1e-6, 10), st.floats(1, 2)), max_size=60),
    st.floats(1e-6, 10),
)
def test_what_is_expected_is_always_positive(seen, sampling):
    model = VarianceModel()
    for square, of_sampling, spread in seen:
        model.add(square, of_sampling, spread)
    assert model.expected(sampling, 1.5) > 0


def test_windows_of_one_size_have_a_factor_and_no_slope():
    model = VarianceModel()
    for _ in range(100):
        model.add(4.0, 1.0, 1.0)
    assert model.expected(2.0, 1.0) == pytest.approx(8.0)


# Ranks


@given(st.lists(st.floats(-100, 100), max_size=40), st.floats(-1e6, 1e6), st.floats(0.01, 0.99))
def test_a_score_is_capped_and_rises_with_the_value_where_no_tie_is_broken(past, value, tie):
    ranks = Ranks(100, past)
    score = ranks.normal_score(value, tie_break=tie)
    assert -CAP <= score <= CAP
    if value not in past and value + 1 not in past:
        assert ranks.normal_score(value + 1, tie_break=tie) >= score - 1e-9


def test_without_a_past_the_tie_break_decides():
    assert Ranks(10).normal_score(5.0, tie_break=0.5) == pytest.approx(0.0)
    assert Ranks(10).normal_score(5.0, tie_break=0.9) > 1


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60))
def test_the_oldest_leave_first_whatever_their_size(values):
    ranks = Ranks(10)
    for value in values:
        ranks.add(value)
    assert list(ranks.past) == values[-10:]
    assert ranks._sorted == sorted(values[-10:])


@given(st.lists(st.integers() | st.text(max_size=5), min_size=1, max_size=4))
def test_ties_break_evenly_and_never_at_an_edge(parts):
    assert 0 < tie_break(*parts) < 1


# Shape


@pytest.mark.parametrize("ago", [1, 5, 40])
def test_a_step_is_dated_to_where_it_began(ago):
    surprises = np.zeros(100)
    surprises[-ago:] = 5
    assert (fit_shape(surprises).shape, fit_shape(surprises).ago) == ("step", ago)


@pytest.mark.parametrize("length", [20, 60])
def test_a_slope_is_dated_to_about_where_it_began(length):
    surprises = np.concatenate([np.zeros(100), np.arange(1, length + 1) / 4])
    fitted = fit_shape(surprises)
    assert fitted.shape == "slope"
    assert fitted.ago == pytest.approx(length, abs=2)


def test_what_rises_within_a_few_windows_is_a_step():
    surprises = np.concatenate([np.zeros(100), np.arange(1, LEAST_RISE) * 2.0])
    assert fit_shape(surprises).shape == "step"
