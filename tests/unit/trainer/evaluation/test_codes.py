import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.evaluation.codes import WHOLE, Code, Coded, codes


def unit(count, size, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


DOCUMENTS, QUERIES = unit(300, 32), unit(5, 32, seed=1)


def test_whole_floats_are_exact():
    found = Coded(DOCUMENTS, WHOLE).search(QUERIES, depth=10)
    assert (found == np.argsort(-(QUERIES @ DOCUMENTS.T), axis=1)[:, :10]).all()


@pytest.mark.parametrize("code", list(codes((1.0, 0.5, 1 / 3))), ids=lambda code: code.name(32))
def test_every_code_finds_a_document_by_itself(code):
    found = Coded(DOCUMENTS, code).search(DOCUMENTS[:20], depth=3)
    assert found.shape == (20, 3)
    assert [row[0] for row in found] == pytest.approx(list(range(20)), abs=0) or code.size(32) < 16


def test_rescoring_brings_back_what_a_code_lost():
    best = Coded(DOCUMENTS, WHOLE).search(QUERIES, depth=10)
    shares = []
    for rescored in (False, True):
        found = Coded(DOCUMENTS, Code(1.0, "binary", rescored)).search(QUERIES, depth=10)
        shares.append(np.mean([len({*one} & {*other}) for one, other in zip(best, found, strict=True)]))
    assert shares[1] > shares[0]


def test_asking_for_more_than_there_is_returns_what_there_is():
    for code in codes((1.0,)):
        found = Coded(DOCUMENTS[:3], code).search(QUERIES, depth=10)
        assert sorted(found[0]) == [0, 1, 2]


def test_bytes_are_those_of_the_code_and_of_what_is_kept():
    assert Code(1 / 6, "binary").bytes(384) == 8
    assert Code(1.0, "int8", rescored=True).bytes(384) == 384 + 768
    assert Code(1 / 3).name(384) == "128 fp32"


@given(st.integers(1, 12), st.integers(1, 20), st.sampled_from(list(codes((1.0, 0.5)))), st.integers(0, 9))
def test_an_answer_names_documents_that_there_are_each_once(count, depth, code, seed):
    found = Coded(unit(count, 16, seed), code).search(unit(3, 16, seed + 1), depth=depth)
    assert found.shape == (3, min(count, depth))
    assert found.min() >= 0
    assert found.max() < count
    assert all(len({*row}) == len(row) for row in found.tolist())


@given(st.sampled_from(list(codes((1.0, 0.5, 1 / 3)))), st.integers(1, 1024))
def test_a_code_costs_what_it_keeps_and_says_its_name(code, full):
    assert 1 <= code.size(full) <= full
    assert code.name(full).startswith(f"{code.size(full)} {code.precision}")
    assert code.name(full).endswith("rescored") is code.rescored
    whole = WHOLE.bytes(full)
    if not code.rescored:
        assert code.bytes(full) <= whole
    else:
        assert code.bytes(full) > 2 * full


def test_every_size_comes_whole_and_in_two_smaller_codes_with_and_without_rescoring():
    names = [code.name(64) for code in codes((1.0, 0.5))]
    assert names[:5] == ["64 fp32", "64 int8", "64 int8 rescored", "64 binary", "64 binary rescored"]
    assert len(names) == len(set(names)) == 10
