import json
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from schemas.asyncapi import exports
from schemas.golden import golden
from schemas.topics import TOPICS
from schemas.validation import split, topic_named
from schemas.validation import validate as judge
from schemas.wire.change import Form
from services.cli.schemas import app
from shared.errors import ConfigurationError
from tests.data.poison import poison
from tests.schema_registries import register, stand_in

CHANGES = "catalogue.changes.v1"
GOOD = '{"product_id":"P-1","op":"upsert","version":1,"fields":{"title":"Shoe"}}'
DATA = Path(__file__).parents[2] / "data"


def validate(*arguments: str, text: str | bytes | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["validate", *arguments], input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_export_writes_every_file(tmp_path: Path):
    result = CliRunner().invoke(app, ["export", "--out", str(tmp_path / "new"), "--json"])
    assert json.loads(result.output)["files"] == sorted(exports())
    assert {file.name: file.read_text() for file in (tmp_path / "new").iterdir()} == exports()


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_golden_samples_are_fine(topic, tmp_path: Path):
    file = tmp_path / "golden.json"
    file.write_bytes(golden(topic.name))
    code, output = validate(str(file), "--topic", topic.name)
    assert (code, output[:20]) == (0, "1 message(s): 1 fine")
    assert validate("-", "--topic", f"eu.{topic.name}", text=file.read_bytes())[0] == 0


def test_each_wrong_message_of_a_file_is_explained_with_its_line(tmp_path: Path):
    file = tmp_path / "changes.jsonl"
    file.write_text(
        "\n".join([GOOD, GOOD.replace("P-1", r"P\t1"), "", GOOD, '{"op":"upsert"', '{"title":"x"}'])
    )
    code, output = validate(str(file), "--topic", CHANGES)
    lines = output.splitlines()
    assert code == 1
    assert lines[0].startswith(f"{file}:2: id.invalid: the product id 'P\\t1'")
    assert lines[1].startswith(f"{file}:5: json.invalid: ")
    assert lines[2].startswith(f"{file}:6: form.unknown: ")
    assert lines[3] == "5 message(s): 2 fine (2 plain), 3 refused"


def test_a_message_that_names_a_schema_is_read_by_it(monkeypatch):
    with stand_in() as site:
        schema_id = register(site.url, "s", "JSON", "{}")
        framed = b"\0" + schema_id.to_bytes(4, "big") + GOOD.encode().replace(b",", b",\n")
        assert "set HEADRACE_REGISTRY__URL" in validate("-", "--topic", CHANGES, text=framed)[1]
        monkeypatch.setenv("HEADRACE_REGISTRY__URL", site.url)
        assert validate("-", "--topic", CHANGES, text=framed)[0] == 0
        code, output = validate("-", "--topic", CHANGES, text=b"\0\0\0\0\7" + GOOD.encode())
        assert (code, output[:30]) == (1, "standard input:1: schema.unkno")


def test_in_one_document_the_line_is_that_of_the_field():
    text = '{\n  "action_name": "click",\n  "event_attributes": {"position": {\n    "ordinal": "first"}},\n'
    code, output = validate("-", "--topic", "search.events.v1", text=text + '  "timestamp": 1\n}\n')
    assert (code, output.partition(" ")[0]) == (1, "standard")
    assert output.startswith(
        "standard input:4: field.invalid: 'event_attributes.position.ordinal' is 'first'"
    )


def test_in_one_broken_document_the_line_is_that_of_the_parser():
    code, output = validate("-", "--topic", CHANGES, text='{\n  "op": "upsert",\n  "version": NaN\n}')
    assert code == 1
    assert output.startswith("standard input:3: json.invalid")


def test_every_form_can_be_checked_from_kcats_output(tmp_path: Path):
    lines = []
    for file in sorted((DATA / "wire").glob("*.json")):
        sample = json.loads(file.read_text())
        headers = [part for header in sample["headers"] for part in header]
        lines.append(json.dumps({"key": sample["key"], "payload": sample["value"], "headers": headers}))
    file = tmp_path / "kcat.jsonl"
    file.write_text("\n".join([*lines, "gibberish"]))
    code, output = validate(str(file), "--topic", CHANGES, "--kcat", "--json")
    report = json.loads(output)
    assert code == 1
    assert [fault["line"] for fault in report["refused"]] == [len(lines) + 1]
    assert report["forms"].keys() == set(get_args(Form))


def test_a_key_can_be_given_for_forms_that_need_it():
    row = '{"op":"u","after":{"sku":"P-1","price":1},"source":{"lsn":1}}'
    assert validate("-", "--topic", CHANGES, text=row)[0] == 1
    assert validate("-", "--topic", CHANGES, "--key", '{"sku":"P-1"}', text=row)[0] == 0


def test_poison_in_a_file_is_always_explained():
    topic = topic_named(CHANGES)
    for bad in poison():
        if bad.value is not None and not bad.headers and b"\n" not in bad.value and bad.value.strip():
            report = judge(split(bad.value, key=bad.key), topic)
            assert [(fault.line, fault.reason) for fault in report.faults] == [(1, bad.reason)], bad.name


def test_an_unknown_topic_or_file_is_a_wrong_configuration():
    with pytest.raises(ConfigurationError, match=r"there are catalogue\.changes\.v1, "):
        validate("-", "--topic", "nothing.v1", text=GOOD)
    with pytest.raises(ConfigurationError, match="cannot read"):
        validate("/no/such/file", "--topic", CHANGES)


def test_an_empty_file_is_not_fine():
    assert validate("-", "--topic", CHANGES, text="\n \n")[0] == 1
