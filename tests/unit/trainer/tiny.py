"""A random model of a few thousand weights and a data set that it can learn, in a second."""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

from services.trainer.domain.dataset import Dataset, HardNegative, Manifest, Pair, Product

KINDS = ("lamp", "chair", "kettle", "boot", "drum", "rope", "brush", "clock")
LOOKS = ("red", "blue", "oak", "steel", "small", "large", "old", "new")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *KINDS, *LOOKS, "good", "cheap", "for", "home")


def tiny_model(directory: Path, *, hidden: int = 24, seed: int = 0) -> Path:
    """Write a random sentence-transformers directory and return it."""
    torch.manual_seed(seed)
    parts = directory.parent / f"{directory.name}-parts"
    parts.mkdir(parents=True)
    (parts / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    BertTokenizerFast(vocab=str(parts / "vocab.txt"), model_max_length=32).save_pretrained(parts)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(parts)
    transformer = Transformer(str(parts), max_seq_length=32)
    modules = [transformer, Pooling(hidden), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(directory), create_model_card=False)
    return directory


def tiny_dataset() -> Dataset:
    """Return a data set in which a product is right for a query that names its kind."""
    products = [
        Product(product_id=f"{kind}-{look}", text=f"{look} {kind}", fields={"bullets": f"good {kind}"})
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
    manifest = Manifest(name="tiny", ranges=(), generation="g1")
    return Dataset(
        manifest,
        tuple(sorted(pairs, key=lambda it: (it.query, it.product_id))),
        tuple(sorted(negatives, key=lambda it: (it.query, it.product_id))),
        tuple(sorted(products, key=lambda it: it.product_id)),
    )


def _pair(query: str, product_id: str, grade: float, split: str) -> Pair:
    return Pair.model_validate(
        {
            "query": query,
            "product_id": product_id,
            "value": grade,
            "grade": grade,
            "impressions": 9,
            "split": split,
        }
    )
