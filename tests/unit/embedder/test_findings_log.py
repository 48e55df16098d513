"""What is counted and shown of the topic of findings."""

from datetime import UTC, datetime

from schemas.base import Coordinates
from schemas.findings import CatalogueFindings, Finding
from services.cli import catalogue
from services.embedder.findings_log import FindingsSummary
from shared.records import Partition, Record

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def summary(last: int = 20, *, product_id: str = "", reason: str = "") -> FindingsSummary:
    taken = FindingsSummary(last, product_id=product_id, reason=reason)
    for offset, value in enumerate(
        [
            message("p", "text.empty", total=3),
            b"{",
            message("q", "text.duplicate", other="p", similarity=1.0),
            message("q", "field.cut"),
        ]
    ):
        taken.take(Record(Partition(CatalogueFindings.topic, 0), offset, None, value, NOON))
    return taken


def message(product_id: str, reason: str, *, total: int = 1, **of_twin: object) -> bytes:
    return CatalogueFindings(
        product_id=product_id,
        source=Coordinates(topic="catalogue.changes.v1", partition=0, offset=7),
        findings=(Finding(attribute="embedder.text", reason=reason, **of_twin),),
        total=total,
        time=NOON,
    ).encode()


def shown(taken: FindingsSummary) -> list[tuple[str, str]]:
    return [(found.product_id, finding.reason) for found, finding in taken.latest]


def test_all_are_counted_also_those_without_a_name_and_the_latest_are_kept() -> None:
    assert summary().counts == {"text.empty": 1, "unnamed": 2, "text.duplicate": 1, "field.cut": 1}
    assert shown(summary(2)) == [("q", "text.duplicate"), ("q", "field.cut")]


def test_those_of_a_product_or_for_a_reason_can_be_asked_for() -> None:
    assert summary(product_id="q").counts == {"text.duplicate": 1, "field.cut": 1}
    assert shown(summary(reason="text.empty")) == [("p", "text.empty")]
    assert summary(reason="text.empty").counts == {"text.empty": 1}


def test_as_json_each_says_whose_it_is_and_who_the_other_is() -> None:
    printed = catalogue._findings_json(summary(reason="text.duplicate"))
    assert printed["counts"] == {"text.duplicate": 1}
    [finding] = printed["findings"]
    assert (finding["product_id"], finding["other"], finding["similarity"]) == ("q", "p", 1.0)
