"""`headrace schemas export | validate`: schemas as files, and what is wrong with a message, with its line."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.topics import TOPICS

GOLDEN = Path(__file__).parents[3] / "schemas" / "golden"
CHANGE = '{"product_id": "p", "op": "upsert", "version": 1, "fields": {"title": "Lamp"}}'
TOPIC = "catalogue.changes.v1"


def test_the_export_has_a_file_for_each_message_and_one_for_all(headrace, tmp_path) -> None:
    done = headrace("schemas", "export", "--out", str(tmp_path / "out"), "--json")
    assert done.code == 0
    assert set(done.json) == {"folder", "files"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == done.json["files"]
    schemas = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")]
    assert all(schemas)


def test_the_export_says_how_many_files_it_wrote_and_where(headrace, tmp_path) -> None:
    done = headrace("schemas", "export")
    count = len(list((tmp_path / "schemas" / "export").iterdir()))
    assert done.out == f"{count} files in schemas/export\n"
    before = {path.name: path.read_bytes() for path in (tmp_path / "schemas" / "export").iterdir()}
    headrace("schemas", "export")
    assert {path.name: path.read_bytes() for path in (tmp_path / "schemas" / "export").iterdir()} == before


@pytest.mark.parametrize("topic", sorted({topic.name for topic in TOPICS if not topic.name.endswith(".dlq")}))
def test_the_golden_sample_of_a_topic_is_fine(headrace, topic) -> None:
    sample = GOLDEN / f"{topic}.json"
    if not sample.exists():
        sample = GOLDEN / f"{topic.rpartition('.')[0]}.json"
    done = headrace("schemas", "validate", str(sample), "--topic", topic)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("1 message(s): 1 fine")


def test_each_line_is_a_message_and_a_bad_one_is_named_with_its_line(headrace, tmp_path) -> None:
    file = tmp_path / "changes.jsonl"
    file.write_text(f'{CHANGE}\n{{"product_id": "p"\n{CHANGE}\n')
    done = headrace("schemas", "validate", str(file), "--topic", TOPIC)
    assert done.code == 1
    assert done.out.splitlines()[0].startswith(f"{file}:2: json.invalid: ")
    assert done.out.splitlines()[1].startswith("3 message(s): 2 fine")
    assert "1 refused" in done.out


def test_the_report_as_json_has_its_keys(headrace, tmp_path) -> None:
    (tmp_path / "changes.jsonl").write_text(f'{CHANGE}\n{{"op": "explode"}}\n')
    done = headrace("schemas", "validate", "changes.jsonl", "--topic", TOPIC, "--json")
    assert done.code == 1
    assert set(done.json) == {"topic", "messages", "refused", "forms", "texts_cut", "left_out"}
    assert (done.json["topic"], done.json["messages"]) == (TOPIC, 2)
    [fault] = done.json["refused"]
    assert {"line", "reason", "explanation"} <= set(fault)
    assert fault["line"] == 2


def test_standard_input_is_read_for_a_dash(headrace, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{")))
    done = headrace("schemas", "validate", "-", "--topic", TOPIC)
    assert done.code == 1
    assert done.out.startswith("standard input:1: json.invalid")


def test_what_kcat_prints_is_read_with_its_keys(headrace, tmp_path) -> None:
    line = {"topic": TOPIC, "partition": 0, "offset": 1, "ts": 1, "key": "p", "payload": CHANGE}
    (tmp_path / "kcat.jsonl").write_text(json.dumps(line) + "\n")
    done = headrace("schemas", "validate", "kcat.jsonl", "--topic", TOPIC, "--kcat", "--json")
    assert done.code == 0
    assert (done.json["messages"], done.json["refused"]) == (1, [])


def test_a_key_names_the_product_where_the_message_does_not(headrace, tmp_path) -> None:
    (tmp_path / "message.json").write_text('{"op": "delete", "version": 3}')
    without = headrace("schemas", "validate", "message.json", "--topic", TOPIC)
    named = headrace("schemas", "validate", "message.json", "--topic", TOPIC, "--key", "SHOE-1")
    assert (without.code, named.code) == (1, 0)


def test_an_empty_file_is_no_success(headrace, tmp_path) -> None:
    (tmp_path / "empty").write_text("")
    assert headrace("schemas", "validate", "empty", "--topic", TOPIC).code == 1


def test_a_text_that_would_be_cut_is_said(headrace, tmp_path) -> None:
    change = {"product_id": "p", "op": "upsert", "version": 1, "fields": {"title": "x" * 40_000}}
    (tmp_path / "long.json").write_text(json.dumps(change))
    done = headrace("schemas", "validate", "long.json", "--topic", TOPIC)
    assert "1 texts are longer than 32 KiB and would be cut" in done.out


def test_a_topic_that_there_is_not_is_answered_with_those_that_there_are(headrace, tmp_path) -> None:
    (tmp_path / "a.json").write_text(CHANGE)
    done = headrace("schemas", "validate", "a.json", "--topic", "catalog.changes")
    assert done.code == 2
    assert "no topic 'catalog.changes'; there are " in done.error
    assert TOPIC in done.error


def test_a_file_that_cannot_be_read_is_named_with_why(headrace) -> None:
    done = headrace("schemas", "validate", "missing.json", "--topic", TOPIC)
    assert (done.code, done.error) == (2, "cannot read missing.json: No such file or directory")
