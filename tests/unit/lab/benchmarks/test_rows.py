"""The rows of each report, from figures."""

import pytest

from services.lab.benchmarks.click_model_ablation import SHOWN
from services.lab.benchmarks.click_model_ablation import rows as taste_rows
from services.lab.benchmarks.freshness import Ages
from services.lab.benchmarks.harness import Moment
from services.lab.benchmarks.ingest import Bounds, Phase, price_changes, refuse_inference, throughput
from services.lab.benchmarks.judgements import JudgementRun, quiet
from services.lab.benchmarks.judgements import rows as judgement_rows
from services.lab.report import BenchReport
from services.lab.simulation.catalogue import ShopProduct
from services.lab.simulation.truth import Agreement
from shared.errors import FatalError

CPU = {"embedder": 2.0, "shards": 1.0, "valkey": 1.0}
TO_RECORDS = {"embedder": 1.5, "shards": 0.5, "valkey": 0.5}
NAMES = {"documents", "price changes", "price changes to records", "freshness p50", "freshness p99"}


def phase(messages=1000, seconds=2.0, texts=0.0):
    return Phase(messages, seconds, CPU, texts, float(messages), cpu_to_records=TO_RECORDS)


def run(sessions, raw, corrected):
    return JudgementRun(
        sessions,
        8000,
        4.0,
        {"judgements": 3.0, "valkey": 1.0},
        0,
        500,
        {least: agreed(raw, corrected) for least in SHOWN},
    )


def agreed(raw, corrected):
    return Agreement("raw", 100, 10, raw, raw), Agreement("corrected", 100, 10, corrected, corrected)


def by_name(rows):
    return {row.name: row for row in rows}


def test_documents_are_held_against_the_bare_loop_on_the_same_texts():
    rows = by_name(throughput(phase(), phase(), phase(), Bounds(1.0, 100.0, 2000)))
    assert rows["documents"].value == 500
    assert rows["documents"].bound == 1000
    assert rows["documents"].ratio == pytest.approx(0.5)


def test_the_peer_is_counted_in_documents_when_a_document_has_several_texts():
    rows = by_name(throughput(phase(), phase(), phase(), Bounds(1.0, 100.0, 2000)))
    assert rows["documents, peer"].ratio == pytest.approx(10)


def test_the_names_that_must_stay_are_there():
    rows = throughput(phase(), phase(), phase(), Bounds(1.0, 100.0, 1000)) + Ages().rows()
    assert {row.name for row in rows} >= NAMES


def test_price_changes_are_told_a_cpu_second_as_far_as_the_records_and_to_the_end():
    rows = by_name(throughput(phase(), phase(), phase(), Bounds(1.0, 100.0, 1000)))
    assert (rows["price changes"].value, rows["price changes to records"].value) == (250, 500)


def test_what_a_document_costs_beyond_the_model_is_told():
    rows = by_name(throughput(phase(), phase(), phase(), Bounds(1.0, 100.0, 1000, bare_cpu=1.5)))
    assert rows["documents, CPU beyond the model"].value == pytest.approx(2.5)


def test_cpu_is_told_by_process_and_stage():
    stages = {"embedder": {"merge": 1.25, "plan": 0.001}}
    told = Phase(10, 1.0, CPU, 0.0, 10.0, stages).cpu_note
    assert told == "CPU-seconds: embedder 2.0 (merge 1.25), shards 1.0, valkey 1.0"


def test_a_price_change_that_was_embedded_fails_the_bench():
    with pytest.raises(FatalError, match="3 texts were embedded"):
        refuse_inference("price changes", phase(texts=3.0))


def test_price_changes_change_nothing_but_the_price_and_every_round_anew():
    changes = price_changes([ShopProduct(id="a", title="A", price=2.0)], 7)
    assert all(change.op == "patch" and set(change.fields) == {"price"} for change in changes)
    assert len({change.fields["price"] for change in changes}) == len(changes)
    assert [change.version for change in changes] == sorted({change.version for change in changes})


def test_the_corrected_rate_is_held_against_raw_ctr_at_every_log_size():
    rows = by_name(judgement_rows([run(10, 0.5, 0.6), run(90, 0.6, 0.9)]))
    assert rows["events per CPU-second"].value == 2000
    assert rows["published rate, 10 sessions, shown 1+"].ratio == pytest.approx(1.2)
    assert rows["published rate, 90 sessions, shown 20+"].ratio == pytest.approx(1.5)


def test_several_runs_are_averaged_and_those_that_were_better_counted():
    [row] = taste_rows("rate", [{5: agreed(0.4, 0.6)}, {5: agreed(0.6, 0.5)}])
    assert (row.name, row.value, row.bound) == ("rate, shown 5+", pytest.approx(0.55), pytest.approx(0.5))
    assert "better in 1 of 2 runs" in row.note


def test_the_end_of_the_work_is_its_last_change_not_when_it_was_noticed():
    steps = iter([(0, 0), (1, 40), (2, 100), (4, 100), (6, 100), (11, 100)])

    def look():
        time, applied = next(steps)
        return Moment(time, {"judgements": {"headrace_applied_total": applied}}, {"judgements": 0.0})

    assert quiet(look, look(), least=100).time == 2


def test_json_has_the_shape_that_others_read():
    report = BenchReport("ingest", throughput(phase(), phase(), phase(), Bounds(1.0, 100.0, 1000)))
    found = report.json()
    assert set(found) == {"name", "commit", "machine", "rows"}
    assert all({"name", "value", "unit"} <= set(row) for row in found["rows"])
    assert {"bound", "ratio"} <= set(found["rows"][0])
