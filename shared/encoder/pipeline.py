"""A model directory as sentence-transformers would build it, read from its JSON alone: module after module.

What is said here of dimensions and lengths is what the library (6.2) computes of the same files. A directory
that is no embedding model, or whose vectors nobody could give again, is refused with its reason.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared.encoder.directory import Module, read_json, read_modules, read_route_modules, router_config
from shared.errors import ConfigurationError

JsonObject = Mapping[str, Any]  # Any: JSON from outside
DESCRIPTION = "config_sentence_transformers.json"
NO_LIMIT = 1 << 20
"""Tokenizers without a limit claim one of some 10 ** 30 tokens."""
ROLES = ("query", "document")
SENTENCE, TOKENS = "sentence_embedding", "token_embeddings"
RERANKER = "it orders hits and finds none: set search.reranker.model to it"
OTHER_MODELS: Mapping[str, str] = {
    "CrossEncoder": f"is a cross-encoder: {RERANKER}",
    "MultiVectorEncoder": f"is a multi-vector model: {RERANKER}",
    "SparseEncoder": "is a sparse model, and an index has dense vectors",
}
IN_A_BATCH = "its vectors depend on the texts that it is given together"
BY_WORDS = "it reads lists of words; StaticEmbedding took its place"
IN_A_CHAT = (
    "the library writes each text into a chat, by a template that is a program in the directory; if its "
    "vectors are those of plain texts, save it with a modality_config of text alone"
)
OTHER_MODULES: Mapping[str, str] = {
    "CLIPModel": "it reads images; save its text part alone",
    "CNN": IN_A_BATCH,
    "LSTM": IN_A_BATCH,
    "BoW": BY_WORDS,
    "WordEmbeddings": BY_WORDS,
    "WordWeights": BY_WORDS,
    "LogitScore": OTHER_MODELS["CrossEncoder"],
    "MultiVectorMask": OTHER_MODELS["MultiVectorEncoder"],
    "TokenPooling": OTHER_MODELS["MultiVectorEncoder"],
    "MLMTransformer": OTHER_MODELS["SparseEncoder"],
    "SpladePooling": OTHER_MODELS["SparseEncoder"],
    "SparseAutoEncoder": OTHER_MODELS["SparseEncoder"],
    "SparseStaticEmbedding": OTHER_MODELS["SparseEncoder"],
}
AFTER_TOKENS = frozenset({"Pooling", "Dense", "Normalize", "LayerNorm", "Dropout", "WeightedLayerPooling"})
ROUTERS = frozenset({"Router", "Asym"})
ENCODERS = AFTER_TOKENS | ROUTERS | {"Transformer", "StaticEmbedding"}
LEGACY_MODES = 6
"""So many `pooling_mode_...` switches the older form of a pooling has, one a mode."""
HEADER_BYTES = 100 << 20
"""The longest header of a safetensors file, by its specification."""


class Pipeline(NamedTuple):
    """How a directory makes a vector of a text."""

    modules: tuple[str, ...]
    """What it is made of, a name each, as a person would read it."""
    width: int
    """Numbers in a vector, before any is cut off."""
    longest: int | None
    """The most tokens of a text that it reads; None: all of them."""
    packs: bool
    """Whether its texts may be tokenised here and packed by tokens, queries and documents alike: a
    transformer and what makes one vector of its tokens. Of any other the library makes the features."""
    pools_prompt: bool = True
    """Whether the tokens of a prompt count in the vector."""


class _Flow(NamedTuple):
    """What has come out of a pipeline so far."""

    sentence: Any = None  # Any: JSON from outside
    """The width of a text's vector, once there is one."""
    tokens: Any = None  # Any: likewise
    """The width of a token's."""
    has_sentence: bool = False
    longest: int | None = None
    packs: bool = True
    pools_prompt: bool = True


def read_pipeline(directory: Path) -> Pipeline:
    """Return the pipeline of a checked directory; raises `ConfigurationError` when none for an index."""
    kind = model_type(directory) or ""
    if kind in OTHER_MODELS:
        raise ConfigurationError(f"{directory} {OTHER_MODELS[kind]}")
    modules = read_modules(directory)
    _check_kinds(directory, modules)
    flows = {role: _flow(modules, role) for role in ROLES}
    for flow in flows.values():
        if not flow.has_sentence:
            raise ConfigurationError(
                f"{directory}: no module makes one vector of a text: is Pooling missing?"
            )
        if not isinstance(flow.sentence, int) or isinstance(flow.sentence, bool) or flow.sentence < 1:
            raise ConfigurationError(f"{directory} does not say how many dimensions its vectors have")
    query, document = flows.values()
    if query.sentence != document.sentence:
        raise ConfigurationError(
            f"{directory}: vectors of queries have {query.sentence} dimensions, of documents "
            f"{document.sentence}: an index compares them"
        )
    lengths = [flow.longest for flow in flows.values() if flow.longest is not None]
    return Pipeline(
        modules=tuple(_shown(module) for module in modules),
        width=document.sentence,
        longest=max(lengths, default=None),
        packs=query.packs and document.packs,
        pools_prompt=query.pools_prompt and document.pools_prompt,
    )


def pair_width(directory: Path) -> tuple[int, int | None]:
    """Return width and longest input of a model that reads pairs, for its description."""
    flow = _flow(read_modules(directory), "document")
    width = flow.sentence or flow.tokens
    if not isinstance(width, int) or width < 1:
        raise ConfigurationError(f"{directory} does not say how many dimensions its vectors have")
    return width, flow.longest


def model_type(directory: Path) -> str | None:
    """Return which class of sentence-transformers the model was saved by, if it says so."""
    kind = json_object(directory / DESCRIPTION).get("model_type")
    return kind if isinstance(kind, str) else None


def json_object(file: Path) -> JsonObject:
    """Return the object in a file; nothing when the file is not there or holds something else."""
    content = read_json(file) if file.is_file() else None
    return content if isinstance(content, dict) else {}


def _check_kinds(directory: Path, modules: Iterable[Module]) -> None:
    for module in modules:
        if module.kind in OTHER_MODULES:
            raise ConfigurationError(f"{directory}: {module.kind}: {OTHER_MODULES[module.kind]}")
        if module.kind not in ENCODERS:
            raise ConfigurationError(f"{directory}: {module.kind} is not a module that is known here")
        if module.kind == "Transformer" and _reads_chats(module):
            raise ConfigurationError(f"{directory}: {IN_A_CHAT}")
        if module.kind in ROUTERS:
            for route in read_route_modules(module).values():
                _check_kinds(directory, route)


def _reads_chats(transformer: Module) -> bool:
    """Whether the library writes each text into a chat; what an older version saved, it reads as it is."""
    return "message" in (transformer.transformer_config.get("modality_config") or {})


def _flow(modules: Iterable[Module], role: str) -> _Flow:
    flow = _Flow()
    for number, module in enumerate(modules):
        flow = _after(flow, module, role)
        if number and module.kind not in AFTER_TOKENS:
            flow = flow._replace(packs=False)
    return flow


def _after(flow: _Flow, module: Module, role: str) -> _Flow:
    """Return what comes out of one module more."""
    config = json_object(module.folder / "config.json")
    flow = flow._replace(packs=flow.packs and not module.keywords)
    match module.kind:
        case "Transformer":
            return _after_transformer(flow, module, config)
        case "StaticEmbedding":
            return flow._replace(sentence=_embedding_width(module.folder), has_sentence=True, packs=False)
        case "Router" | "Asym":
            return _routed(module, role)
        case "Pooling":
            width = _pooled(config) or flow.tokens
            pools_prompt = flow.pools_prompt and config.get("include_prompt", True) is not False
            return flow._replace(sentence=width, has_sentence=True, pools_prompt=pools_prompt)
        case "Dense":
            return _after_dense(flow, config)
    return flow


def _after_transformer(flow: _Flow, module: Module, config: JsonObject) -> _Flow:
    own = module.transformer_config
    widths = (config.get(name) for name in ("hidden_size", "d_model", "dim", "n_embd"))
    width = next((width for width in widths if width is not None), None)
    is_sentence = own.get("module_output_name") == SENTENCE
    by_task = any(own.get(name) for name in ("processing_kwargs", "query_length", "document_length"))
    return flow._replace(
        sentence=width if is_sentence else None,
        tokens=width,
        has_sentence=is_sentence,
        longest=_longest(module, config),
        packs=flow.packs and not by_task,
    )


def _after_dense(flow: _Flow, config: JsonObject) -> _Flow:
    source = config.get("module_input_name") or SENTENCE
    target = config.get("module_output_name") or source
    width = config.get("out_features") or (flow.sentence if source == SENTENCE else flow.tokens)
    if target == SENTENCE:
        return flow._replace(sentence=width, has_sentence=True)
    return flow._replace(tokens=width) if target == TOKENS else flow


def _routed(router: Module, role: str) -> _Flow:
    """Return what comes out of the route that the library takes for texts of this role."""
    routes, mappings = read_route_modules(router), router_config(router).get("parameters", {})
    mapped = mappings.get("route_mappings") or {}
    keys = (f"('{role}', 'text')", f"('{role}', None)", "(None, 'text')", "(None, None)")
    names = [mapped.get(key) for key in keys] + [role, "text"]
    name = next((name for name in names if name in routes), None)
    if name is None:
        raise ConfigurationError(
            f"{router.folder}: the router has no way for texts of a {role}: {', '.join(routes)}"
        )
    return _flow(routes[name], role)._replace(packs=False)


def _longest(module: Module, config: JsonObject) -> int | None:
    """Return the most tokens of an input: sentence-transformers' own limit, else the tokenizer's."""
    own = module.transformer_config
    given = own.get("processor_kwargs") or own.get("tokenizer_args") or {}
    limit = given.get("model_max_length", own.get("max_seq_length"))
    if limit is None:
        tokenizer = json_object(module.folder / "tokenizer_config.json")
        limits = (
            tokenizer.get("model_max_length", tokenizer.get("max_len")),
            config.get("max_position_embeddings", config.get("n_positions")),
        )
        lengths = [most for most in limits if isinstance(most, int) and 0 < most < NO_LIMIT]
        limit = min(lengths, default=None)
    return limit if isinstance(limit, int) else None


def _pooled(config: JsonObject) -> Any:  # Any: JSON from outside
    """Return the width of a pooling: as wide as a token, once for each of its modes."""
    width = config.get("embedding_dimension") or config.get("word_embedding_dimension")
    mode = config.get("pooling_mode")
    switches = [bool(value) for name, value in config.items() if name.startswith("pooling_mode_")]
    modes = len(mode) if isinstance(mode, list) else 1 if mode else sum(switches[:LEGACY_MODES])
    return width * max(1, modes) if isinstance(width, int) else None


def _embedding_width(folder: Path) -> int | None:
    """Return how wide a table of embeddings is, by the header of its file (safetensors' specification)."""
    with (folder / "model.safetensors").open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size) if size <= HEADER_BYTES else b""
    try:
        tensors = json.loads(header)
        table = tensors.get("embedding.weight") or tensors["embeddings"]
        width = table["shape"][1]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{folder}: model.safetensors has no table of embeddings") from error
    return width if isinstance(width, int) else None


def _shown(module: Module) -> str:
    """Return a module with what tells it from others of its kind."""
    config = json_object(module.folder / "config.json")
    match module.kind:
        case "Transformer" if kind := config.get("model_type"):
            return f"Transformer {kind}"
        case "Pooling" if mode := config.get("pooling_mode"):
            return f"Pooling {'+'.join(mode) if isinstance(mode, list) else mode}"
        case "Dense":
            return f"Dense {config.get('out_features', '')}".rstrip()
        case "Router" | "Asym":
            routes = read_route_modules(module).items()
            return f"Router ({'; '.join(f'{name}: {_names(modules)}' for name, modules in routes)})"
    return module.kind


def _names(modules: Iterable[Module]) -> str:
    return ", ".join(_shown(module) for module in modules)
