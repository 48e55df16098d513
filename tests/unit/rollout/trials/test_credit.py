from hypothesis import given
from hypothesis import strategies as st

from services.judgements.domain.statistics import BusinessObjective
from services.rollout.domain.trials.credit import ProductAction, credit, voice

WEIGHTS = BusinessObjective().weights
SWAPPED = {"A": "B", "B": "A", "-": "-"}
actions = st.lists(
    st.builds(
        ProductAction,
        query_id=st.sampled_from("QR"),
        product_id=st.sampled_from("pqrs"),
        name=st.sampled_from([*WEIGHTS, "unknown"]),
        team=st.sampled_from("AB-"),
    ),
    # One product of one answer has one team.
    unique_by=lambda action: (action.query_id, action.product_id, action.name),
).map(
    lambda rows: [row._replace(team="AB-"[sum(map(ord, row.query_id + row.product_id)) % 3]) for row in rows]
)


@given(actions)
def test_a_score_is_bounded_and_changes_its_sign_with_the_teams(rows):
    one = credit(rows, WEIGHTS)
    other = credit([row._replace(team=SWAPPED[row.team]) for row in rows], WEIGHTS)
    assert -1 <= one.score <= 1
    assert (other.score, other.acted) == (-one.score, one.acted)


@given(actions, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_actions_changes_a_score(rows, rng):
    again = [*rows, *rows]
    rng.shuffle(again)
    assert credit(again, WEIGHTS) == credit(rows, WEIGHTS)


@given(actions)
def test_what_is_nobodys_gives_no_preference(rows):
    assert credit([row._replace(team="-") for row in rows], WEIGHTS).score == 0


def test_a_purchase_counts_more_than_a_click_and_does_not_drown_the_rest():
    clicks = [ProductAction("Q", product, "click", "A") for product in "pqrst"]
    purchase = ProductAction("Q", "x", "purchase", "B")
    assert credit([clicks[0], purchase], WEIGHTS).score > 0
    assert credit([*clicks, purchase], WEIGHTS).score < 0


def test_one_session_can_say_so_much_and_no_more():
    many = [ProductAction("Q", str(number), "purchase", "B") for number in range(50)]
    assert credit(many, WEIGHTS) == (1.0, 50)
    assert voice(50) == voice(5) == 1.0
    assert voice(0) == 0.0


def test_what_the_objective_does_not_name_is_no_action():
    assert credit([ProductAction("Q", "p", "hover", "B")], WEIGHTS) == (0.0, 0)
