"""A transformer of the BERT family as CTranslate2 has it, made of its weights with NumPy.

The families differ in the names of their weights and in where their positions begin. Any other family, and a
configuration that is not known here, raises `UnsupportedModelError`. Whether the result is the same model is
not decided here: its vectors are compared (`proof`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from ctranslate2.converters import utils
from ctranslate2.specs import common_spec, transformer_spec

from shared.arrays import Vectors
from shared.encoder.runtimes.port import UnsupportedModelError
from shared.encoder.runtimes.weights import Weights, read_weights

WORDS = "embeddings.word_embeddings.weight"
Config = Mapping[str, Any]  # Any: JSON from outside


class LayerNames(NamedTuple):
    """What the weights of a layer are called."""

    layer: str
    attention: tuple[str, str, str]
    output: str
    output_norm: str
    up: str
    down: str
    norm: str


BERT = LayerNames(
    "encoder.layer.{}",
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
DISTILBERT = LayerNames(
    "transformer.layer.{}",
    ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
)
FAMILIES = {"bert": BERT, "roberta": BERT, "xlm-roberta": BERT, "camembert": BERT, "distilbert": DISTILBERT}
AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})
"""Their first position comes behind that of the padding, which all padding has, that in a text (`<pad>`) too:
it takes no place, and what is behind it moves up."""
UNPLACED = "unplaced.json"
"""Which token takes no place, and from which number on words stand for it, one for each place."""
ACTIVATIONS = {
    "gelu": common_spec.Activation.GELU,
    "gelu_new": common_spec.Activation.GELUTanh,
    "gelu_pytorch_tanh": common_spec.Activation.GELUTanh,
    "relu": common_spec.Activation.RELU,
    "silu": common_spec.Activation.SWISH,
}


def convert(folder: Path, target: Path) -> None:
    """Write the transformer that lies in `folder` into the directory `target` (a second for 100 MB)."""
    config = json.loads((folder / "config.json").read_bytes())
    family = str(config.get("model_type"))
    if family not in FAMILIES or config.get("position_embedding_type", "absolute") != "absolute":
        raise UnsupportedModelError(f"{folder}: models of the family {family} are not converted")
    try:
        weights = _named(read_weights(folder))
        specification = _specification(config, weights)
    except (KeyError, ValueError) as error:
        raise UnsupportedModelError(
            f"{folder}: not as other models of the family {family}: {error}"
        ) from error
    specification.validate()
    specification.optimize(quantization=None)
    specification.save(str(target))
    if family in AFTER_PADDING:
        unplaced = {"token": _padding(config), "first": len(weights[WORDS])}
        (target / UNPLACED).write_bytes(orjson.dumps(unplaced))


def _named(weights: Weights) -> Weights:
    """Return the weights by the names that they have within the transformer."""
    prefix = next(name.removesuffix(WORDS) for name in sorted(weights) if name.endswith(WORDS))
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _specification(config: Config, weights: Weights) -> transformer_spec.TransformerEncoderModelSpec:
    names = FAMILIES[config["model_type"]]
    encoder = transformer_spec.TransformerEncoderSpec(
        config.get("num_hidden_layers") or config["n_layers"],
        config.get("num_attention_heads") or config["n_heads"],
        pre_norm=False,
        activation=ACTIVATIONS[config.get("hidden_act") or config["activation"]],
        layernorm_embedding=True,
    )
    encoder.scale_embeddings = False
    encoder.position_encodings.encodings = _positions(config, weights)
    encoder.embeddings[0].weight = _words(config, weights)
    _norm(encoder.layernorm_embedding, weights, "embeddings.LayerNorm")
    for number, layer in enumerate(encoder.layer):
        _layer(layer, _within(weights, names.layer.format(number)), names)
    specification = transformer_spec.TransformerEncoderModelSpec(encoder)
    words = len(encoder.embeddings[0].weight)
    specification.register_vocabulary([str(number) for number in range(words)])
    specification.config.unk_token, specification.config.bos_token, specification.config.eos_token = "012"
    specification.config.layer_norm_epsilon = config.get("layer_norm_eps", 1e-12)
    return specification


def _padding(config: Config) -> int:
    return int(config.get("pad_token_id", 1))


def _words(config: Config, weights: Weights) -> Vectors:
    """Return the vectors of words; then those of padding in a text, one a place, less what the place adds."""
    words, positions = weights[WORDS], _all_positions(weights)
    if config["model_type"] not in AFTER_PADDING:
        return words
    padding = _padding(config)
    return np.concatenate([words, words[padding] + positions[padding] - _positions(config, weights)])


def _positions(config: Config, weights: Weights) -> Vectors:
    """Return what is added to the words by place."""
    positions = _all_positions(weights)
    return positions[_padding(config) + 1 :] if config["model_type"] in AFTER_PADDING else positions


def _all_positions(weights: Weights) -> Vectors:
    """Return what is added by position, with that of a token's kind, of which there is one."""
    positions = weights["embeddings.position_embeddings.weight"]
    kinds = weights.get("embeddings.token_type_embeddings.weight")
    return positions if kinds is None else positions + kinds[0]


def _within(weights: Weights, layer: str) -> Weights:
    return {
        name.removeprefix(f"{layer}."): weight
        for name, weight in weights.items()
        if name.startswith(f"{layer}.")
    }


def _layer(layer: Any, weights: Weights, names: LayerNames) -> None:  # Any: of CTranslate2
    attention = [common_spec.LinearSpec() for _ in names.attention]
    for part, name in zip(attention, names.attention, strict=True):
        _linear(part, weights, name)
    utils.fuse_linear(layer.self_attention.linear[0], attention)
    _linear(layer.self_attention.linear[1], weights, names.output)
    _norm(layer.self_attention.layer_norm, weights, names.output_norm)
    _linear(layer.ffn.linear_0, weights, names.up)
    _linear(layer.ffn.linear_1, weights, names.down)
    _norm(layer.ffn.layer_norm, weights, names.norm)


def _linear(part: Any, weights: Weights, name: str) -> None:  # Any: likewise
    part.weight, part.bias = (np.ascontiguousarray(weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))


def _norm(part: Any, weights: Weights, name: str) -> None:  # Any: likewise
    part.gamma, part.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]
