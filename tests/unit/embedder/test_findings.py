"""What is said of a text that is embedded."""

import pytest
from msgspec.structs import replace

from services.embedder.domain.findings import Twin, text_findings
from services.embedder.domain.plan import Planned, plan
from services.embedder.domain.state import Embedding

from .samples import NOON, RECIPE, change, document, place, touched

LONG = " ".join(f"word{number}" for number in range(20))


def planned(title: str | None) -> Planned:
    return plan(touched(document(change("upsert", 1, title=title)), offset=41), RECIPE)


def reasons(item: Planned, twin: Twin | None = None, *, of_cut_alone: bool = False) -> list[str]:
    message = text_findings(item, twin, generation="g1", of_cut_alone=of_cut_alone)
    return [] if message is None else [finding.reason for finding in message.findings]


@pytest.mark.parametrize(
    ("item", "twin", "found"),
    [
        (planned("lamp"), None, []),
        (planned(None), None, ["text.empty"]),
        (planned("<p></p>"), None, ["text.empty"]),
        (planned(LONG), None, ["text.passages"]),
        (replace(planned("lamp"), left_out=7), None, ["text.cut"]),
        (planned("lamp"), Twin("q"), ["text.duplicate"]),
        (planned("lamp"), Twin("q", 0.9, is_equal=False), ["text.near_duplicate"]),
        (replace(planned("lamp"), kept=Embedding()), Twin("q"), []),
    ],
)
def test_each_has_its_reason(item: Planned, twin: Twin | None, found: list[str]) -> None:
    assert reasons(item, twin) == found


def test_what_depends_on_the_model_is_said_by_each_generation_and_the_rest_by_one() -> None:
    assert reasons(planned(LONG), Twin("q"), of_cut_alone=True) == ["text.passages"]
    assert reasons(planned(None), of_cut_alone=True) == []


def test_a_finding_says_of_which_change_and_text_it_is_and_who_the_other_is() -> None:
    item = planned("lamp")
    message = text_findings(item, Twin("q", 0.91, is_equal=False), generation="g1", of_cut_alone=False)
    assert message is not None
    assert (message.product_id, message.source, message.time) == ("p", place(41), NOON)
    assert (message.generation, message.content_hash) == ("g1", item.content_hash)
    [finding] = message.findings
    assert (finding.attribute, finding.other, finding.similarity) == ("embedder.text", "q", 0.91)


def test_what_is_not_embedded_of_a_long_text_is_counted() -> None:
    item = planned(LONG)
    message = text_findings(item, None, generation="g1", of_cut_alone=True)
    assert message is not None
    assert f"the last {item.cut.left_out} characters" in message.findings[0].explanation
    assert 0 < item.cut.left_out == len(LONG) - item.cut.spans[-1][1]
