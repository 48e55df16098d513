"""A bench of the gate that is stopped goes on after the last whole file."""

from pathlib import Path

import pytest
from rich.progress import Progress

from services.lab.benchmarks.gate import SHOP, GateBench
from services.lab.benchmarks.gate_candidates import CandidateSpec
from services.lab.benchmarks.gate_logs import LogSpec, simulated_log, taught
from services.lab.benchmarks.gate_rows import negatives_rows
from services.lab.benchmarks.gate_verdict import compared
from services.lab.simulation import shop
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.mined_negatives import graded_queries
from services.trainer.evaluation.sets import EmbeddedCorpus

LOG = LogSpec(300)
SPECS = [
    CandidateSpec("the live model itself", LOG),
    CandidateSpec("noise", LOG, noise=0.5),
    CandidateSpec("a wrong prompt", LOG, prompt="represent: "),
]


class KilledError(Exception):
    """Stands for the signal."""


class KilledAt(Progress):
    """Breaks off when a candidate's turn comes."""

    def __init__(self, name: str) -> None:
        super().__init__(disable=True)
        self._name = name

    def update(self, *arguments, **fields) -> None:
        if fields.get("description") == self._name:
            raise KilledError
        super().update(*arguments, **fields)


@pytest.fixture(scope="module")
def catalogue() -> GradedCatalogue:
    return shop.sample(size=80, queries=6)


def bench(catalogue: GradedCatalogue, work: Path, progress: Progress) -> GateBench:
    return GateBench(catalogue, work, progress, trial_sessions=500, trials=5, pool=60)


def files(work: Path) -> dict[str, int]:
    return {
        str(file.relative_to(work)): file.stat().st_mtime_ns for file in work.rglob("*") if file.is_file()
    }


@pytest.fixture(scope="module")
def killed(catalogue, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("killed")
    with pytest.raises(KilledError):
        bench(catalogue, work, KilledAt(SPECS[2].name)).outcomes(SPECS)
    return work


def test_what_was_whole_is_kept_and_the_rest_is_made(catalogue, killed, tmp_path) -> None:
    before = files(killed)
    assert len([name for name in before if "/results/" in name]) == 2
    [of_catalogue] = killed.iterdir()
    (of_catalogue / "results" / ".half.partial").write_bytes(b"{")
    outcomes = bench(catalogue, killed, Progress(disable=True)).outcomes(SPECS)
    assert [outcome.name for outcome in outcomes] == [spec.name for spec in SPECS]
    assert before.items() <= files(killed).items()
    assert outcomes == bench(catalogue, killed, Progress(disable=True)).outcomes(SPECS)


def test_what_is_made_of_one_catalogue_is_never_taken_for_that_of_another(catalogue, tmp_path) -> None:
    for of_catalogue in (catalogue, shop.sample(size=80, queries=5)):
        bench(of_catalogue, tmp_path, Progress(disable=True)).outcomes(SPECS[:1])
    assert len(list(tmp_path.iterdir())) == 2


def test_the_live_model_itself_is_no_better_and_no_worse(catalogue, killed) -> None:
    (same, *_) = bench(catalogue, killed, Progress(disable=True)).outcomes(SPECS[:1])
    assert same.hybrid.worth == "equal"
    assert (same.hybrid.mean, same.vectors.mean) == (0, 0)
    assert not same.today
    assert set(same.preference.values()) == {0}
    assert same.shown == 1, "shoppers saw exactly what it answers"


def test_the_gate_judges_the_pages_that_shoppers_saw(catalogue, tmp_path) -> None:
    made = bench(catalogue, tmp_path, Progress(disable=True))
    comparison = compared(made.log(LOG).dataset, made._live, made._live, words=made._words, shop=SHOP)
    first = next(comparison.deciding())
    assert (first.code, first.shown) == ("hybrid", (1.0, 1.0))


def test_a_log_may_be_read_in_other_ways_and_what_is_held_out_stays(catalogue) -> None:
    grades = graded_queries(catalogue)
    log = simulated_log(LOG, catalogue, ranking(catalogue), live=vectors(catalogue))
    held_out = [pair for pair in log.dataset.pairs if pair.split != "train"]
    for labels in ("judgements", "raw rates", "clicks", "grades", "shuffled"):
        data = taught(log, labels, grades, seed=1)
        assert [pair for pair in data.pairs if pair.split != "train"] == held_out
        assert data.of("train")
    for pair in taught(log, "grades", grades, seed=1).of("train"):
        assert pair.grade == grades[pair.query][pair.product_id]
    assert {pair.value for pair in taught(log, "clicks", grades, seed=1).of("train")} <= {0.0, 1.0}
    assert taught(log, "shuffled", grades, seed=1).of("train") != log.dataset.of("train")


def test_the_negatives_of_a_log_are_held_against_human_grades_beside_those_of_before(catalogue) -> None:
    grades = graded_queries(catalogue)
    log = simulated_log(LOG, catalogue, ranking(catalogue), live=vectors(catalogue))
    rows = list(negatives_rows(LOG, log, grades))
    assert [row.name for row in rows] == [
        "today: negatives: exact of graded, 300 sessions",
        "today: negatives: queries with five, 300 sessions",
        "negatives: exact of graded, 300 sessions",
        "negatives: queries with five, 300 sessions",
    ]
    for mined, row in ((log.negatives_before, rows[0]), (log.negatives, rows[2])):
        grade = [grades[query].get(item.product_id) for query, items in mined.items() for item in items]
        assert row.value == pytest.approx(grade.count(3) / max(1, len(grade) - grade.count(None)))
    for mined, row in ((log.negatives_before, rows[1]), (log.negatives, rows[3])):
        assert row.value == sum(len(items) >= 5 for items in mined.values()) / len(mined)
    assert log.negatives != log.negatives_before, "the judge has a say"
    assert sum(map(len, log.negatives_before.values())) > 0


def ranking(catalogue: GradedCatalogue) -> dict[str, list[str]]:
    return {query.id: sorted(catalogue.grades[query.id]) for query in catalogue.queries}


def vectors(catalogue: GradedCatalogue) -> EmbeddedCorpus:
    from shared.testing.encoder import FakeEncoder  # noqa: PLC0415 - of this test alone

    encoder = FakeEncoder(16)
    products = sorted(catalogue.products, key=lambda product: product.id)
    texts = [query.text for query in catalogue.queries]
    return EmbeddedCorpus(
        [product.id for product in products],
        encoder.encode_documents([product.title for product in products]),
        dict(zip(texts, encoder.encode_queries(texts), strict=True)),
    )
