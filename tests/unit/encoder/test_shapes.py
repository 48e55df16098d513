"""Directories of every shape that sentence-transformers saves: its own vectors, or a reason why not."""

import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer

from services.lab.models.shapes import HIDDEN, REFUSED, SERVED, make
from shared.encoder.admission import Admission, admit
from shared.encoder.comparison import AGREEMENT, FEW
from shared.encoder.description import describe
from shared.encoder.directory import WEIGHTS
from shared.encoder.loading import load_encoder
from shared.encoder.pipeline import DESCRIPTION
from shared.errors import ConfigurationError
from shared.ports import Encoder
from shared.settings import ModelSettings

EXACT = ModelSettings(device="cpu", precision="fp32", threads=2)
LONG = "red oak table with lamp " * 30
TEXTS = [*FEW, "LAMP", "wool scarf, 38", LONG, "a", "lamp for home"]
Answer = TypeVar("Answer")
PROMPT_NAMES = {"prompts query and passage": "passage", "prompt not pooled": "passage"}
"""By shape, which name the library is asked with for a document, where it would lose the directory's own."""
NOT_CONVERTED = ("prompt not pooled", "StaticEmbedding", "Router, asymmetric", "shorter queries", "Dense")
"""What only torch runs; of the last it is the activation, GELU."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shapes")


class Asked(dict[str, Answer]):
    """What a function answers to each name, when it is first asked."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self._answer = answer

    def __missing__(self, name: str) -> Answer:
        self[name] = self._answer(name)
        return self[name]


@pytest.fixture(scope="module")
def directories(place: Path) -> dict[str, Path]:
    """Return where the models lie."""
    return Asked(lambda name: make(name, place / name / "model"))


@pytest.fixture(scope="module")
def admissions(directories: dict[str, Path]) -> dict[str, Admission]:
    return Asked(lambda name: admit(directories[name], EXACT))


def loaded(directory: Path, **settings: object) -> Encoder:
    return load_encoder(EXACT.model_copy(update={"path": directory, **settings}))


@pytest.mark.parametrize("name", SERVED)
def test_a_directory_gives_the_librarys_vectors(directories: dict[str, Path], name: str) -> None:
    directory = directories[name]
    encoder, library = loaded(directory), SentenceTransformer(str(directory), device="cpu")
    queries = library.encode_query(TEXTS, batch_size=3, normalize_embeddings=True)
    if name in PROMPT_NAMES:
        prompt = PROMPT_NAMES[name]
        documents = library.encode(TEXTS, prompt_name=prompt, normalize_embeddings=True)
    else:
        documents = library.encode_document(TEXTS, normalize_embeddings=True)
    assert (encoder.encode_queries(TEXTS) * queries).sum(axis=1).min() >= AGREEMENT
    assert (encoder.encode_documents(TEXTS) * documents).sum(axis=1).min() >= AGREEMENT
    assert queries.shape[1] == encoder.dimensions


@pytest.mark.parametrize("name", [name for name in SERVED if name not in NOT_CONVERTED])
def test_what_is_converted_gives_the_same_vectors(
    directories: dict[str, Path], place: Path, name: str
) -> None:
    plain = loaded(directories[name])
    other = loaded(directories[name], runtime="ctranslate2", cache=place / "conversions")
    assert other.fingerprint == plain.fingerprint
    for encode in ("encode_queries", "encode_documents"):
        rows, own = getattr(other, encode)(TEXTS), getattr(plain, encode)(TEXTS)
        assert (rows * own).sum(axis=1).min() >= AGREEMENT


@pytest.mark.parametrize("name", NOT_CONVERTED)
def test_what_another_runtime_cannot_give_is_refused_when_that_is_asked_for(
    directories: dict[str, Path], place: Path, name: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"only torch runs it|a dense layer with GELU"):
        loaded(directories[name], runtime="ctranslate2", cache=place / "conversions")


@pytest.mark.parametrize("name", SERVED)
def test_what_is_described_without_loading_is_what_is_loaded(directories: dict[str, Path], name: str) -> None:
    for settings in (EXACT, EXACT.model_copy(update={"max_tokens": 16, "document_prompt": "oak "})):
        encoder = load_encoder(settings.model_copy(update={"path": directories[name]}))
        assert describe(directories[name], settings) == (encoder.fingerprint, encoder.dimensions)


@pytest.mark.parametrize("name", SERVED)
def test_a_served_directory_is_admitted(admissions: dict[str, Admission], name: str) -> None:
    admission = admissions[name]
    assert not admission.refused
    assert min(admission.cosines) >= AGREEMENT
    assert admission.modules


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_served_is_refused_in_a_line_and_by_loading_too(
    directories: dict[str, Path], name: str
) -> None:
    reason = admit(directories[name], EXACT).refused
    assert reason
    assert "\n" not in reason
    with pytest.raises(ConfigurationError):
        loaded(directories[name])


def test_each_shape_that_makes_other_vectors_has_a_fingerprint_of_its_own(
    directories: dict[str, Path],
) -> None:
    same = {"as most are", "default_prompt_name", "a downloaded folder"}
    made = {name: describe(directories[name], EXACT).fingerprint for name in SERVED}
    assert len({made[name] for name in same}) == 1
    assert len(set(made.values())) == len(SERVED) - len(same) + 1


def test_the_prompt_of_a_passage_counts(directories: dict[str, Path]) -> None:
    plain, prompted = (loaded(directories[name]) for name in ("as most are", "prompts query and passage"))
    assert (plain.encode_documents(FEW) * prompted.encode_documents(FEW)).sum(axis=1).max() < 0.999
    np.testing.assert_allclose(
        plain.encode_documents([f"passage: {text}" for text in FEW]),
        prompted.encode_documents(FEW),
        atol=1e-5,
    )


def test_of_a_matryoshka_model_is_said_how_much_is_kept(admissions: dict[str, Admission]) -> None:
    admission = admissions["Matryoshka, truncate_dim 12"]
    assert (admission.dimensions, admission.width) == (12, HIDDEN)


def test_what_is_told_of_a_directory(directories: dict[str, Path], admissions: dict[str, Admission]) -> None:
    [others] = admissions["a downloaded folder"].notes
    assert others.startswith("never read: card.png, onnx/model.onnx")
    [default] = admissions["default_prompt_name"].notes
    assert "default_prompt_name 'sts' is for `encode` alone" in default
    [unpacked] = admissions["Router, asymmetric"].notes
    assert "run by sentence-transformers itself" in unpacked
    assert not admissions["as most are"].notes
    short = admit(directories["as most are"], EXACT.model_copy(update={"max_tokens": 16}))
    assert short.notes == ("reads 16 of its 48 tokens: model.max_tokens",)


class Touch:
    """A pickle that writes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> object:
        return Path.touch, (self._file,)


def test_nothing_that_lies_beside_the_weights_is_unpickled(tmp_path: Path) -> None:
    directory = make("a downloaded folder", tmp_path / "model")
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (directory / name).write_bytes(pickle.dumps(Touch(tmp_path / "ran")))
    assert not admit(directory, EXACT).refused
    assert not (tmp_path / "ran").exists()


def test_weights_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    directory = make("as most are", tmp_path / "model")
    weights = load_file(directory / WEIGHTS)
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})
    assert "loaded twice it gives other vectors" in admit(directory, EXACT).refused


def test_a_pipeline_whose_numbers_are_not_as_many_as_it_says_is_refused(tmp_path: Path) -> None:
    directory = make("as most are", tmp_path / "model")
    file = directory / "1_Pooling" / "config.json"
    file.write_text(json.dumps({"embedding_dimension": 2 * HIDDEN, "pooling_mode": "mean"}))
    with pytest.raises(ConfigurationError, match="gave 32 numbers a text, its configuration says 64"):
        loaded(directory)


def test_a_model_that_writes_texts_into_a_chat_is_refused_by_its_files_and_would_give_other_vectors(
    directories: dict[str, Path], tmp_path: Path
) -> None:
    chat, plain = directories["a chat template"], directories["a chat template, not used"]
    with pytest.raises(ConfigurationError, match="writes each text into a chat"):
        describe(chat, EXACT)
    rows = [SentenceTransformer(str(path), device="cpu").encode_query(TEXTS) for path in (chat, plain)]
    assert (rows[0] * rows[1]).sum(axis=1).max() < AGREEMENT


def test_a_chat_template_in_a_model_of_before_is_not_used(tmp_path: Path) -> None:
    directory = make("a chat template", tmp_path / "model")
    (directory / "sentence_bert_config.json").write_text('{"max_seq_length": 48}')
    assert min(admit(directory, EXACT).cosines) >= AGREEMENT


def test_an_asymmetric_model_whose_vectors_are_not_alike_is_refused(
    directories: dict[str, Path], tmp_path: Path
) -> None:
    directory = make("Router, asymmetric", tmp_path / "model")
    table = next(directory.glob("query_*StaticEmbedding")) / WEIGHTS
    save_file({"embedding.weight": np.ones((9, 8), np.float32)}, table)
    assert "queries have 8 dimensions, of documents 32" in admit(directory, EXACT).refused


def test_a_router_without_a_way_for_queries_is_refused(tmp_path: Path) -> None:
    directory = make("Router, asymmetric", tmp_path / "model")
    file = directory / "router_config.json"
    router = json.loads(file.read_bytes())
    del router["structure"]["query"]
    file.write_text(json.dumps(router))
    assert "no way for texts of a query: document" in admit(directory, EXACT).refused


def test_a_text_without_a_token_gets_a_vector_that_is_the_same_for_all(
    directories: dict[str, Path],
) -> None:
    encoder = loaded(directories["StaticEmbedding"])
    empty, blank, lamp = encoder.encode_documents(["", " \n", "lamp"])
    np.testing.assert_array_equal(empty, blank)
    assert np.linalg.norm(empty) == pytest.approx(1, abs=1e-3)
    assert abs(empty @ lamp) < 0.99
    assert encoder.encode_queries([]).shape == (0, HIDDEN)


@pytest.mark.parametrize("name", ["Router, asymmetric", "as most are"])
def test_no_more_of_a_text_is_read_than_is_configured(directories: dict[str, Path], name: str) -> None:
    encoder = loaded(directories[name], max_tokens=12)
    start = (
        "red oak table lamp for home wool scarf chair red"  # ten words between the two tokens that frame it
    )
    short, long = encoder.encode_documents([start, f"{start} lamp lamp lamp"])
    np.testing.assert_allclose(short, long, atol=1e-5)


@pytest.mark.parametrize("name", SERVED)
def test_what_is_read_of_a_document_is_counted_by_its_tokenizer(
    directories: dict[str, Path], name: str
) -> None:
    encoder = loaded(directories[name], max_tokens=16)
    [one, fifty] = encoder.count_tokens(["lamp", "lamp " * 50])
    assert fifty == 50 * one
    words = encoder.document_tokens // one
    if words < 50:
        texts = ["lamp " * words, "lamp " * words + "table", "lamp " * (words - 1) + "table"]
        whole, longer, other = encoder.encode_documents(texts)
        assert whole @ longer > 1 - 1e-6 > whole @ other


def test_several_callers_at_once_get_their_own_vectors(directories: dict[str, Path]) -> None:
    encoder = loaded(directories["Router, asymmetric"], token_budget=16)
    asked = [[f"{word} lamp", *TEXTS] for word in ("red", "oak", "wool", "table", "chair", "scarf")]
    alone = [encoder.encode_documents(texts) for texts in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(encoder.encode_documents, asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_change_of_the_prompts_is_another_model(directories: dict[str, Path], tmp_path: Path) -> None:
    directory = make("prompts query and passage", tmp_path / "model")
    before = describe(directory, EXACT).fingerprint
    file = directory / DESCRIPTION
    file.write_text(file.read_text().replace("passage: ", "product: "))
    assert describe(directory, EXACT).fingerprint != before
