"""A tokenizer as its files describe it, read without transformers.

Transformers does not always read `tokenizer.json` as it stands: the class that `tokenizer_config.json` names
makes the tokenizer anew, of the vocabulary and of that file. Of BERT's class it is known here what comes out
(`is_of_bert`); of any other only vectors that were noted can tell.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from shared.encoder.directory import Module
from shared.encoder.pipeline import JsonObject, json_object
from shared.encoder.runtimes.port import UnsupportedModelError
from shared.encoder.tokens import DESCRIBED, IDS, MASK, FastTokenizer

CONFIG = "tokenizer_config.json"
BERT_CLASSES = frozenset(f"{name}Tokenizer{kind}" for name in ("Bert", "DistilBert") for kind in ("", "Fast"))
BERT_MODELS = frozenset({"bert", "distilbert"})
BERT_NORMALIZER = {"clean_text": True, "tokenize_chinese_chars": True, "strip_accents": None}
"""What the class takes where the configuration says nothing, and that it lower-cases."""
LOWER = "do_lower_case"
MARKS = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token")


def read_tokenizer(transformer: Module, longest: int) -> FastTokenizer:
    """Return the tokenizer of a checked directory; raises `UnsupportedModelError` when none is described."""
    described = json_object(transformer.folder / DESCRIBED)
    if not described:
        raise UnsupportedModelError(f"{transformer.folder} has no {DESCRIBED}")
    config, own = _config(transformer), transformer.transformer_config
    if own.get(LOWER) and not _lowers(described):
        described = {**described, "normalizer": _lowering(described.get("normalizer"))}
    facts = {
        "kinds": [IDS, MASK],
        "padding": _padding(transformer.folder, described, config),
        "side": config.get("truncation_side") or _side(described),
    }
    try:
        return FastTokenizer(json.dumps(described), facts, longest)
    except Exception as error:  # the library raises no other class
        raise UnsupportedModelError(f"{transformer.folder / DESCRIBED}: {error}") from error


def is_of_bert(transformer: Module) -> bool:
    """Whether transformers makes of the files what `read_tokenizer` does: BERT's, with nothing of its own."""
    described, config = json_object(transformer.folder / DESCRIBED), _config(transformer)
    kind = json_object(transformer.folder / "config.json").get("model_type")
    named = config.get("tokenizer_class")
    model = described.get("model") or {}
    return (
        (named in BERT_CLASSES if named else kind in BERT_MODELS)
        and model.get("type") == "WordPiece"
        and model.get("max_input_chars_per_word", 100) == 100
        and model.get("continuing_subword_prefix", "##") == "##"
        and (described.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and _has_berts_normalizer(described.get("normalizer") or {}, config)
        and _marks_are_known(described, config)
        and _frames_with(described, config)
    )


def _config(transformer: Module) -> JsonObject:
    """Return what transformers is given: the tokenizer's configuration, and what the module adds."""
    own = transformer.transformer_config
    given = own.get("processor_kwargs") or own.get("tokenizer_args") or {}
    return {**json_object(transformer.folder / CONFIG), **given}


def _has_berts_normalizer(normalizer: JsonObject, config: JsonObject) -> bool:
    wanted = {name: config.get(name, default) for name, default in BERT_NORMALIZER.items()}
    wanted["clean_text"] = True  # the class asks nobody
    there = {
        "clean_text": normalizer.get("clean_text"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars"),
        "strip_accents": normalizer.get("strip_accents"),
    }
    lowers = normalizer.get("lowercase") == config.get(LOWER, True)
    return normalizer.get("type") == "BertNormalizer" and there == wanted and lowers


def _marks_are_known(described: JsonObject, config: JsonObject) -> bool:
    """Whether all tokens that the configuration names are told in the description: else they were added."""
    added = {(entry["content"], entry["id"]) for entry in described.get("added_tokens", ())}
    contents = {content for content, _ in added}
    decoded = {
        (str(entry.get("content")), int(number))
        for number, entry in (config.get("added_tokens_decoder") or {}).items()
    }
    extra = config.get("additional_special_tokens") or config.get("extra_special_tokens") or []
    named = {_content(config[name]) for name in MARKS if config.get(name)}
    return decoded <= added and named <= contents and {_content(token) for token in extra} <= contents


def _frames_with(described: JsonObject, config: JsonObject) -> bool:
    """Whether a text begins and ends with the tokens that BERT's class puts there."""
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps({**described, "padding": None}))
    frame = [
        _content(config.get(name, usual)) for name, usual in (("cls_token", "[CLS]"), ("sep_token", "[SEP]"))
    ]
    return bool(tokenizer.encode("").tokens == frame)


def _padding(folder: Path, described: JsonObject, config: JsonObject) -> int:
    ids = {entry["content"]: entry["id"] for entry in described.get("added_tokens", ())}
    named = _content(config.get("pad_token") or "[PAD]")
    number = ids.get(named, json_object(folder / "config.json").get("pad_token_id"))
    return number if isinstance(number, int) else 0


def _content(token: Any) -> str:  # Any: JSON from outside
    return str(token.get("content")) if isinstance(token, Mapping) else str(token)


def _side(described: JsonObject) -> str:
    return str((described.get("truncation") or {}).get("direction", "right")).lower()


def _lowers(described: JsonObject) -> bool:
    normalizer = described.get("normalizer") or {}
    parts = [normalizer, *normalizer.get("normalizers", ())]
    return any(part.get("type") == "Lowercase" for part in parts)


def _lowering(normalizer: Any) -> JsonObject:  # Any: as above
    """Return a normalizer that lower-cases first, as sentence-transformers puts it together."""
    parts = normalizer.get("normalizers", [normalizer]) if normalizer else []
    return {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *parts]}
