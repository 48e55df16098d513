"""Empty and partial answers over a rolling window."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.monitor.answers.domain.answers import (
    Bucket,
    LoggedAnswer,
    WindowRule,
    assess,
    counted,
    lower_bound,
    oldest,
    partial_answers,
    start_of,
    tally,
    zero_results,
)

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
RULE = WindowRule()

answers = st.builds(
    LoggedAnswer,
    asked_at=st.integers(-100_000, 1000).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    products=st.none() | st.integers(0, 3),
    partial=st.booleans(),
)


def total(buckets: dict[int, Bucket]) -> Bucket:
    return sum(buckets.values(), Bucket())


def minutes(**rates: tuple[int, int]) -> dict[int, Bucket]:
    """Return buckets: `m5=(100, 7)` is 7 empty of 100 answers five minutes ago."""
    newest = start_of(NOW, RULE.bucket)
    return {newest - int(name[1:]): Bucket(total=n, zero=z) for name, (n, z) in rates.items()}


@given(st.lists(answers | st.none(), max_size=50))
def test_every_answer_is_counted_once_or_not_at_all(seen):
    added, count = tally(seen, now=NOW, rule=RULE)
    assert total(added).total == count
    telling = [a for a in seen if a is not None and a.products is not None]
    assert count == sum(counted(a.asked_at, NOW, RULE) is not None for a in telling)


@given(st.lists(answers, max_size=50), st.randoms(use_true_random=False))
def test_order_and_batching_do_not_matter(seen, rng):
    shuffled = list(seen)
    rng.shuffle(shuffled)
    cut = rng.randint(0, len(seen))
    one, _ = tally(seen, now=NOW, rule=RULE)
    merged: dict[int, Bucket] = {}
    for part in (shuffled[:cut], shuffled[cut:]):
        for bucket, more in tally(part, now=NOW, rule=RULE)[0].items():
            merged[bucket] = merged.get(bucket, Bucket()) + more
    assert merged == one


def test_the_future_is_counted_now_and_the_distant_past_not_at_all():
    newest = start_of(NOW, RULE.bucket)
    assert counted(NOW + timedelta(days=400), NOW, RULE) == newest
    assert counted(NOW - RULE.past - RULE.window - RULE.bucket, NOW, RULE) is None
    assert counted(NOW - RULE.past, NOW, RULE) is not None


def test_a_front_end_that_does_not_say_what_it_showed_is_not_counted_as_empty():
    silent = LoggedAnswer(asked_at=NOW, products=None)
    assert tally([silent], now=NOW, rule=RULE) == ({}, 0)


@given(st.dictionaries(st.integers(0, 1600), st.integers(1, 5).map(lambda n: Bucket(total=n)), max_size=50))
def test_window_and_past_share_no_answer_and_lose_none(ages):
    newest = start_of(NOW, RULE.bucket)
    buckets = {newest - age: bucket for age, bucket in ages.items()}
    window, past = assess(buckets, now=NOW, rule=RULE, open_since=None)
    live = {at: bucket for at, bucket in buckets.items() if at >= oldest(NOW, RULE)}
    assert window.total + past.total == total(live).total


def test_more_empty_answers_than_usual_are_a_breach():
    window, past = assess(minutes(m2=(200, 80), m60=(1000, 50)), now=NOW, rule=RULE, open_since=None)
    seen = zero_results(window, past, RULE)
    assert seen is not None
    assert seen.breached
    assert "40.0% of 200 searches found nothing, usually 5.0%" in seen.summary


def test_chance_is_not_a_breach():
    window, past = assess(minutes(m2=(60, 8), m60=(1000, 50)), now=NOW, rule=RULE, open_since=None)
    seen = zero_results(window, past, RULE)
    assert seen is not None
    assert not seen.breached


def test_too_few_answers_say_nothing():
    window, past = assess(minutes(m2=(49, 49), m60=(1000, 0)), now=NOW, rule=RULE, open_since=None)
    assert zero_results(window, past, RULE) is None
    assert partial_answers(window, RULE) is None


def test_without_a_past_only_a_flood_of_empty_answers_is_a_breach():
    few, flood = Bucket(total=100, zero=40), Bucket(total=100, zero=90)
    assert [zero_results(w, Bucket(), RULE).breached for w in (few, flood)] == [False, True]


def test_an_open_alerts_own_time_does_not_become_normal():
    buckets = minutes(m2=(200, 80), m120=(2000, 800), m600=(1000, 20))
    since = NOW - timedelta(hours=3)
    _, past = assess(buckets, now=NOW, rule=RULE, open_since=since)
    assert past == Bucket(total=1000, zero=20)


def test_partial_answers_are_told():
    seen = partial_answers(Bucket(total=100, partial=60), RULE)
    assert seen is not None
    assert seen.breached
    assert seen.severity == "critical"


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_lower_bound_is_below_the_rate(successes, failures):
    trials = successes + failures
    assert 0 <= lower_bound(successes, trials) <= (successes / trials if trials else 0) + 1e-12
