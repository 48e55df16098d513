"""A cross-encoder from a directory, which is looked through before it is loaded."""

import asyncio
from pathlib import Path

import pytest
from sentence_transformers import CrossEncoder
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from services.negatives import veto
from services.negatives.domain.candidates import Retrieved, RetrievedProduct
from services.negatives.domain.plan import MiningPlan
from services.negatives.domain.rules import MiningRules
from services.negatives.miner import LiveIndex
from shared.errors import ConfigurationError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue", "shoe", "sock"]
WANTED = MiningPlan(("best",), engaged=frozenset(), relevant=frozenset(), skipped=frozenset())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny cross-encoder with random weights."""
    made, saved = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("models") / "tiny"
    (made / "vocab.txt").write_text("\n".join(WORDS))
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(made)
    BertTokenizerFast(vocab_file=str(made / "vocab.txt")).save_pretrained(made)
    CrossEncoder(str(made), device="cpu").save_pretrained(str(saved))
    return saved


class FakeIndex:
    async def live(self):
        return LiveIndex("g1", "0" * 16)

    async def retrieve(self, query, wanted):
        hits = [RetrievedProduct(product_id="best", dense=0.9, lexical=None, title="red shoe")]
        hits += [
            RetrievedProduct(product_id=f"p{n}", dense=0.5, lexical=None, title="blue sock " * n)
            for n in range(9)
        ]
        return Retrieved(
            generation="g1", fingerprint="0" * 16, hits=tuple(hits), scores={"best": 0.9}, identities=()
        )


def test_titles_are_scored_against_the_query(directory):
    model = veto.load(directory)
    one, other = model("red shoe", ["blue sock", "red shoe"])
    assert 0 < one < 1
    assert 0 < other < 1
    assert model("red shoe", ["red shoe"]) == pytest.approx([other], abs=1e-5)


def test_what_the_index_answers_carries_the_cross_scores(directory):
    index = veto.VetoedIndex(FakeIndex(), veto.load(directory), MiningRules(number=2, likely=1.0))
    found = asyncio.run(index.retrieve("red shoe", WANTED))
    assert len(found.cross_scores) == 6
    assert all(0 < doubt < 1 for doubt in found.cross_scores.values())


def test_a_directory_that_may_run_something_is_refused(directory, tmp_path):
    for file in directory.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=r"no \.safetensors weights"):
        veto.load(tmp_path)
    with pytest.raises(ConfigurationError, match="is not a directory"):
        veto.load(tmp_path / "none")
