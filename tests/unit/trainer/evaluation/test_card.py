"""The card of a model, for people."""

from datetime import UTC, datetime

import pytest

from schemas.control import Model, OffsetRange
from services.trainer.dataset.domain.dataset import DatasetManifest, Overlap
from services.trainer.evaluation.domain.card import LIMITS, card
from services.trainer.evaluation.domain.figures import MetricComparison

MADE = datetime(2026, 11, 21, tzinfo=UTC)


def model(**changes):
    values = {
        "model_id": "m-1",
        "fingerprint": "0" * 16,
        "location": "/models/m-1",
        "dimensions": 384,
        "verdict": "undecided",
        "reasons": ("better by 3% for 90 held-out queries", "too few queries", "worse on novel_query"),
        "created_at": MADE,
        **changes,
    }
    return Model(**values)


def comparison(**changes):
    values = {
        "evaluation_set": "held_out",
        "measure": "nDCG@10",
        "code": "384 fp32",
        "live": 0.5,
        "candidate": 0.625,
        "low": 0.0625,
        "high": 0.1875,
        "queries": 40,
        "shown": (0.9, 0.6),
        **changes,
    }
    return MetricComparison(**values)


MANIFEST = DatasetManifest(
    name="d-1",
    ranges=(OffsetRange(topic="search.judgements.v1", partition=2, start=3, end=9),),
    generation="g7",
    counts={"train": 12, "novel_query": 4},
    certificate={"novel_query": Overlap(same_product=3, same_query=0, similar_query=0, same_pair=0)},
)


def text(one=None, manifest=MANIFEST, compared=()):
    return card(one or model(), manifest, compared)


def test_it_begins_with_the_line_that_a_person_wants_to_read_then_its_reasons_as_sentences():
    assert text().startswith(
        "# Model m-1\n\nUndecided: better by 3% for 90 held-out queries.\n\n"
        "Too few queries. Worse on novel_query.\n\n|"
    )
    assert text(model(reasons=())).startswith("# Model m-1\n\nUndecided.\n\n|")


def test_it_says_what_the_model_is_and_nothing_of_what_is_not_known():
    facts = text(model(threshold=0.12345, dense_weight=0.6, job_id="j|1", seed=3))
    assert "| threshold | 0.1235 |" in facts or "| threshold | 0.1234 |" in facts
    assert "| weight of vectors | 0.60 |" in facts
    assert "| job | j\\|1 |" in facts, "a bar in a cell does not end it"
    assert "| made | 2026-11-21T00:00:00+00:00 |" in facts
    assert "| threshold |  |" in text()


def test_it_says_where_the_data_come_from_and_what_splits_share():
    data = text()
    assert "`d-1`, of generation g7: search.judgements.v1[2] 3 to 9." in data
    assert "| novel_query | 4 | 0, 0, 3, 0 |" in data
    assert "| train | 12 |  |" in data
    assert "no ranges" in text(manifest=MANIFEST.model_copy(update={"ranges": ()}))


def test_every_figure_is_a_row_beside_the_live_models():
    figures = text(compared=[comparison(), comparison(part="tail", measure="R@10")])
    assert (
        "| nDCG@10 held_out | 384 fp32 | 0.5000 | 0.6250 | +0.1250 (+0.0625 to +0.1875) | 40 | 90%, 60% |"
        in figures
    )
    assert "| R@10 held_out tail | 384 fp32 |" in figures
    assert figures.rstrip().endswith(LIMITS)


def test_it_says_with_which_weight_the_live_model_was_asked():
    assert "| weight of vectors, live model | 0.50 |" in card(model(), MANIFEST, (), live_weight=0.5)


@pytest.mark.parametrize(("share", "doubted"), [(0.95, False), (0.9375, True)])
def test_it_says_when_even_the_live_models_pages_are_not_those_that_shoppers_saw(share, doubted):
    page = text(compared=[comparison(shown=(share, 0.2)), comparison(shown=(0.1, 0.1))])
    assert (
        "Of the live model's own first pages, as computed here, shoppers were shown 94%" in page
    ) is doubted


def test_it_is_a_function_of_what_it_shows():
    assert text(compared=[comparison()]) == text(compared=[comparison()])
