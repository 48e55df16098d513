"""Which generation answers: the live one, unless its model is not loaded yet and the one before can."""

from datetime import UTC, datetime

import pytest

from schemas.alerts import Alert
from schemas.control import Model, Rollout
from services.monitor.drift.domain.findings import key_of
from services.monitor.drift.domain.signals import MODEL_SIGNALS
from services.search.generation import ServedGenerations
from shared.generations.fitted import FITTED_ON, FittedParameters
from shared.generations.state import Ledger
from shared.http.problem import Refusal

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = Model(
    model_id="m",
    fingerprint="0" * 16,
    location="/m",
    dimensions=3,
    verdict="admitted",
    dense_weight=0.7,
    threshold=0.4,
    created_at=NOW,
)


class Encoder:
    def __init__(self, reason=None):
        self.reason = reason

    def missing(self):
        return self.reason


class World:
    """What search follows, and what it has loaded."""

    def __init__(self, *answers):
        self.ledger = Ledger()
        self.running = {}
        for action, generation, status in answers:
            model = MODEL if status == "running" else None
            answer = Rollout(
                request_id=f"{action}-{generation}",
                status=status,
                action=action,
                generation=generation,
                model=model,
                requested_at=NOW,
            )
            self.ledger = self.ledger.take(answer, offset=0)

    @property
    def generations(self):
        return self.ledger.generations.founded("g1")


PROMOTED = (
    ("promote", "g1", "done"),
    ("backfill", "g2", "running"),
    ("backfill", "g2", "done"),
    ("promote", "g2", "done"),
)


def test_the_live_generation_answers_unless_another_is_asked_for():
    world = World()
    found = ServedGenerations(world, world, {})
    assert (found.choose(None), found.choose("g1")) == ("g1", "g1")
    assert found.missing() == "no model of generation g1 is loaded"
    world.running["g1"] = Encoder()
    assert found.missing() is None


def test_a_generation_that_there_is_not_is_the_clients_error_and_those_there_are_are_named():
    world = World(*PROMOTED, ("retire", "g1", "done"))
    found = ServedGenerations(world, world, {})
    for name in ("g1", "g9"):
        with pytest.raises(Refusal, match=f"no generation {name}") as refused:
            found.choose(name)
        assert (refused.value.status, refused.value.code) == (422, "generation.unknown")
        assert "g2" in refused.value.fix
    assert found.choose("g2") == "g2"


def test_until_the_new_models_encoder_is_loaded_the_generation_before_answers():
    world = World(*PROMOTED)
    world.running = {"g1": Encoder(), "g2": Encoder("loading")}
    found = ServedGenerations(world, world, {})
    assert (found.choose(None), found.choose("g2")) == ("g1", "g2")
    world.running["g2"] = Encoder()
    assert found.choose(None) == "g2"
    world.running = {}
    assert found.choose(None) == "g2"


def test_each_generation_has_what_was_fitted_with_its_model():
    world = World(*PROMOTED)
    found = ServedGenerations(world, world, {})
    assert [found.fitted(it) for it in ("g1", "g2", "g9")] == [
        FittedParameters(),
        FittedParameters(0.7, 0.4),
        FittedParameters(),
    ]


@pytest.mark.parametrize(
    ("key", "status", "void"),
    [
        ("drift:g2:query-embeddings", "firing", True),
        ("drift:g2:document-embeddings", "updated", True),
        ("drift:g2:query-embeddings", "resolved", False),
        ("drift:g1:query-embeddings", "firing", False),
        ("drift:g2:ann-recall", "firing", False),
    ],
)
def test_what_was_fitted_is_void_while_queries_or_documents_have_drifted(key, status, void):
    alert = Alert(
        alert_key=key,
        status=status,
        severity="warning",
        summary="it drifts",
        action="train",
        started_at=NOW,
        updated_at=NOW,
    )
    world = World(*PROMOTED)
    found = ServedGenerations(world, world, {key.encode(): alert.encode()})
    assert found.fitted("g2") == (FittedParameters() if void else FittedParameters(0.7, 0.4))


def test_what_makes_void_is_said_by_the_monitor_under_these_keys():
    assert set(FITTED_ON) <= set(MODEL_SIGNALS)
    assert [key_of("g2", it) for it in FITTED_ON] == [f"drift:g2:{it}" for it in FITTED_ON]


def test_what_is_no_alert_makes_nothing_void():
    world = World(*PROMOTED)
    assert ServedGenerations(world, world, {b"drift:g2:query-embeddings": b"{"}).fitted(
        "g2"
    ) == FittedParameters(0.7, 0.4)
