"""Models of a few thousand weights, random or built by hand, and a data set that they can learn, in a second.

What a random model ranks first is chance, and differs from processor to processor: a test that needs to know
takes a built one.
"""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast, PreTrainedModel

from services.trainer.dataset.domain.dataset import (
    Dataset,
    DatasetManifest,
    HardNegative,
    ProductText,
    TrainingPair,
)

KINDS = ("lamp", "chair", "kettle", "boot", "drum", "rope", "brush", "clock")
LOOKS = ("red", "blue", "oak", "steel", "small", "large", "old", "new")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
OTHERS = ("good", "cheap", "for", "home")
SCALE = 0.02
"""Of a built word vector: as BERT begins with, so that it is learned as fast. Only directions matter."""
WORDS = (*SPECIAL, *KINDS, *LOOKS, *OTHERS)


def tiny_model(directory: Path, *, hidden: int = 24, seed: int = 0) -> Path:
    """Write a random sentence-transformers directory and return it."""
    torch.manual_seed(seed)
    return _whole(BertModel(_config(hidden)), directory)


def knowing_model(directory: Path) -> Path:
    """Write a model that knows every word: a product is as near as it has words of the query."""
    axes = {word: axis for axis, word in enumerate((*KINDS, *LOOKS, *OTHERS, *SPECIAL))}
    return _built_model(directory, axes)


def blind_model(directory: Path) -> Path:
    """Write a model to which every kind is the same: it cannot tell a lamp from a chair."""
    axes = {word: axis for axis, word in enumerate(("thing", *LOOKS, *OTHERS, *SPECIAL))}
    return _built_model(directory, axes | dict.fromkeys(KINDS, axes["thing"]))


@torch.no_grad()
def _built_model(directory: Path, axes: dict[str, int], hidden: int = 28) -> Path:
    """Write a model whose vector of a text is the mean of its words', each along its own axis."""
    model = BertModel(_config(hidden))
    for name, weight in model.named_parameters():
        if "LayerNorm" not in name:
            weight.zero_()  # the layers add nothing to the words, nor does a position
    for word, axis in axes.items():
        if word in WORDS:
            model.embeddings.word_embeddings.weight[WORDS.index(word), axis] = SCALE
    return _whole(model, directory)


def _config(hidden: int) -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=32,
    )


def _whole(model: BertModel, directory: Path) -> Path:
    return saved(directory, model, Pooling(model.config.hidden_size), Normalize())


def saved(directory: Path, model: PreTrainedModel, *modules: torch.nn.Module) -> Path:
    """Write a transformer of `WORDS` with the modules behind it, and return the directory."""
    parts = directory.parent / f"{directory.name}-parts"
    parts.mkdir(parents=True)
    (parts / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    BertTokenizerFast(vocab=str(parts / "vocab.txt"), model_max_length=32).save_pretrained(parts)
    model.save_pretrained(parts)
    transformer = Transformer(str(parts), max_seq_length=32)
    whole = SentenceTransformer(modules=[transformer, *modules], device="cpu")
    whole.save(str(directory), create_model_card=False)
    return directory


def tiny_dataset() -> Dataset:
    """Return a data set in which a product is right for a query that names its kind."""
    products = [
        ProductText(product_id=f"{kind}-{look}", text=f"{look} {kind}", fields={"bullets": f"good {kind}"})
        for kind in KINDS
        for look in LOOKS
    ]
    rng = np.random.default_rng(0)
    pairs = []
    for number, kind in enumerate(KINDS):
        for query, split in (
            (f"{kind} for home", "validation" if number % 4 == 3 else "train"),
            (f"cheap {kind}", "novel_query"),
        ):
            for look in LOOKS:
                grade = float(rng.choice([3, 3, 2]))
                wrong = KINDS[(number + 1) % len(KINDS)]
                rows = ((f"{kind}-{look}", grade), (f"{wrong}-{look}", 0.0))
                pairs += [_pair(query, product_id, graded, split) for product_id, graded in rows]
    negatives = [
        HardNegative(query=f"{kind} for home", product_id=f"{KINDS[number - 1]}-{look}", difficulty=ease)
        for number, kind in enumerate(KINDS)
        for look, ease in zip(LOOKS[:3], ("easy", "medium", "hard"), strict=True)
    ]
    manifest = DatasetManifest(name="tiny", ranges=(), generation="g1")
    return Dataset(
        manifest,
        tuple(sorted(pairs, key=lambda it: (it.query, it.product_id))),
        tuple(sorted(negatives, key=lambda it: (it.query, it.product_id))),
        tuple(sorted(products, key=lambda it: it.product_id)),
    )


def _pair(query: str, product_id: str, grade: float, split: str) -> TrainingPair:
    return TrainingPair.model_validate(
        {
            "query": query,
            "product_id": product_id,
            "value": grade,
            "grade": grade,
            "impressions": 9,
            "split": split,
        }
    )
