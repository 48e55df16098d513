import random

from shared.catalogue.near_duplicates import jaccard
from shared.catalogue.signatures import BANDS, bands

BAND_OF_RED_SOCK = 11511321994688381406


def test_sets_that_are_nearly_the_same_share_a_band_mostly_and_others_rarely() -> None:
    draw = random.Random(1)
    near = far = 0
    for _ in range(300):
        words = {f"word{draw.randrange(10**6)}" for _ in range(20)}
        similar = {*list(words)[:19], "other"}
        assert jaccard(words, similar) > 0.9
        near += not set(bands(words)).isdisjoint(bands(similar))
        half = {*list(words)[:10], *(f"other{number}" for number in range(10))}
        far += not set(bands(words)).isdisjoint(bands(half))
    assert near > 280
    assert far < 30


def test_the_bands_of_a_set_stay_what_they_were() -> None:
    assert bands(frozenset()) == ()
    assert len(bands({"red", "sock"})) == BANDS
    assert bands({"red", "sock"}) == bands({"sock", "red"})
    assert bands({"red", "sock"})[0] == BAND_OF_RED_SOCK
