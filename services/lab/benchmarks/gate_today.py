"""The rule of before, kept to be compared with: what no shopper was ever shown counts as wrong."""

from collections.abc import Mapping
from typing import NamedTuple

from services.lab.benchmarks.gate_candidates import Embedded
from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.domain.statistics import paired
from services.trainer.evaluation.general import general
from services.trainer.evaluation.sets import EmbeddedCorpus, EvaluationSet, evaluation_sets
from shared.retrieval import quality

MEASURE = "nDCG@10"
DECIDING = "held_out"
MARGIN = 0.02
LEAST = 20


class BothValues(NamedTuple):
    """nDCG@10 of each query of a set, of the live model and of the candidate."""

    live: Mapping[str, float]
    candidate: Mapping[str, float]


def admits(by_set: Mapping[str, BothValues]) -> bool:
    """Whether the candidate is better on all that is held out, and nowhere worse by more than a margin.

    Sets of fewer than 20 queries say nothing.
    """
    differences = {name: paired(*values) for name, values in by_set.items()}
    deciding = differences.pop(DECIDING, None)
    better = deciding is not None and deciding.count >= LEAST and deciding.low > 0
    return better and not any(
        difference.count >= LEAST and difference.mean < -MARGIN for difference in differences.values()
    )


def values(dataset: Dataset, live: Embedded, candidate: Embedded) -> dict[str, BothValues]:
    """Return the values of every set of the data set, and of general texts."""
    everyday, _ = general()
    by_set = {
        evaluation_set.name: BothValues(
            _ndcg(live.shop, evaluation_set), _ndcg(candidate.shop, evaluation_set)
        )
        for evaluation_set in evaluation_sets(dataset)
    }
    by_set[everyday.name] = BothValues(_ndcg(live.general, everyday), _ndcg(candidate.general, everyday))
    return by_set


def _ndcg(corpus: EmbeddedCorpus, evaluation_set: EvaluationSet) -> Mapping[str, float]:
    ranked = corpus.ranked(evaluation_set, WHOLE)
    return quality.values(evaluation_set.grades, ranked, [MEASURE])[MEASURE]
