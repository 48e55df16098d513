"""Hypothesis strategies for every message on the bus."""

from base64 import b64encode
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.alerts import Alert
from schemas.base import Coordinates, Message
from schemas.catalogue import Acceptance, Document, ProductChange
from schemas.control import Command, Model, OffsetRange, Rollout, TrainingJob, TrialTerms
from schemas.findings import CatalogueFindings, Finding
from schemas.index import AttributeRecord, IndexRecord, Passage
from schemas.judgements import ActionStatistics, Canary, Item, Judgement, Negative, Outcome, OutcomeTrial
from schemas.loads import CatalogueLoad
from schemas.search import (
    EventAttributes,
    EventObject,
    Position,
    Ranking,
    SearchEvent,
    SearchQuery,
    TrialAnswer,
    TrialPart,
)
from schemas.trials import TrialSession

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.integers(0, 4_000_000_000_000).map(lambda number: EPOCH + timedelta(milliseconds=number))
ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
product_ids = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128).filter(
    lambda text: len(text.encode()) <= 128
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
short = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=100)
floats = st.floats(allow_nan=False, allow_infinity=False)
rates = st.floats(0, 1e6)
counts = st.integers(0, 2**40)
versions = st.integers(0, 2**63 - 1)
scalars = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), floats)
values = st.one_of(scalars, st.none(), st.lists(scalars, max_size=4).map(tuple))
names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
fields = st.dictionaries(names, values, max_size=8)
prints = st.text("0123456789abcdef", min_size=16, max_size=16)
generations = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
trial_parts = st.builds(TrialPart, generation=generations, hits=counts, took_ms=rates)
ranges = st.builds(OffsetRange, topic=ids, partition=st.integers(0, 99), start=versions, end=versions)


def optional(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(st.none(), strategy)


def tuples(strategy: st.SearchStrategy, low: int = 0) -> st.SearchStrategy:
    return st.lists(strategy, min_size=low, max_size=4).map(tuple)


written = st.builds(
    ProductChange,
    product_id=product_ids,
    op=st.sampled_from(["upsert", "patch"]),
    version=versions,
    event_time=moments,
    fields=fields,
)
deleted = st.builds(
    ProductChange,
    product_id=product_ids,
    op=st.just("delete"),
    version=versions,
    event_time=moments,
    fields=st.just({}),
)
changes = st.one_of(written, deleted)

documents = st.fixed_dictionaries(
    {
        "fields": fields,
        "versions": st.dictionaries(names, versions, max_size=3),
        "upserted": st.integers(-1, 2**63 - 1),
        "deleted": st.integers(-1, 2**63 - 1),
        "event_time": optional(moments),
    }
).map(TypeAdapter(Document).validate_python)

queries = st.builds(
    SearchQuery,
    query_id=short,
    user_query=texts,
    timestamp=moments,
    application=optional(short),
    client_id=optional(short),
    query_attributes=st.dictionaries(names, st.one_of(texts, st.booleans(), floats), max_size=3),
    query_response_id=optional(short),
    query_response_object_ids=tuples(product_ids),
    ranking=optional(
        st.builds(
            Ranking,
            generation=generations,
            fingerprint=prints,
            mode=texts,
            scores=tuples(floats),
            similarities=tuples(floats),
            vector=st.binary(max_size=16).map(lambda raw: b64encode(raw).decode()),
            took_ms=rates,
            trial=optional(
                st.builds(
                    TrialAnswer,
                    trial=ids,
                    arm=st.sampled_from(["interleaved", "rest"]),
                    teams=st.text("AB", max_size=3),
                    ranks=tuples(st.tuples(st.integers(0, 1000), st.integers(0, 1000))),
                    parts=tuples(trial_parts),
                )
            ),
            explored=tuples(st.integers(1, 1000)),
        )
    ),
)
events = st.builds(
    SearchEvent,
    action_name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=100),
    timestamp=moments,
    query_id=optional(short),
    event_id=optional(short),
    session_id=optional(short),
    user_query=optional(texts),
    message=optional(texts),
    event_attributes=st.builds(
        EventAttributes,
        object=optional(
            st.builds(EventObject, object_id=optional(product_ids), object_id_field=optional(short))
        ),
        position=optional(st.builds(Position, ordinal=optional(st.integers(0, 100_000)))),
    ),
)
models = st.builds(
    Model,
    model_id=ids,
    fingerprint=prints,
    location=texts,
    dimensions=st.integers(1, 8192),
    base_fingerprint=optional(prints),
    verdict=st.sampled_from(["admitted", "refused", "undecided", "imported"]),
    kind=st.sampled_from(["encoder", "reranker", "late-interaction"]),
    reasons=tuples(texts),
    trial_sessions=optional(st.integers(1, 10**9)),
    metrics=st.dictionaries(texts, floats, max_size=3),
    dense_weight=optional(st.floats(0, 1)),
    threshold=optional(floats),
    dataset=texts,
    lineage=tuples(ranges),
    created_at=moments,
)
terms = st.builds(
    TrialTerms,
    share=st.floats(0.01, 0.8),
    sessions=optional(st.integers(1, 10**6)),
    days=st.integers(1, 365),
    window_seconds=st.integers(1, 24 * 3600),
    objective=st.dictionaries(texts, st.floats(0, 1000), max_size=3),
    error=st.floats(0.001, 0.4),
    equal=st.floats(0.001, 0.5),
    promote=st.sampled_from(["at once", "when asked"]),
)
MESSAGES: dict[type[Message], st.SearchStrategy] = {
    ProductChange: changes,
    CatalogueLoad: st.builds(
        CatalogueLoad,
        source=product_ids,
        load_id=ids,
        status=st.sampled_from(["begun", "done"]),
        began_at=optional(moments),
        log=texts,
        ranges=tuples(ranges),
        products=counts,
        deleted=counts,
    ),
    Acceptance: st.builds(Acceptance, source=short, since=moments, reason=texts, requested_at=moments),
    CatalogueFindings: st.builds(
        CatalogueFindings,
        product_id=product_ids,
        source=st.builds(Coordinates, topic=ids, partition=st.integers(0, 99), offset=versions),
        findings=tuples(
            st.builds(
                Finding,
                attribute=texts,
                reason=texts,
                explanation=texts,
                other=optional(product_ids),
                similarity=optional(st.floats(0, 1)),
            ),
            1,
        ),
        total=st.integers(1, 10**6),
        time=moments,
        generation=ids,
        content_hash=texts,
    ),
    SearchQuery: queries,
    SearchEvent: events,
    Outcome: st.builds(
        Outcome,
        query=texts,
        user_query=texts,
        query_id=texts,
        action=texts,
        items=tuples(st.builds(Item, product_id=product_ids, position=st.integers(0, 100_000))),
        shopper=prints,
        generation=optional(generations),
        trial=optional(
            st.builds(
                OutcomeTrial,
                trial=ids,
                arm=st.sampled_from(["interleaved", "rest"]),
                session=prints,
                client=prints,
                asked_at=moments,
                acted_at=moments,
                page=st.integers(0, 99),
                products=tuples(product_ids),
                teams=st.text("AB-", max_size=3),
                places=st.tuples(counts, counts),
                parts=tuples(trial_parts),
            )
        ),
        event_time=moments,
        incarnation=versions,
        origin=st.integers(0, 99),
        sequence=versions,
    ),
    Judgement: st.builds(
        Judgement,
        query=texts,
        product_id=product_ids,
        window_start=st.dates(date(1970, 1, 1)),
        window_end=st.dates(date(1970, 1, 1)),
        impressions=counts,
        shoppers=counts,
        actions=st.dictionaries(
            texts,
            st.builds(ActionStatistics, count=counts, expected=rates, prior=rates, rate=rates),
            max_size=3,
        ),
        value=rates,
        grade=st.floats(0, 3),
        updated_at=moments,
    ),
    Canary: st.builds(
        Canary,
        canary_id=ids,
        query=short,
        product_ids=tuples(product_ids, 1),
        k=st.integers(1, 1000),
        minimum_recall=optional(st.floats(0, 1)),
    ),
    Negative: st.builds(
        Negative,
        query=texts,
        product_id=product_ids,
        difficulty=st.sampled_from(["easy", "medium", "hard"]),
        score=floats,
        positive_score=floats,
        rank=st.integers(1, 1000),
        skipped=st.booleans(),
        source=st.sampled_from(["", "dense", "lexical", "both"]),
        partition=optional(st.integers(0, 99)),
        offset=optional(versions),
        generation=generations,
        fingerprint=prints,
        mined_at=moments,
    ),
    TrainingJob: st.builds(
        TrainingJob,
        job_id=ids,
        status=st.sampled_from(["requested", "leased", "running", "succeeded", "failed", "superseded"]),
        reason=st.sampled_from(["periodic", "drift", "volume", "manual"]),
        kind=st.sampled_from(["encoder", "reranker", "late-interaction"]),
        base_model=texts,
        seed=counts,
        data=tuples(ranges),
        options=st.dictionaries(texts, scalars, max_size=3),
        dataset=texts,
        model_id=optional(ids),
        stage=texts,
        attempt=counts,
        progress=st.floats(0, 1),
        updated_at=moments,
    ),
    Model: models,
    Rollout: st.builds(
        Rollout,
        request_id=optional(ids),
        status=st.sampled_from(["requested", "running", "done", "refused"]),
        action=st.sampled_from(
            ["backfill", "shadow", "trial", "stop", "ramp", "promote", "rollback", "retire"]
        ),
        generation=generations,
        model_id=optional(ids),
        model=optional(models),
        force=st.booleans(),
        weights=st.dictionaries(generations, st.floats(0, 1), max_size=3),
        trial=optional(terms),
        end=optional(st.sampled_from(["better", "worse", "no difference", "not enough sessions"])),
        reason=texts,
        requested_at=moments,
    ),
    TrialSession: st.builds(
        TrialSession,
        trial=ids,
        session=prints,
        client=prints,
        arm=st.sampled_from(["interleaved", "rest"]),
        began_at=moments,
        answers=counts,
        drafted=counts,
        score=st.floats(-1, 1),
        acted=counts,
        places=st.tuples(counts, counts),
        empty=st.tuples(counts, counts),
        took_ms=st.tuples(rates, rates),
    ),
    Alert: st.builds(
        Alert,
        alert_key=ids,
        status=st.sampled_from(["firing", "updated", "resolved"]),
        severity=st.sampled_from(["info", "warning", "critical"]),
        summary=texts,
        cause=st.sampled_from(["bug", "drift", "unknown"]),
        action=texts,
        evidence=st.dictionaries(names, st.one_of(texts, counts, floats, tuples(texts)), max_size=3),
        resolution=st.sampled_from(["automatic", "manual"]),
        generation=optional(generations),
        started_at=moments,
        updated_at=moments,
    ),
    Command: st.builds(
        Command,
        command_id=ids,
        name=st.sampled_from(["canaries.run", "shards.snapshot", "shards.rebuild", "log.level"]),
        worker=texts,
        arguments=st.dictionaries(texts, texts, max_size=3),
        requested_at=moments,
    ),
    IndexRecord: st.builds(
        IndexRecord,
        product_id=product_ids,
        document=documents,
        text=texts,
        language=st.sampled_from(["", "de", "zh-Hant", "pt-BR"]),
        content_hash=texts,
        fingerprint=prints,
        dimensions=st.integers(1, 8192),
        passages=tuples(st.builds(Passage, start=counts, end=counts)),
        vectors=st.binary(max_size=64),
        source=st.builds(Coordinates, topic=ids, partition=st.integers(0, 99), offset=versions),
        epoch=counts,
        event_time=moments,
    ),
    AttributeRecord: st.builds(
        AttributeRecord,
        product_id=product_ids,
        changes=documents,
        content_hash=texts,
        fingerprint=prints,
        source=st.builds(Coordinates, topic=ids, partition=st.integers(0, 99), offset=versions),
        epoch=counts,
        event_time=moments,
    ),
}
