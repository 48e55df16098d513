"""A model in int8 beside the same one in fp32, on judged queries or on texts of the catalogue."""

from collections.abc import Mapping
from statistics import fmean

from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.domain.figures import MEASURE
from services.trainer.evaluation.domain.quantization import QuantizationVerdict, decide
from services.trainer.evaluation.domain.statistics import paired
from services.trainer.evaluation.sets import EvaluationSet, embed
from shared.encoder.loading import load_encoder
from shared.encoder.passages import Cut
from shared.retrieval import quality
from shared.settings import ModelSettings

SAMPLE = 200
"""So many texts of the catalogue are asked for where nobody judged anything."""


def assess(
    model: ModelSettings, corpus: Mapping[str, str], grades: quality.Grades, *, cut: Cut | None = None
) -> QuantizationVerdict:
    """Return what int8 does to the model's answers (blocking; minutes): `corpus` is text by product id.

    It is cut into passages; without `cut`, each text is one.

    Raises `ConfigurationError` when the model is refused, or has no int8.
    """
    texts = sorted({text for text in corpus.values() if text})
    sampled = texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE]
    judged = EvaluationSet("judged", grades)
    asked = judged if grades else EvaluationSet("sampled", {text: {} for text in sampled})
    ranked = []
    for precision in ("fp32", "int8"):
        encoder = load_encoder(model.model_copy(update={"precision": precision, "device": "cpu"}))
        embedded = embed(encoder, corpus, asked.queries, cut=cut)
        ranked.append(embedded.ranked(asked, WHOLE))
    whole, int8 = ranked
    overlap = fmean(len({*row[:10]} & {*int8[query][:10]}) / len(row[:10]) for query, row in whole.items())
    values = (quality.values(grades, answers, [MEASURE])[MEASURE] for answers in ranked)
    return decide(paired(*values) if grades else None, overlap)
