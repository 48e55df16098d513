"""BM25 against its definition: whatever the texts, the parts they lie in, and what was deleted."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.retrieval.bm25 import K1, B, CorpusStatistics, Scores, TextPart, WeightedTerms, frequencies
from shared.retrieval.postings import MOST, lengths_of, merged, postings_of
from shared.retrieval.text import Analyzer

WEIGHT = 4.0
WORDS = ["shoe", "red", "blue", "hat", "lamp"]

texts = st.lists(st.sampled_from(WORDS), max_size=6)
documents = st.lists(st.tuples(texts, texts, st.booleans()), min_size=1, max_size=12)
analyzer = Analyzer()


def terms(words):
    return analyzer.of_texts([" ".join(words)])


def parts_of(documents, cuts):
    """Return the documents as parts that begin at the cuts, each with a block a document or with one."""
    edges = sorted({0, *(cut % (len(documents) + 1) for cut in cuts), len(documents)})
    for number, (start, end) in enumerate(pairwise(edges)):
        chosen = documents[start:end]
        titles, bodies = [terms(title) for title, _, _ in chosen], [terms(body) for _, body, _ in chosen]
        blocks = [postings_of([t], [b], first=n) for n, (t, b) in enumerate(zip(titles, bodies, strict=True))]
        if number % 2:
            blocks = [merged(blocks, [np.arange(len(chosen))] * len(blocks))]
        lengths = WEIGHT * lengths_of(titles) + lengths_of(bodies)
        live = np.array([alive for _, _, alive in chosen])
        yield TextPart(blocks, lengths.astype(np.float32), None if live.all() else live)


def statistics(documents):
    living = [(title, body) for title, body, alive in documents if alive]
    return CorpusStatistics(
        len(living), sum(len(title) for title, _ in living), sum(len(body) for _, body in living)
    )


def defined(documents, query):
    """Score each document by the formula, in doubles."""
    living = [(title, body) for title, body, alive in documents if alive]
    mean = sum(WEIGHT * len(title) + len(body) for title, body in living) / max(len(living), 1) or 1.0
    scores = []
    for title, body, _ in documents:
        score = 0.0
        for word in dict.fromkeys(query):
            count = sum(word in t or word in b for t, b in living)
            frequency = WEIGHT * Counter(title)[word] + Counter(body)[word]
            norm = K1 * (1 - B + B * (WEIGHT * len(title) + len(body)) / mean)
            if frequency:
                inverse = math.log1p((len(living) - count + 0.5) / (count + 0.5))
                score += inverse * (K1 + 1) * frequency / (frequency + norm)
        scores.append(score)
    return scores


def scored(parts, documents, query):
    asked = analyzer.of_query(" ".join(query))
    weighted = WeightedTerms.of(asked, frequencies(parts, asked), statistics(documents), title_weight=WEIGHT)
    room, scores = Scores(), []
    for part in parts:
        room.fill(part, weighted)
        scores += room.of(np.arange(len(part.lengths))).tolist()
    return scores


@settings(max_examples=150, deadline=None)
@given(documents, st.lists(st.integers(0, 12), max_size=4), texts)
def test_scores_are_those_of_the_formula_in_whatever_parts_documents_lie(documents, cuts, query):
    parts = list(parts_of(documents, cuts))
    found = scored(parts, documents, query)
    assert found == pytest.approx(defined(documents, query), rel=1e-5, abs=1e-6)
    assert found == scored(list(parts_of(documents, [])), documents, query)  # to the bit


@settings(max_examples=100, deadline=None)
@given(documents, texts, st.integers(0, 8))
def test_the_best_are_those_with_the_highest_scores_and_all_that_equal_the_last(documents, query, k):
    [part] = parts_of(documents, [])
    asked = analyzer.of_query(" ".join(query))
    weighted = WeightedTerms.of(asked, frequencies([part], asked), statistics(documents), title_weight=WEIGHT)
    room = Scores()
    room.fill(part, weighted)
    allowed = np.array([alive for _, _, alive in documents])
    places, scores = room.best(k, allowed)
    possible = sorted((s for s in (room.of(np.arange(len(documents))) * allowed).tolist() if s), reverse=True)
    least = possible[min(k, len(possible)) - 1] if k and possible else math.inf
    assert sorted(scores.tolist(), reverse=True) == [score for score in possible if score >= least]
    assert room.of(places).tolist() == scores.tolist()


def test_what_is_left_out_of_a_merge_is_gone():
    titles, bodies = [terms(["shoe"]), terms(["hat"])], [terms(["red"]), terms(["red", "red"])]
    block = postings_of(titles, bodies)
    both = merged([block, block], [np.array([0, -1]), np.array([-1, 1])])
    kept = postings_of(titles, bodies)
    assert all(np.array_equal(one, other) for one, other in zip(both, kept, strict=True))


def test_a_word_that_is_there_a_thousand_times_counts_as_often_as_is_told_apart():
    block = postings_of([terms(["shoe"] * 1000)], [terms(["shoe"] * 1000)])
    assert block.counts.tolist() == [MOST << 8 | MOST]


def test_pieces_between_blanks_are_cut_as_whole_texts_are():
    text = "Gore-Tex® 2.0 naïve–café’s हिन्दी (x_y) WH-1000XM4 10½"
    whole = analyzer.of_query(text).tolist()
    assert (
        np.frombuffer(analyzer.of_texts([text]), "<u8").tolist()
        == np.frombuffer(b"".join(analyzer.of_texts([piece]) for piece in text.split()), "<u8").tolist()
    )
    assert len(whole) >= 10


def test_a_query_has_each_term_once_and_not_too_many():
    assert analyzer.of_query("shoe Shoes SHOE").size == 1
    assert analyzer.of_query(" ".join(f"w{number}" for number in range(200))).size == 64
    assert analyzer.of_query("?!").size == 0
