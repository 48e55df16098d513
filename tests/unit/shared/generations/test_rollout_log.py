"""The log of answers as every worker has it in memory."""

import pytest
from hypothesis import given

from schemas.control import Rollout
from shared.generations.rollout_log import RolloutLog
from shared.generations.state import fold
from shared.records import Partition, Record
from shared.settings import Settings
from tests.unit.shared.generations.answers import FOUNDING, NOW, logs, message


def record(offset: int, value: bytes | None) -> Record:
    return Record(Partition(Rollout.topic, 0), offset, b"g", value, NOW)


def read(*messages: Rollout) -> RolloutLog:
    log = RolloutLog(Settings())
    for offset, answer in enumerate(messages):
        log._take(record(offset, answer.encode()))
    return log


@given(logs)
def test_it_is_the_sum_of_its_records(log):
    assert read(*log).ledger == fold(enumerate(log))
    assert read(*log).next_offset == len(log)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"action": "explode"}'])
def test_what_cannot_be_read_is_passed_over(value):
    log = read(message("backfill", "g2", "running"))
    before = log.ledger
    log._take(record(1, value))
    assert (log.ledger, log.next_offset) == (before, 2)


def test_what_is_read_again_after_an_outage_changes_nothing():
    answers = [
        FOUNDING,
        message("backfill", "g2", "running"),
        message("backfill", "g2"),
        message("promote", "g2", request_id="p"),
    ]
    log = read(*answers)
    before = log.generations
    for offset, answer in enumerate(answers):
        log._take(record(offset, answer.encode()))
    assert log.generations == before
    assert before.live == "g2"


def test_a_log_that_was_made_anew_is_read_anew():
    log = read(FOUNDING, message("backfill", "g2", "running"), message("backfill", "g2"))
    anew = [FOUNDING, message("backfill", "g3", "running")]
    for offset, answer in enumerate(anew):
        log._take(record(offset, answer.encode()))
    assert log.ledger == fold(enumerate(anew))
    assert log.generations.known.keys() == {"g1", "g3"}


def test_the_answer_to_a_request_is_the_first_final_one_or_the_last_word_so_far():
    log = read(
        message("promote", "g2", "requested", request_id="p"),
        message("promote", "g2", "running", request_id="p"),
    )
    assert log.answers["p"].status == "running"
    log._take(record(2, message("promote", "g2", "refused", request_id="p", reason="not ready").encode()))
    log._take(record(3, message("promote", "g2", "done", request_id="p").encode()))
    assert (log.answers["p"].status, log.answers["p"].reason) == ("refused", "not ready")
    assert log.answers.keys() == {"p"}


def test_while_nothing_was_said_the_configured_generation_is_live():
    assert RolloutLog(Settings(generation="g5")).generations.live == "g5"
