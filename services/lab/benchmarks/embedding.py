"""The bounds of ingest: the same texts through the model alone, ours and as everybody begins."""

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from sentence_transformers import SentenceTransformer

from services.embedder.settings import EmbedderSettings
from services.lab.simulation.catalogue import ShopProduct
from shared.catalogue.texts import build_text
from shared.encoder.directory import model_directory
from shared.encoder.passages import PassageCutter
from shared.ports import Encoder
from shared.settings import ModelSettings

PLAIN_BATCH = 32
WARM = 64


def passages(products: Iterable[ShopProduct], settings: EmbedderSettings, encoder: Encoder) -> list[str]:
    """Return the texts that the embedder would embed of these products."""
    cut = PassageCutter(settings.cut, encoder.count_tokens, longest=encoder.document_tokens)
    texts: list[str] = []
    for product in products:
        text = build_text(product.fields(), settings.text)
        texts += cut(text).texts(text)
    return texts


def bare_seconds(encoder: Encoder, texts: Sequence[str]) -> float:
    """Return how long our model takes for all texts at once: no loop around it does better.

    The texts are sorted over the whole, and every core takes pass after pass.
    """
    encoder.encode_documents(texts[:WARM])
    ordered = sorted(texts, key=len, reverse=True)
    chunks = [ordered[start : start + WARM] for start in range(0, len(ordered), WARM)]
    began = time.monotonic()
    with ThreadPoolExecutor(encoder.threads) as threads:
        for _ in threads.map(encoder.encode_documents, chunks):
            pass
    return time.monotonic() - began


def plain_rate(settings: ModelSettings, texts: Sequence[str]) -> float:
    """Return texts a second of `SentenceTransformer.encode` in fp32, batch 32, on as many threads as ours."""
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    try:
        model = SentenceTransformer(
            str(model_directory(settings.path)),
            device="cpu",
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
        model.encode(list(texts[:WARM]), batch_size=PLAIN_BATCH, show_progress_bar=False)
        began = time.monotonic()
        model.encode(list(texts), batch_size=PLAIN_BATCH, show_progress_bar=False)
        return len(texts) / (time.monotonic() - began)
    finally:
        torch.set_num_threads(threads)
