"""What the pages show is what the contracts accept."""

import re
from datetime import UTC, datetime
from typing import get_args

import pytest

from schemas.alerts import Alert
from schemas.catalogue import Acceptance
from schemas.control import Command, Model, Rollout, TrainingJob
from schemas.findings import CatalogueFindings
from schemas.judgements import Canary, Judgement, Negative
from schemas.loads import CatalogueLoad
from schemas.search_api import SearchRequest
from schemas.topics import all_topics
from schemas.trials import TrialSession
from schemas.wire import decode_event, decode_query, read_change
from schemas.wire.change import Form
from services.judgements.domain.judgement import follows
from services.judgements.domain.statistics import BusinessObjective
from tests.architecture.pages import PAGES, ROOT

README = (ROOT / "README.md").read_text("utf-8")
WRITTEN = "\n".join(page.read_text("utf-8") for page in PAGES)
TOPICS = (ROOT / "docs" / "search-engineer.md").read_text("utf-8")
DERIVED = (".dlq", ".repartition")
ROWS = dict(re.findall(r"^\| `([a-z.]+v1)` \|.*\| `(\{.*\})`.*\|$", TOPICS, re.MULTILINE))


def change(value):
    return read_change(key=b"k", value=value, headers=(), timestamp=datetime.now(UTC), offset=0).change


READERS = {
    "catalogue.changes.v1": change,
    "search.events.v1": decode_event,
    "search.queries.v1": decode_query,
    "canaries.v1": Canary.decode,
    "search.judgements.v1": Judgement.decode,
    "alerts.v1": Alert.decode,
    "catalogue.findings.v1": CatalogueFindings.decode,
    "control.commands.v1": Command.decode,
    "training.negatives.v1": Negative.decode,
    "training.jobs.v1": TrainingJob.decode,
    "models.v1": Model.decode,
    "rollout.v1": Rollout.decode,
    "catalogue.acceptances.v1": Acceptance.decode,
    "catalogue.loads.v1": CatalogueLoad.decode,
    "trial.sessions.v1": TrialSession.decode,
}


@pytest.mark.parametrize("topic", READERS)
def test_the_example_of_a_topic_is_a_message_of_that_topic(topic):
    assert READERS[topic](ROWS[topic].encode()) is not None


def test_the_figures_of_the_judgement_follow_from_its_counts():
    assert follows(Judgement.decode(ROWS[Judgement.topic].encode()), BusinessObjective())


def test_every_example_of_a_topic_is_checked():
    assert ROWS.keys() == READERS.keys()


def test_every_topic_has_its_row():
    shown = set(re.findall(r"^\| `([^`]+)` \|", TOPICS, re.MULTILINE))
    missing = {
        topic.name
        for topic in all_topics("g1")
        if topic.name not in shown
        and not topic.name.startswith("index.")
        and not topic.name.endswith(DERIVED)
    }
    assert missing == set()
    assert {"index.records.<generation>", "<topic>.repartition", "<topic>.dlq"} <= shown


def test_every_form_of_a_change_is_named():
    [section] = re.findall(r"^## Catalogue changes\n(.*?)^## ", TOPICS, re.MULTILINE | re.DOTALL)
    assert {form for form in get_args(Form) if form not in section.lower()} == set()


def test_the_first_page_stays_a_page():
    assert len(README.encode()) <= 9_000


def test_what_is_published_by_hand_is_accepted():
    [published] = re.findall(r"echo '(\{\"product_id.*\})'", README)
    [clicked] = re.findall(r"echo '(\{\"action_name.*\})'", README)
    assert change(published.encode()).fields["price"] == 99.5
    by_the_shell = {"'$(date -u +%FT%TZ)'": "2026-11-20T09:31:12Z", "'$QUERY'": "q-1"}
    for written, put in by_the_shell.items():
        clicked = clicked.replace(written, put)
    assert decode_event(clicked.encode()).action_name == "click"
    requests = re.findall(r"-d '(\{.*\})'", WRITTEN)
    assert len([SearchRequest.model_validate_json(request) for request in requests]) >= 2
