"""What the router is told of a catalogue change."""

from datetime import UTC, datetime

import pytest

from schemas.alerts import Alert
from schemas.findings import CatalogueFindings
from services.embedder.routing import describe
from shared.errors import PoisonError, SkippedError
from shared.records import Partition, Record

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = Partition("catalogue.changes.v1", 2)


def test_a_change_is_about_its_product_and_what_was_left_out_of_it_is_a_remark():
    value = (
        '{"product_id": "STÜHLE-1", "op": "upsert", "fields": {"a": "Stuhl", "ean": 99999999999999999999}}'
    )
    subject, [remark] = describe(Record(AT, 7, None, value.encode(), NOW))
    assert subject == remark.key == "STÜHLE-1".encode()
    findings = CatalogueFindings.decode(remark.value or b"")
    assert (remark.topic, findings.source.offset, findings.total) == ("catalogue.findings.v1", 7, 1)


def test_of_a_change_that_was_taken_whole_nothing_is_remarked():
    assert describe(Record(AT, 7, b"P-1", b'{"op": "delete"}', NOW)) == (b"P-1", ())


def test_what_is_no_change_is_about_nothing():
    with pytest.raises(SkippedError):
        describe(Record(AT, 7, None, b'{"ts_ms": 1}', NOW))
    with pytest.raises(PoisonError):
        describe(Record(AT, 7, None, b"{", NOW))


def test_a_table_that_was_emptied_is_an_alert_and_about_no_product():
    value = b'{"op": "t", "source": {"db": "shop", "schema": "public", "table": "goods"}}'
    subject, [remark] = describe(Record(AT, 7, None, value, NOW))
    alert = Alert.decode(remark.value or b"")
    assert (subject, remark.topic) == (None, "alerts.v1")
    assert (alert.alert_key, alert.status, alert.resolution) == (
        "truncated:shop.public.goods",
        "firing",
        "manual",
    )
    assert "shop.public.goods was emptied" in alert.summary
    assert "`headrace catalogue accept --truncate catalogue.changes.v1-2@7`" in alert.action
    assert alert.evidence["offset"] == 7


def test_a_name_without_end_is_not_repeated_in_the_alert():
    value = b'{"op": "t", "source": {"table": "%b"}}' % (b"x" * 100_000)
    _, [remark] = describe(Record(AT, 7, None, value, NOW))
    assert len(remark.value or b"") < 2_000


def test_a_table_without_a_name_that_a_key_may_have_is_an_alert_too():
    for source in (b"{}", b'{"table": "St\xc3\xbchle 1"}'):
        _, [remark] = describe(Record(AT, 7, None, b'{"op": "t", "source": ' + source + b"}", NOW))
        assert Alert.decode(remark.value or b"").alert_key.startswith("truncated:")
