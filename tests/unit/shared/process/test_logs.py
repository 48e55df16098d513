"""Log lines: one format for ours and the libraries', no chatter, no floods, and nothing lost that matters."""

import json
import logging
from itertools import pairwise

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared.process import logs
from shared.process.logs import RateLimit, configure
from shared.settings import LogSettings


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    """Return what was logged since the last call, a dictionary a line."""

    def since() -> list[dict[str, object]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return since


def as_json(level: str = "info") -> None:
    configure(LogSettings(format="json", level=level), worker="shards")


def line(name: str, message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, (), None)


def test_an_event_is_one_line_of_json_with_its_fields_its_worker_and_its_time(lines):
    as_json()
    structlog.get_logger().info("segment.sealed", shard=3, rows=8192)
    [event] = lines()
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "segment.sealed", "shard": 3, "rows": 8192, "worker": "shards", "level": "info"}


def test_a_librarys_line_has_the_same_form(lines):
    as_json()
    logging.getLogger("some.library").warning("it is %s", "late")
    [event] = lines()
    assert (event["event"], event["level"], event["worker"]) == ("it is late", "warning", "shards")


def test_an_exception_is_in_the_line_with_its_trace(lines):
    as_json()
    try:
        {}["shard"]
    except KeyError:
        structlog.get_logger().exception("shard.failed")
    [event] = lines()
    assert event["event"] == "shard.failed"
    assert "KeyError: 'shard'" in str(event["exception"])


def test_on_a_console_the_line_is_for_people(capsys):
    configure(LogSettings(format="console"), worker="shards")
    structlog.get_logger().warning("segment.sealed", shard=3)
    shown = capsys.readouterr().err
    assert "[warning  ] segment.sealed" in shown
    assert "shard=3" in shown
    assert "\x1b" not in shown  # no colours where there is no terminal


@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_below_the_level_is_not_heard(lines, level, heard):
    as_json(level)
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert len(lines()) == heard


@pytest.mark.parametrize("library", ["aiokafka.test", "faust", "httpx", "uvicorn"])
def test_libraries_speak_up_from_a_warning_on(lines, library):
    as_json()
    logging.getLogger(library).info("joined the group")
    assert lines() == []
    logging.getLogger(library).warning("left the group")
    assert len(lines()) == 1


def test_a_client_that_repeats_itself_is_heard_once_a_while(lines):
    logging.getLogger("aiokafka.test")  # there before: it is found by its name
    as_json()
    for number in range(50):
        logging.getLogger("aiokafka.test").warning("Unable to connect to node %d", number)
    assert len(lines()) == 1


def test_configuring_again_replaces_what_was_before(lines):
    as_json()
    as_json()
    structlog.get_logger().info("worker.started")
    assert len(lines()) == 1


# The limit


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(logs, "monotonic", watch)
    return watch


def test_a_line_of_a_kind_passes_again_when_its_time_is_over(watch):
    limit = RateLimit(10)
    passed = []
    for second in range(0, 31, 5):
        watch.seconds = 1_000.0 + second
        passed.append(limit.filter(line("kafka", "away")))
    assert passed == [True, False, True, False, True, False, True]


def test_kinds_are_told_apart_by_logger_and_template_and_not_by_what_is_filled_in(watch):
    limit = RateLimit(10)
    assert limit.filter(line("kafka.a", "node %d is away"))
    assert not limit.filter(line("kafka.a", "node %d is away"))
    assert limit.filter(line("kafka.b", "node %d is away"))
    assert limit.filter(line("kafka.a", "node %d is back"))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(0, 30)), max_size=40))
def test_of_each_kind_no_two_lines_that_pass_are_nearer_than_the_limit(flood):
    watch, limit = Watch(), RateLimit(10)
    monotonic, logs.monotonic = logs.monotonic, watch
    try:
        passed: dict[str, list[float]] = {}
        for kind, pause in flood:
            watch.seconds += pause
            if limit.filter(line("kafka", kind)):
                passed.setdefault(kind, []).append(watch.seconds)
    finally:
        logs.monotonic = monotonic
    assert passed.keys() == {kind for kind, _ in flood}
    for moments in passed.values():
        assert all(later - earlier >= 10 for earlier, later in pairwise(moments))
