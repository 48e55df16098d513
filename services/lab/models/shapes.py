"""Tiny random models, one of each shape that a directory of sentence-transformers has in the field.

They are saved by the library itself, and where it no longer writes an older form, changed into it. Each is
made in a tenth of a second. Their vectors mean nothing: whether they are the library's is asked.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from shared.encoder.directory import INDEX, PICKLED, WEIGHTS
from shared.encoder.libraries import quiet
from shared.encoder.pipeline import DESCRIPTION

HIDDEN = 32
LENGTH = 48
"""Tokens that the models read."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = ascii_lowercase + digits + ":-()×,.防水"
WORDS = (*SPECIAL, "query", "passage", "red", "lamp", "oak", "chair", "table", "for", "home", "wool", "scarf")
VOCABULARY = (*WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS))
CHAT = "{% for message in messages %}query : {{ message['content'] }} [SEP]{% endfor %}"
E5 = {"query": "query: ", "passage": "passage: "}

Make = Callable[[Path], None]
JsonObject = dict[str, Any]  # Any: JSON


def make(name: str, directory: Path) -> Path:
    """Write the model of this shape and return its directory."""
    quiet()
    torch.manual_seed(0)
    SHAPES[name](directory)
    return directory


def save(directory: Path, *modules: nn.Module, **settings: Any) -> None:  # Any: the library's own settings
    """Save a model as the library does."""
    model = SentenceTransformer(modules=[*modules], device="cpu", **settings)
    model.save(str(directory), create_model_card=False)


def transformer(directory: Path, *, chat: str = "", **settings: Any) -> Transformer:  # Any: likewise
    """Return a random transformer whose files were written beside `directory`; `chat` is a template."""
    parts = directory.parent / f"{directory.name}-parts"
    parts.mkdir(parents=True, exist_ok=True)
    tokenizer(parts, chat_template=chat or None).save_pretrained(parts)
    _bert(BertModel).save_pretrained(parts)
    made = Transformer(str(parts), **settings)
    shutil.rmtree(parts)
    return made


def tokenizer(parts: Path, **settings: Any) -> BertTokenizer:  # Any: likewise
    """Return a tokenizer that knows a few words, and of others their letters."""
    (parts / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return BertTokenizer(vocab=str(parts / "vocab.txt"), model_max_length=LENGTH, **settings)


def _bert(kind: Any) -> Any:  # Any: classes of transformers
    return kind(
        BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * HIDDEN,
            max_position_embeddings=LENGTH,
            initializer_range=0.3,  # so that texts differ, as a trained model's do
        )
    )


def _usual(directory: Path, **settings: Any) -> None:  # Any: as above
    save(directory, transformer(directory), Pooling(HIDDEN, "mean"), Normalize(), **settings)


def _not_normalised(directory: Path) -> None:
    save(directory, transformer(directory), Pooling(HIDDEN, "mean"))


def _matryoshka(directory: Path) -> None:
    _usual(directory, truncate_dim=12)


def _passage_prompt(directory: Path) -> None:
    _usual(directory, prompts=E5)


def _both_prompts(directory: Path) -> None:
    _usual(directory, prompts={"query": "query: ", "document": "home: ", "passage": "never: "})


def _default_prompt(directory: Path) -> None:
    _usual(directory, prompts={"sts": "query: "}, default_prompt_name="sts")


def _projected(directory: Path) -> None:
    dense = Dense(HIDDEN, 20, activation_function=nn.GELU())
    save(directory, transformer(directory), Pooling(HIDDEN, "cls"), dense, Normalize())


def _two_poolings(directory: Path) -> None:
    save(directory, transformer(directory), Pooling(HIDDEN, ("cls", "mean")))


def _prompt_not_pooled(directory: Path) -> None:
    pooling = Pooling(HIDDEN, "mean", include_prompt=False)
    save(directory, transformer(directory), pooling, Normalize(), prompts=E5)


def _static(directory: Path) -> None:
    save(directory, _table(directory), Normalize(), prompts={"query": "query: "})


def _asymmetric(directory: Path) -> None:
    """Read queries by a table of embeddings, and products by a transformer."""
    document = [transformer(directory), Pooling(HIDDEN, "mean")]
    router = Router.for_query_document([_table(directory)], document)
    save(directory, router, Normalize())


def _short_queries(directory: Path) -> None:
    save(directory, transformer(directory, query_length=8), Pooling(HIDDEN, "mean"), Normalize())


def _sharded(directory: Path) -> None:
    _usual(directory)
    parts = transformer(directory)
    parts.auto_model.save_pretrained(directory, max_shard_size="20KB")
    (directory / WEIGHTS).unlink()


def _downloaded(directory: Path) -> None:
    """As `hf download` leaves it: the same weights in every format, pictures, and programs."""
    _usual(directory)
    for name in ("onnx/model.onnx", "openvino/openvino_model.bin", PICKLED, "tf_model.h5", "train_script.py"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(b"\x80\x04cposix\nsystem\n(X\x04\x00\x00\x00falsetR.")
    (directory / "card.png").write_bytes(b"\x89PNG")


def _older(directory: Path) -> None:
    """As version 2 of the library wrote it, lower-casing what the tokenizer would not."""
    _usual(directory)
    inner = directory / "0_Transformer"
    inner.mkdir()
    for file in sorted(directory.iterdir()):
        if file.is_file() and file.name not in {"modules.json", DESCRIPTION}:
            file.rename(inner / file.name)
    (directory / DESCRIPTION).unlink()
    _write(inner / "sentence_bert_config.json", {"max_seq_length": 24, "do_lower_case": True})
    pooling = {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": False}
    _write(directory / "1_Pooling" / "config.json", {**pooling, "pooling_mode_max_tokens": True})
    kinds = enumerate(("Transformer", "Pooling"))
    paths = [(number, kind, f"{number}_{kind}") for number, kind in kinds]
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, kind, path in paths
    ]
    (directory / "modules.json").write_text(json.dumps(listed))


def _chat(directory: Path) -> None:
    """Have the library write each text into a chat."""
    save(directory, transformer(directory, chat=CHAT), Pooling(HIDDEN, "mean"), Normalize())


def _chat_beside(directory: Path) -> None:
    """Have a template for chats in the directory, and say that texts are read as they are."""
    texts = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
    plain = transformer(directory, chat=CHAT, modality_config=texts, module_output_name="token_embeddings")
    save(directory, plain, Pooling(HIDDEN, "mean"), Normalize())


def _cross_encoder(directory: Path) -> None:
    parts = directory.parent / f"{directory.name}-parts"
    parts.mkdir(parents=True)
    tokenizer(parts).save_pretrained(parts)
    _bert(BertForSequenceClassification).save_pretrained(parts)
    CrossEncoder(str(parts), device="cpu").save(str(directory))
    shutil.rmtree(parts)


def _pickled(directory: Path) -> None:
    _usual(directory)
    (directory / WEIGHTS).rename(directory / PICKLED)


def _coded(directory: Path) -> None:
    _usual(directory)
    config = json.loads((directory / "config.json").read_bytes())
    _write(directory / "config.json", {**config, "auto_map": {"AutoModel": "modeling.Evil"}})


def _parts_elsewhere(directory: Path) -> None:
    _sharded(directory)
    index = json.loads((directory / INDEX).read_bytes())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../stolen.bin")
    _write(directory / INDEX, index)


def _table(directory: Path) -> StaticEmbedding:
    directory.parent.mkdir(parents=True, exist_ok=True)
    words = tokenizer(directory.parent)
    (directory.parent / "vocab.txt").unlink()
    return StaticEmbedding(words, embedding_dim=HIDDEN)


def _write(file: Path, content: JsonObject) -> None:
    file.write_text(json.dumps(content))


SERVED: Mapping[str, Make] = {
    "as most are": _usual,
    "not normalised": _not_normalised,
    "Matryoshka, truncate_dim 12": _matryoshka,
    "prompts query and passage": _passage_prompt,
    "prompts query and document": _both_prompts,
    "default_prompt_name": _default_prompt,
    "Dense": _projected,
    "two poolings": _two_poolings,
    "prompt not pooled": _prompt_not_pooled,
    "StaticEmbedding": _static,
    "Router, asymmetric": _asymmetric,
    "shorter queries": _short_queries,
    "sharded weights": _sharded,
    "a downloaded folder": _downloaded,
    "as version 2 saved it": _older,
    "a chat template, not used": _chat_beside,
}
REFUSED: Mapping[str, Make] = {
    "a chat template": _chat,
    "a cross-encoder": _cross_encoder,
    "pickled weights alone": _pickled,
    "code beside the model": _coded,
    "parts of weights elsewhere": _parts_elsewhere,
}
SHAPES: Mapping[str, Make] = {**SERVED, **REFUSED}
