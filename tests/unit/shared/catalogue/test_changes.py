"""The change that a record states: read as the wire forms say, refused with the wire's own reason."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import REASONS
from shared.catalogue.changes import reading_of
from shared.errors import PoisonError, SkippedError
from shared.records import Partition, Record
from tests.data.forms import forms
from tests.data.poison import Poison, poison
from tests.stamped import said
from tests.unit.schemas.strategies import changes

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = Partition("catalogue.changes.v1", 2)


@given(change=changes.filter(lambda change: "product_id" not in change.fields), data=st.data())
def test_a_record_of_any_form_states_its_change(change, data):
    form, wire = data.draw(st.sampled_from(list(forms(change).items())))
    reading = reading_of(Record(AT, 7, wire.key, wire.value, change.event_time, wire.headers))
    assert said(reading.change) == said(change)
    assert form.startswith(reading.form)


def test_what_the_form_does_not_state_is_the_records():
    change = reading_of(Record(AT, 7, b"P-1", b'{"op": "delete"}', NOW)).change
    assert (change.product_id, change.event_time) == ("P-1", NOW)
    assert change.stamp.appended == (int(NOW.timestamp() * 1000), 2, 7)


def test_a_connectors_own_message_is_skipped_with_its_kind_and_source():
    truncate = b'{"op": "t", "source": {"table": "products"}}'
    with pytest.raises(SkippedError) as skipped:
        reading_of(Record(AT, 7, None, truncate, NOW))
    assert (skipped.value.kind, skipped.value.source) == ("truncate", {"table": "products"})


@pytest.mark.parametrize("bad", poison()[::7], ids=lambda bad: bad.name)
def test_what_can_never_be_used_is_poison_with_the_reason_of_the_wire(bad: Poison):
    with pytest.raises(PoisonError) as refused:
        reading_of(Record(AT, 7, bad.key, bad.value, NOW, bad.headers))
    assert refused.value.reason == bad.reason
    assert refused.value.reason in REASONS
    assert str(refused.value) == f"{bad.reason}: {refused.value.explanation}"
