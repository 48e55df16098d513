"""The checker of the kill tests finds what must not be, and nothing else."""

import random
from collections.abc import Callable

import pytest

from tests.connected.checker import Change, Checker, State, expected

NEW = State(1, 1, 1, 1)


def everything(_: str) -> bool:
    return True


def nothing(_: str) -> bool:
    return False


@pytest.fixture
def checker() -> Checker:
    checker = Checker()
    checker.write(Change("p", 1, "upsert"))
    checker.read({"p": NEW}, everything)
    return checker


def findings(checker: Checker) -> dict[str, int]:
    return {kind: len(found) for kind, found in checker.findings.items() if found}


def test_a_product_that_is_not_in_an_answer_that_claims_to_be_whole_is_missing(checker: Checker) -> None:
    checker.read({}, nothing)
    assert findings(checker) == {}
    checker.read({}, everything)
    assert findings(checker) == {"missing": 1}


def test_a_delete_that_was_not_sent_or_is_older_explains_nothing(checker: Checker) -> None:
    checker.write(Change("p", 3, "upsert"))
    checker.write(Change("p", 2, "delete"))
    checker.abort(Change("p", 4, "delete"))
    checker.read({"p": State(3, 3, 3, 3)}, everything)
    checker.read({}, everything)
    assert findings(checker) == {"missing": 1}


def test_what_was_deleted_may_be_gone_and_comes_back_by_a_later_write_only(checker: Checker) -> None:
    checker.write(Change("p", 2, "delete"))
    checker.read({}, everything)
    checker.write(Change("p", 3, "upsert"))
    checker.read({"p": State(3, 3, 3, 3)}, everything)
    assert findings(checker) == {}
    checker.write(Change("p", 4, "delete"))
    checker.read({}, everything)
    checker.read({"p": State(3, 3, 3, 3)}, everything)
    assert findings(checker) == {"resurrected": 1}


def test_one_field_that_goes_back_is_older(checker: Checker) -> None:
    checker.write(Change("p", 2, "patch", ("price",)))
    checker.read({"p": State(1, 2, 1, 1)}, nothing)
    checker.read({"p": NEW}, nothing)
    assert findings(checker) == {"older": 1}


def test_what_was_aborted_and_what_nobody_wrote_was_never_written(checker: Checker) -> None:
    checker.abort(Change("q", 1, "upsert"))
    checker.read({"p": NEW, "q": NEW}, nothing)
    assert findings(checker) == {"never written": 4}
    checker.read({"p": State(1, 1, 7, 1)}, nothing)
    assert findings(checker) == {"never written": 5}


def test_at_rest_everything_must_be_as_its_changes_say(checker: Checker) -> None:
    checker.write(Change("q", 1, "upsert"))
    assert checker.settle({"p": NEW, "q": NEW, "of others": NEW}) == []
    checker.write(Change("q", 2, "delete"))
    [difference] = checker.settle({"p": NEW, "q": NEW})
    assert "its changes say None" in difference
    checker.read({"q": NEW}, nothing)
    assert findings(checker) == {"resurrected": 1}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ([Change("p", 1, "patch", ("price",))], None),
        ([Change("p", 3, "patch", ("price",)), Change("p", 1, "upsert")], State(1, 3, 1, 1)),
        ([Change("p", 3, "patch", ("price",)), Change("p", 4, "upsert")], State(4, 4, 4, 4)),
        ([Change("p", 5, "patch", ("title",)), Change("p", 1, "upsert"), Change("p", 4, "delete")], None),
    ],
)
def test_what_changes_amount_to(changes: list[Change], state: State | None) -> None:
    assert expected(changes) == state


@pytest.mark.parametrize("seed", range(20))
def test_who_is_shown_more_and_more_of_the_changes_finds_nothing(seed: int) -> None:
    rng, checker = random.Random(seed), Checker()
    arrived: list[Change] = []
    for change in disorder(rng, random_change):
        checker.write(change)
        arrived.append(change)
        state = expected(arrived)
        checker.read({} if state is None else {"p": state}, everything)
    assert findings(checker) == {}


def random_change(rng: random.Random, version: int) -> Change:
    op = rng.choice(("upsert", "patch", "patch", "delete"))
    return Change("p", version, op, ("price",) if op == "patch" else ("written", "price", "stock", "title"))


def disorder(rng: random.Random, make: Callable[[random.Random, int], Change]) -> list[Change]:
    changes = [make(rng, version) for version in range(1, 40)]
    return sorted(changes, key=lambda change: change.version + rng.uniform(0, 5))
