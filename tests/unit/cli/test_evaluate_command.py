"""`headrace evaluate`, `bench`, `simulate`, `demo`: what is refused before anything is started."""

import json

import pytest

from services.lab.simulation import catalogue, shop
from services.trainer.dataset.files import write
from tests.unit.trainer.tiny import blind_model, knowing_model, tiny_dataset


@pytest.fixture
def data(tmp_path):
    catalogue.save(shop.sample(size=200, queries=5), tmp_path / "data")
    return tmp_path / "data"


def test_two_models_are_compared_only_by_themselves(headrace, data) -> None:
    done = headrace("evaluate", "--data", str(data), "--against", str(data))
    assert (done.code, done.error) == (2, "--against, --plot and --dataset go with --model")
    assert headrace("evaluate", "--data", str(data), "--plot", "x.png").code == 2


def test_two_models_are_judged_by_a_shops_own_judgements_in_figures_and_words(
    headrace, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HEADRACE_TRAINER__TERMS__LEAST", "5")
    monkeypatch.setenv("COLUMNS", "200")
    write(tiny_dataset(), tmp_path / ".headrace" / "datasets" / "tiny")
    models = [str(make(tmp_path / make.__name__)) for make in (knowing_model, blind_model)]
    options = ("--dataset", "tiny", "--model", models[0], "--against", models[1])
    report = headrace("evaluate", *options, "--json").json
    rows = {row["name"]: row for row in report["rows"]}
    assert {"nDCG@10 at 28 fp32", "condensed nDCG@10 at 28 fp32", "bpref at 28 fp32"} <= rows.keys()
    assert 0 < rows["shown@10 at hybrid"]["value"] < 1, "not everything that it finds was ever shown"
    assert rows["pessimistic nDCG@10 at hybrid"]["low"] < rows["optimistic nDCG@10 at hybrid"]["low"]
    assert len(rows) == len(report["rows"]), "every row has a name of its own"
    assert report["verdict"][0].startswith("undecided: perhaps ")
    words = headrace("evaluate", *options)
    assert words.code == 0
    assert "".join(report["verdict"][0].split()) in "".join(words.out.split())


def test_a_data_set_and_grades_of_people_do_not_go_together(headrace, data) -> None:
    done = headrace("evaluate", "--data", str(data), "--model", "x", "--dataset", "d1")
    assert (done.code, "give one" in done.error) == (2, True)


def test_data_must_be_given_and_be_there(headrace) -> None:
    done = headrace("evaluate")
    assert done.code == 2
    assert "give --data DIR with grades, or --model DIR --against DIR" in done.error
    assert "give --data DIR" in headrace("evaluate", "--model", "x").error
    done = headrace("evaluate", "--data", "nowhere")
    assert done.code == 2
    assert "nowhere" in done.usage


@pytest.mark.parametrize("name", ["queries.tsv", "qrels.tsv", "docs.jsonl.gz"])
def test_a_data_directory_that_is_not_whole_is_named_with_what_is_missing(headrace, data, name) -> None:
    (data / name).unlink()
    done = headrace("evaluate", "--data", str(data))
    assert done.code == 2
    assert f"{data / name} is missing" in done.error


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("queries.tsv", "q1\tlamp\ttoo much", "line 1: 2 columns wanted, 3 found"),
        ("qrels.tsv", "q1\tP\tgood", "a grade is a number, not 'good'"),
        ("qrels.tsv", "q1", "line 1: 3 columns wanted, 1 found"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(headrace, data, name, line, complaint) -> None:
    (data / name).write_text(f"{line}\n")
    done = headrace("evaluate", "--data", str(data))
    assert done.code == 2
    assert complaint in done.error


def test_a_model_that_could_run_code_is_refused(headrace, data, tmp_path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "modules.json").write_text("[]")
    (tmp_path / "model" / "weights.pkl").write_bytes(b"")
    done = headrace("evaluate", "--data", str(data), "--model", str(tmp_path / "model"))
    assert done.code == 2
    assert "no .safetensors weights" in done.error


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("ingest", "--products", "5"), "--products"),
        (("judgements", "--sessions", "1"), "--sessions"),
        (("learn", "--folds", "1"), "--folds"),
        (("shards", "--rows", "10"), "--rows"),
        (("drift", "--days", "1"), "--days"),
        (("drift", "--every", "0"), "--every"),
        (("ingest", "--broker", "rabbit"), "--broker"),
    ],
)
def test_a_bench_too_small_to_say_anything_is_refused(headrace, arguments, option) -> None:
    done = headrace("bench", *arguments)
    assert done.code == 2
    assert option in done.usage


def test_a_bench_on_data_that_is_not_whole_is_refused(headrace, data) -> None:
    (data / "qrels.tsv").unlink()
    done = headrace("bench", "shards", "--data", str(data))
    assert done.code == 2
    assert "qrels.tsv is missing" in done.error


@pytest.mark.parametrize(
    ("option", "value"),
    [("--sessions", "0"), ("--duplicates", "1.5"), ("--robots", "-1"), ("--rate", "0"), ("--days", "-1")],
)
def test_shares_and_counts_of_a_simulation_have_bounds(headrace, option, value) -> None:
    done = headrace("simulate", option, value)
    assert done.code == 2
    assert option in done.usage


def test_a_time_that_is_none_is_refused(headrace) -> None:
    done = headrace("simulate", "--until", "yesterday")
    assert done.code == 2
    assert "--until" in done.usage


def test_a_demo_of_a_shop_too_small_is_refused(headrace) -> None:
    assert "--products" in headrace("demo", "--products", "10").usage


def test_a_demo_does_not_start_where_an_installation_runs(headrace, tmp_path, running_here) -> None:
    running_here({"search": 1})
    done = headrace("demo", "--exit", "--products", "200")
    assert done.code == 2
    assert "an installation runs on .headrace (process " in done.error
    assert "stop it, or give --external" in done.error


def test_a_demo_in_an_unreadable_shop_is_refused(headrace, data) -> None:
    (data / "docs.jsonl.gz").unlink()
    (data / "docs.jsonl").write_text(json.dumps({"id": "x"}) + "\n")
    done = headrace("demo", "--data", str(data))
    assert done.code == 2
    assert "docs.jsonl, line 1: title" in done.error


@pytest.mark.parametrize("command", ["evaluate", "simulate", "demo"])
def test_a_grade_beyond_the_best_is_refused_with_its_line_before_anything_is_started(
    headrace, data, command
) -> None:
    lines = (data / "qrels.tsv").read_text().splitlines()
    (data / "qrels.tsv").write_text("\n".join([*lines, "q1\tP1\t5"]) + "\n")
    done = headrace(command, "--data", str(data))
    assert done.code == 2
    assert f"qrels.tsv, line {len(lines) + 1}: a grade is 0 to 3, not 5" in done.error
    assert "--highest-grade 5" in done.error
    assert "a grade is 0 to 4, not 5" in headrace(command, "--data", str(data), "--highest-grade", "4").error


def test_gains_and_scales_are_refused_where_they_say_nothing(headrace, data) -> None:
    given = ("evaluate", "--data", str(data))
    assert "are no gains" in headrace(*given, "--gains", "exp").error
    assert "--gains goes with --data" in headrace(*given, "--gains", "exp2", "--model", "x").error
    assert headrace("evaluate", "--highest-grade", "5").error == "--highest-grade goes with --data"
