"""What an acceptance means for what its source has written since."""

from schemas.catalogue import Appended
from services.embedder.domain.accepted_source import SourceSurvey
from shared.catalogue.acceptances import Accepted
from tests.stamped import change

SHOP = "debezium/postgresql/shop"


def at(milliseconds: int) -> Appended:
    return Appended(milliseconds, 0, milliseconds)


def survey(*versions: tuple[int, int]) -> SourceSurvey:
    """Take changes of one product, each appended then with that version."""
    surveyed = SourceSurvey(Accepted(SHOP, 5))
    for moment, version in versions:
        surveyed.take(change("upsert", version, line=SHOP, appended=at(moment)))
    return surveyed


def test_only_what_the_source_wrote_since_counts() -> None:
    surveyed = survey((4, 900), (5, 300), (6, 301))
    surveyed.take(change("upsert", 1, "sofa", line=f"{SHOP}/prices", appended=at(9)))
    surveyed.take(change("upsert", 1, "rug", line="version", appended=at(9)))
    assert (surveyed.changes, surveyed.products) == (3, {"p", "sofa"})
    assert surveyed.lines == {SHOP: 2, f"{SHOP}/prices": 1}
    assert not surveyed.older


def test_versions_that_went_back_later_than_that_are_counted() -> None:
    assert survey((5, 900), (6, 300), (7, 301)).older == 2
