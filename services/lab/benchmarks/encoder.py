"""What each runtime makes of the same texts: texts a CPU-second, beside the plain library and a bare loop.

Everything runs in one thread and takes turns; of each, the round that took least CPU-time counts, so that a
busy machine changes little. The bare loop of a runtime has the same texts as tokens already, packed as ours
packs them, and calls the runtime's own API: neither texts nor what makes rows of the output are in it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import ctranslate2
import numpy as np
import torch
from rich.progress import Progress
from sentence_transformers import SentenceTransformer

from services.lab.benchmarks.embedding import PLAIN_BATCH
from services.lab.report import ReportRow
from shared.encoder.choice import load_sentence_encoder
from shared.encoder.description import read_encoding
from shared.encoder.directory import model_directory
from shared.encoder.libraries import loading
from shared.encoder.packing import pack
from shared.encoder.runtimes.ctranslate2_runtime import CTranslate2Runtime
from shared.encoder.runtimes.onnx_runtime import OnnxRuntime
from shared.encoder.runtimes.port import Features, UnsupportedModelError
from shared.encoder.runtimes.torch_runtime import TorchRuntime
from shared.encoder.tokens import IDS, MASK
from shared.settings import ModelSettings

if TYPE_CHECKING:
    from shared.encoder.sentence import SentenceEncoder

ROUNDS = 4
QUERIES = 25
"""Texts that are embedded one by one."""
PLAIN = "model.encode"
KINDS: Mapping[str, Mapping[str, str]] = {
    "torch fp32": {"runtime": "torch", "precision": "fp32"},
    "ctranslate2 fp32": {"runtime": "ctranslate2", "precision": "fp32"},
    "ctranslate2 int8": {"runtime": "ctranslate2", "precision": "int8"},
    "onnx fp32": {"runtime": "onnx", "precision": "fp32"},
}
"""What is measured, of a model that each of them takes."""


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU-seconds for all texts, of ours and of the bare loop; CPU-ms of a query; cosines to torch's fp32."""

    ours: float
    bare: float
    query_ms: float
    cosines: tuple[float, float]
    """The least and the middle one."""


def measure(
    settings: ModelSettings,
    texts: Sequence[str],
    *,
    progress: Progress,
    kinds: Mapping[str, Mapping[str, str]] = KINDS,
) -> list[ReportRow]:
    """Return every row; torch's fp32 is one of the kinds. Raises `ConfigurationError` for a refused model."""
    one = settings.model_copy(update={"threads": 1, "device": "cpu"})
    encoders, refused = _encoders(one, kinds)
    plain = SentenceTransformer(str(model_directory(one.path)), **loading("cpu"))
    plain.max_seq_length = one.max_tokens
    torch.set_num_threads(1)
    loops: dict[str, Callable[[], object]] = {PLAIN: partial(_plain, plain, texts)}
    for name, encoder in encoders.items():
        loops[name] = partial(encoder.encode_documents, texts)
        loops[f"bare {name}"] = bare_loop(encoder, texts)
    seconds = least_seconds(loops, progress)
    reference = encoders["torch fp32"].encode_documents(texts)
    measured = {
        name: Measured(
            seconds[name],
            seconds[f"bare {name}"],
            _query_ms(encoder, texts[:QUERIES]),
            _cosines(encoder.encode_documents(texts), reference),
        )
        for name, encoder in encoders.items()
    }
    return [*rows(measured, seconds[PLAIN], len(texts)), *refused]


def rows(measured: Mapping[str, Measured], plain: float, texts: int) -> list[ReportRow]:
    """Return the report: first the quickest of fp32 beside the quickest bare loop of fp32."""
    whole = [kind for name, kind in measured.items() if name.endswith("fp32")]
    ours, bare = min(kind.ours for kind in whole), min(kind.bare for kind in whole)
    report = [
        ReportRow("texts", texts / ours, "1/CPU-s", texts / bare, "fp32; bound: the bare loop of the best"),
        ReportRow(PLAIN, texts / plain, "1/CPU-s", note="fp32, batch 32, sorted, one thread"),
    ]
    for name, kind in measured.items():
        least, middle = kind.cosines
        report += [
            ReportRow(
                f"texts, {name}", texts / kind.ours, "1/CPU-s", texts / kind.bare, "bound: its bare loop"
            ),
            ReportRow(f"times {PLAIN}, {name}", plain / kind.ours),
            ReportRow(f"cosine, least, {name}", least, note=f"to torch's fp32; the middle one {middle:.6f}"),
            ReportRow(f"cosine, middle, {name}", middle),
            ReportRow(f"query, {name}", kind.query_ms, "CPU-ms", note="one alone, the middle one"),
        ]
    return report


def least_seconds(loops: Mapping[str, Callable[[], object]], progress: Progress) -> dict[str, float]:
    """Return the CPU-seconds of each loop, the least of some rounds in turn."""
    seconds = dict.fromkeys(loops, float("inf"))
    bar = progress.add_task("rounds", total=ROUNDS * len(loops))
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            before = time.process_time()
            loop()
            seconds[name] = min(seconds[name], time.process_time() - before)
            progress.advance(bar)
    return seconds


def bare_loop(encoder: "SentenceEncoder", texts: Sequence[str]) -> Callable[[], None]:
    """Return what runs the texts' tokens through the encoder's runtime by the runtime's own API."""
    tokens = encoder.tokenizer.tokens(texts)
    batches = [
        encoder.tokenizer.features(tokens, batch)
        for batch in pack([len(row) for row in tokens[IDS]], encoder.pass_tokens)
    ]
    forward = _forward_of(encoder)

    def run() -> None:
        for batch in batches:
            forward(batch)

    return run


def _forward_of(encoder: "SentenceEncoder") -> Callable[[Features], object]:
    runtime = encoder.runtime
    if isinstance(runtime, CTranslate2Runtime):
        view = ctranslate2.StorageView.from_array
        return lambda batch: runtime.encoder.forward_batch(
            view(batch[IDS].astype(np.int32)), lengths=view(batch[MASK].sum(axis=1, dtype=np.int32))
        )
    if isinstance(runtime, OnnxRuntime):
        names = [given.name for given in runtime.session.get_inputs()]
        return lambda batch: runtime.session.run(None, {name: batch[name] for name in names})
    if isinstance(runtime, TorchRuntime):
        return torch.inference_mode()(partial(_in_torch, runtime.model))
    raise TypeError(f"no bare loop for {runtime.name}")


def _in_torch(model: SentenceTransformer, batch: Features) -> None:
    model({name: torch.from_numpy(table) for name, table in batch.items()})


def _encoders(
    settings: ModelSettings, kinds: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, "SentenceEncoder"], list[ReportRow]]:
    """Return the model in each of the kinds, and a row for each that does not take it."""
    encoders, refused = {}, []
    for name, kind in kinds.items():
        chosen = settings.model_copy(update=dict(kind))
        try:
            encoding = read_encoding(model_directory(chosen.path), chosen)
            encoders[name] = load_sentence_encoder(encoding, chosen)
        except UnsupportedModelError as error:
            refused.append(ReportRow(f"texts, {name}", 0, "1/CPU-s", note=f"does not take it: {error}"))
    return encoders, refused


def _plain(model: SentenceTransformer, texts: Sequence[str]) -> None:
    model.encode(list(texts), batch_size=PLAIN_BATCH, show_progress_bar=False)


def _query_ms(encoder: "SentenceEncoder", texts: Sequence[str]) -> float:
    taken = []
    for text in texts:
        before = time.process_time()
        encoder.encode_queries([text])
        taken.append(1000 * (time.process_time() - before))
    return median(taken)


def _cosines(rows: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    cosines = (rows * reference).sum(axis=1)
    return float(cosines.min()), float(np.median(cosines))
