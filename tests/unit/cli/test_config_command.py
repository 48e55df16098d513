"""`headrace config show`: every setting, its value, and where it came from."""

import pytest

from shared.infrastructure.workers import WORKERS


def test_every_setting_has_a_value_and_a_source(headrace) -> None:
    done = headrace("config", "show", "--json")
    assert done.code == 0
    assert all(set(row) == {"value", "source"} for row in done.json.values())
    assert {row["source"] for row in done.json.values()} == {"default", "environment"}
    assert done.json["kafka"]["source"] == "environment"
    assert {f"{spec.kind}.port" for spec in WORKERS} <= done.json.keys()


def test_a_section_is_shown_alone(headrace) -> None:
    names = headrace("config", "show", "judgements", "--json").json
    assert names
    assert all(name.startswith("judgements.") for name in names)


def test_only_what_was_changed_is_shown(headrace, monkeypatch) -> None:
    monkeypatch.setenv("HEADRACE_SEARCH__PORT", "8888")
    done = headrace("config", "show", "--changed", "--json")
    assert done.json["search.port"] == {"value": "8888", "source": "environment"}
    assert set(done.json) == {"kafka", "redis", "search.port"}


def test_the_table_says_which_variable_sets_it(headrace, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    done = headrace("config", "show", "log", "--wide")
    assert done.lines[0] == "setting value from variable"
    assert "log.level info default HEADRACE_LOG__LEVEL" in done.lines


def test_the_table_fits_the_terminal_and_cuts_no_name_and_no_value(headrace) -> None:
    done = headrace("config", "show")
    assert done.fits()
    assert "…" not in done.out
    assert "search.reranker.budget 150ms default" in done.lines


def test_a_file_named_on_the_command_line_is_read(headrace, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HEADRACE_CONFIG", "")  # --config sets it: it must be as it was afterwards
    (tmp_path / "own.toml").write_text("partitions = 7\n")
    done = headrace("--config", str(tmp_path / "own.toml"), "config", "show", "--changed", "--json")
    assert done.json["partitions"] == {"value": "7", "source": "file"}


@pytest.mark.parametrize("value", ["HEADRACE_PARTITION", "HEADRACE_SEARCH__PROT"])
def test_a_secret_is_never_printed(headrace, monkeypatch, value) -> None:
    monkeypatch.setenv("HEADRACE_SEARCH__TOKENS", '["hunter2"]')
    monkeypatch.setenv("HEADRACE_REDIS", "redis://:hunter2@127.0.0.1:1/0")
    for form in ((), ("--json",)):
        assert "hunter2" not in headrace("config", "show", *form).out
