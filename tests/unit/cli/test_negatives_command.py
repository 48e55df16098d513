"""`headrace negatives`: whether they are right, in a sentence."""

from services.cli.negatives import sentence
from services.negatives.domain.precision import NegativePrecision


def test_the_share_and_what_it_is_a_share_of_are_said() -> None:
    assert sentence(NegativePrecision()) == "no negative has been looked at enough since it was mined"
    assert sentence(NegativePrecision(1200, 60)) == (
        "95.0% of the negatives are right: of 1,200 that shoppers have looked at enough since they were "
        "mined, 60 were acted upon"
    )


def test_without_a_redis_it_is_said(headrace) -> None:
    done = headrace("negatives")
    assert done.code != 0
    assert "redis" in done.err.lower()
