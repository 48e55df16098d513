"""Whatever the index answers: never a positive, an engaged product, a double of one, or one too close."""

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import EPOCH, MILLISECOND
from schemas.judgements import ActionStatistics, Judgement
from services.negatives.domain.candidates import Retrieved, RetrievedProduct, candidates
from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.filter import Filter, Reason
from services.negatives.domain.mine import hits_to_cross_score, mine
from services.negatives.domain.plan import plan_mining
from services.negatives.domain.rules import OBJECTIVE, MiningRules
from services.negatives.domain.sample import difficulty, preferred, sample
from shared.catalogue.product_identity import ProductIdentity

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PINNED = {"likely": 1.0, "margin": 0.9, "hard": 0.8, "medium": 0.6}
RULES = MiningRules(depth=8, number=3, last_rank=8, **PINNED)
POSITIVE = RelevanceEvidence(actions=5, objective_actions=5, expected=1.0, grade=2.9)
ENGAGED = RelevanceEvidence(actions=1, objective_actions=1, expected=2.0, grade=1.1)
SKIPPED = RelevanceEvidence(actions=0, objective_actions=0, expected=4.0, grade=0.3)
SEEN = RelevanceEvidence(actions=0, objective_actions=0, expected=0.2, grade=1.4)
FINE = RelevanceEvidence(actions=0, objective_actions=0, expected=2.0, grade=1.4)


def product(title, gtin=()):
    return ProductIdentity.of({"title": title, "gtin": gtin})


ids = st.sampled_from([f"p{number}" for number in range(14)])
evidence = st.dictionaries(ids, st.sampled_from([POSITIVE, ENGAGED, SKIPPED, SEEN, FINE]), max_size=10)
scores = st.one_of(st.none(), st.floats(-1, 1, width=32))
identities = st.builds(
    product,
    st.lists(st.sampled_from(["red", "trail", "shoe", "sock", "42"]), max_size=4).map(" ".join),
    st.lists(st.sampled_from(["4006381333931", "9780306406157"]), max_size=1),
)
hits = st.lists(
    st.builds(
        RetrievedProduct,
        product_id=ids,
        dense=scores,
        lexical=st.one_of(st.none(), st.floats(0, 30)),
        identity=identities,
    ),
    unique_by=lambda hit: hit.product_id,
    max_size=14,
)
rules = st.builds(
    MiningRules,
    depth=st.integers(1, 10),
    number=st.integers(1, 5),
    first_rank=st.integers(1, 3),
    last_rank=st.integers(3, 10),
    margin=st.sampled_from([0.8, 0.95, 1.0]),
    likely=st.sampled_from([0.08, 0.5, 1.0]),
    method=st.sampled_from(["top", "random"]),
)


def answered(found, wanted):
    positives = {hit.product_id: hit for hit in found if hit.product_id in wanted.positives}
    return Retrieved(
        generation="g1",
        fingerprint="3f1c9a7be0d24c68",
        hits=tuple(found),
        scores={name: hit.dense for name, hit in positives.items() if hit.dense is not None},
        identities=tuple(hit.identity for hit in found if hit.product_id in wanted.right),
    )


@given(evidence=evidence, found=hits, chosen=rules)
def test_what_is_mined_is_bounded_and_never_what_may_be_relevant(evidence, found, chosen):
    wanted = plan_mining(evidence, chosen)
    if wanted is None:
        assert all(row is not POSITIVE for row in evidence.values())
        return
    retrieved = answered(found, wanted)
    mined = mine("red shoe", wanted, retrieved, rules=chosen, now=NOW)
    by_id = {hit.product_id: hit for hit in found}
    assert len(mined.negatives) <= chosen.number
    for negative in mined.negatives:
        hit, weakest = by_id[negative.product_id], min(retrieved.scores.values())
        assert evidence.get(negative.product_id) in (None, SKIPPED, SEEN)
        assert negative.skipped == (evidence.get(negative.product_id) == SKIPPED)
        is_far = negative.score <= weakest - (1 - chosen.margin) * abs(weakest)
        assert is_far or negative.product_id in wanted.passed
        assert chosen.first_rank <= negative.rank <= min(chosen.last_rank, chosen.depth)
        right = [other for other in found if evidence.get(other.product_id) in (POSITIVE, ENGAGED, FINE)]
        assert not any(hit.identity.is_same(other.identity) for other in right)
    taken = [by_id[negative.product_id].identity for negative in mined.negatives]
    assert not any(one.is_same(other) for one, other in combinations(taken, 2))


@given(evidence=evidence, found=hits, chosen=rules, rng=st.randoms(use_true_random=False))
def test_the_order_of_judgements_and_hits_does_not_matter(evidence, found, chosen, rng):
    wanted = plan_mining(evidence, chosen)
    if wanted is None:
        return
    mined = mine("red shoe", wanted, answered(found, wanted), rules=chosen, now=NOW)
    shuffled, names = list(found), list(evidence)
    rng.shuffle(shuffled)
    rng.shuffle(names)
    again = plan_mining({name: evidence[name] for name in names}, chosen)
    assert again == wanted
    assert mine("red shoe", again, answered(shuffled, again), rules=chosen, now=NOW) == mined


@given(evidence=evidence, found=hits)
def test_a_judgement_of_one_more_positive_never_brings_it_back_as_a_negative(evidence, found):
    for promoted in [hit.product_id for hit in found]:
        wanted = plan_mining({**evidence, promoted: POSITIVE}, RULES)
        mined = mine("red shoe", wanted, answered(found, wanted), rules=RULES, now=NOW)
        assert promoted not in {negative.product_id for negative in mined.negatives}


@given(
    st.builds(
        RelevanceEvidence,
        st.integers(0, 10**9),
        st.integers(0, 10**9),
        st.floats(0, 1e9),
        st.floats(0, 3),
        st.integers(0, 2**42).map(lambda number: EPOCH + number * MILLISECOND),
        st.dates(),
    )
)
def test_a_fact_is_packed_and_read_back(row):
    assert RelevanceEvidence.unpack(row.pack()) == row


def test_a_fact_of_before_it_said_when_was_always_so():
    assert RelevanceEvidence.unpack("5 4 1.0 2.9") == RelevanceEvidence(5, 4, 1.0, 2.9, EPOCH, date.min)


def test_without_a_positive_there_is_no_plan():
    assert plan_mining({"a": ENGAGED, "b": SKIPPED}, RULES) is None
    one_click = RelevanceEvidence(actions=1, objective_actions=1, expected=0.1, grade=2.9)
    assert plan_mining({"a": one_click}, RULES) is None
    unwanted = RelevanceEvidence(actions=9, objective_actions=0, expected=0.1, grade=2.9)
    assert plan_mining({"a": unwanted}, RULES) is None


def test_without_a_scored_positive_nothing_is_mined():
    wanted = plan_mining({"a": POSITIVE}, RULES)
    found = [
        RetrievedProduct(product_id="a", dense=None, lexical=3.0),
        RetrievedProduct(product_id="b", dense=0.2, lexical=None),
    ]
    assert mine("q", wanted, answered(found, wanted), rules=RULES, now=NOW).negatives == ()


def test_each_reason_is_told():
    wanted = plan_mining({"a": POSITIVE, "b": ENGAGED, "c": FINE, "d": SKIPPED}, RULES)
    wanted = replace(wanted, co_positives=frozenset("j"))
    boot = product("red boot", ["4006381333931"])
    found = [
        RetrievedProduct(product_id="a", dense=0.8, lexical=1.0, identity=boot),
        RetrievedProduct(product_id="b", dense=0.7, lexical=None),
        RetrievedProduct(product_id="c", dense=0.7, lexical=None),
        RetrievedProduct(product_id="d", dense=0.7, lexical=None),
        RetrievedProduct(
            product_id="e", dense=0.7, lexical=None, identity=product("hat", ["04006381333931"])
        ),
        RetrievedProduct(product_id="f", dense=0.7, lexical=None, identity=product("boot red")),
        RetrievedProduct(product_id="g", dense=None, lexical=9.0),
        RetrievedProduct(product_id="h", dense=0.77, lexical=None),
        RetrievedProduct(product_id="j", dense=0.5, lexical=None),
        RetrievedProduct(product_id="k", dense=0.5, lexical=None, identity=product("red sock")),
    ]
    judge = Filter(wanted, RULES, weakest=0.8, positives=[boot])
    reasons = {it.hit.product_id: judge.refuse(it) for it in candidates(found, 20)}
    assert reasons == {
        "a": Reason.POSITIVE,
        "b": Reason.ENGAGED,
        "c": Reason.RELEVANT,
        "d": None,
        "e": Reason.SAME_CODE,
        "f": Reason.DUPLICATE,
        "g": Reason.UNSCORED,
        "h": Reason.TOO_CLOSE,
        "j": Reason.CO_POSITIVE,
        "k": None,
    }
    mined = mine("q", wanted, answered(found, wanted), rules=MiningRules(number=9, **PINNED), now=NOW)
    assert {it.product_id: (it.skipped, it.difficulty) for it in mined.negatives} == {
        "d": (True, "hard"),
        "k": (False, "medium"),
    }
    assert sum(mined.refused.values()) == 8


def test_a_cross_encoder_refuses_what_it_finds_relevant_and_is_asked_about_few():
    wanted = plan_mining({"a": POSITIVE}, RULES)
    found = [RetrievedProduct(product_id="a", dense=0.9, lexical=None)]
    found += [RetrievedProduct(product_id=f"p{n}", dense=0.7 - n / 99, lexical=None) for n in range(20)]
    chosen = MiningRules(number=2, veto=0.5, likely=1.0)
    asked = hits_to_cross_score("q", wanted, answered(found, wanted), rules=chosen)
    assert [hit.product_id for hit in asked] == ["p0", "p1", "p2", "p3", "p4", "p5"]
    cross_scores = {hit.product_id: 0.9 if hit.product_id in {"p0", "p3"} else 0.1 for hit in asked}
    mined = mine(
        "q", wanted, replace(answered(found, wanted), cross_scores=cross_scores), rules=chosen, now=NOW
    )
    assert [it.product_id for it in mined.negatives] == ["p1", "p2"]
    all_refused = replace(answered(found, wanted), cross_scores=dict.fromkeys(cross_scores, 0.9))
    mined = mine("q", wanted, all_refused, rules=chosen, now=NOW)
    assert mined.negatives == ()
    assert mined.refused[Reason.VETO] == 20


@pytest.mark.parametrize("method", ["top", "random"])
def test_of_those_that_are_the_same_product_the_best_within_the_ranks_is_taken(method):
    titles = {"a": "red boot", "b": "red sock", "c": "Sock, red", "d": "blue hat", "e": "red socks"}
    found = [
        RetrievedProduct(product_id=name, dense=0.9 - place / 9, lexical=None, identity=product(title))
        for place, (name, title) in enumerate(titles.items())
    ]
    wanted = plan_mining({"a": POSITIVE}, RULES)
    for first_rank, expected in ((1, ["b", "d"]), (3, ["c", "d"])):
        chosen = replace(RULES, method=method, first_rank=first_rank, number=9)
        mined = mine("q", wanted, answered(found, wanted), rules=chosen, now=NOW)
        assert [it.product_id for it in mined.negatives] == expected


def test_what_is_the_same_as_something_relevant_is_no_negative_whoever_finds_it_relevant():
    titles = {"a": "red boot", "b": "sock", "c": "hat", "d": "belt", "e": "Socks", "f": "Hats", "g": "Belts"}
    found = [
        RetrievedProduct(product_id=name, dense=0.9 - place / 9, lexical=None, identity=product(title))
        for place, (name, title) in enumerate(titles.items())
    ]
    wanted = plan_mining({"a": POSITIVE, "b": ENGAGED, "c": FINE}, RULES)
    wanted = replace(wanted, co_positives=frozenset("d"))
    mined = mine("q", wanted, answered(found, wanted), rules=RULES, now=NOW)
    assert mined.negatives == ()
    assert mined.refused[Reason.DUPLICATE] == 3


def test_the_rank_is_the_better_one_and_the_union_is_kept():
    found = [
        RetrievedProduct(product_id="a", dense=0.9, lexical=None),
        RetrievedProduct(product_id="b", dense=0.8, lexical=7.0),
        RetrievedProduct(product_id="c", dense=0.1, lexical=5.0),
        RetrievedProduct(product_id="d", dense=0.2, lexical=0.0),
    ]
    ranked = [(it.hit.product_id, it.rank, it.source) for it in candidates(found, 2)]
    assert ranked == [("a", 1, "dense"), ("b", 1, "both"), ("c", 2, "lexical")]


def test_a_draw_depends_on_the_seed_alone():
    found = candidates(
        [RetrievedProduct(product_id=f"p{n}", dense=0.5 - n / 99, lexical=None) for n in range(30)], 30
    )
    chosen = MiningRules(method="random", number=5)

    def draw(seed, hits):
        drawn = sample(preferred(hits, chosen, seed=seed), chosen, weakest=0.9)
        return tuple(it.candidate.hit.product_id for it in drawn)

    assert draw("a", found[::-1]) == draw("a", found)
    assert len({draw(seed, found) for seed in "abc"}) == 3


def test_the_margin_lies_below_the_weakest_positive_also_where_scores_are_below_zero():
    assert MiningRules(margin=0.95).threshold(0.8) == pytest.approx(0.76)
    assert MiningRules(margin=0.95).threshold(-0.2) == pytest.approx(-0.21)


def test_difficulty_is_the_share_of_the_weakest_positive():
    assert [difficulty(score, 0.5, RULES) for score in (0.45, 0.35, 0.1)] == ["hard", "medium", "easy"]
    assert difficulty(-0.4, -0.2, RULES) == "easy"


def test_a_fact_counts_what_the_objective_wants():
    told = {
        "click": ActionStatistics(count=3, expected=1.24),
        "return": ActionStatistics(count=1, expected=0.5),
    }
    judgement = Judgement(
        query="q",
        product_id="a",
        window_start=NOW.date(),
        window_end=NOW.date(),
        impressions=9,
        shoppers=2,
        actions=told,
        value=2,
        grade=2.4,
        updated_at=NOW,
    )
    assert RelevanceEvidence.of(judgement, OBJECTIVE) == RelevanceEvidence(
        actions=4,
        objective_actions=3,
        expected=1.2,
        grade=2.4,
        made_at=NOW,
        impressions=9,
        window_start=NOW.date(),
    )
