"""From a data set to a model directory."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
import torch
from pydantic import BaseModel, ConfigDict

from schemas.control import ModelProbe
from services.trainer.dataset.domain.dataset import Dataset, ProductText
from services.trainer.learning.domain.batches import TrainingSet
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.loop import TrainingHistory, TrainingRun, task_name
from services.trainer.learning.precision import Precision, best
from services.trainer.learning.trainable import TrainableModel, merge_adapters
from services.trainer.learning.validation import Validation
from services.trainer.progress import Progress
from shared.directories import whole
from shared.encoder.directory import check_directory, sha256_of
from shared.encoder.parity import PROBES, RECORD
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

GENERAL = Path(__file__).parent / "general.json"
CATALOGUE_SHARE = 400
"""Texts of the catalogue that are kept as similar as the base has them, beside the general ones."""


class Trained(BaseModel):
    """What a fit left in `directory`, beside the model: how it went, in `headrace.json`."""

    model_config = ConfigDict(frozen=True)

    directory: Path
    recipe: Recipe
    steps: int
    history: tuple[float, ...]
    """Validation condensed nDCG@10 of the base, then after each epoch."""
    kept_epoch: int
    """From 1."""
    probes: tuple[ModelProbe, ...] = ()
    cut: float = 0.0
    """Both as `FitNotes` has them."""


def train(  # noqa: PLR0913 - a job is these values, named by its caller
    dataset: Dataset,
    recipe: Recipe,
    *,
    base: Path,
    work: Path,
    out: Path,
    progress: Progress,
    model: ModelSettings | None = None,
) -> Trained:
    """Fit `base` to the training split and write the model to `out` (blocking; minutes).

    `model` says how it will be served: with which prompts, and how much of a text is read.
    `work` is this task's own directory for checkpoints, empty or as a killed run left it; it is removed in
    the end. When `out` is there already, the task was done, and its record is returned. Raises
    `ConfigurationError` when `base` is refused or there is nothing to learn from, `FatalError` when the fit
    diverges.
    """
    if (out / RECORD).is_file():
        shutil.rmtree(work, ignore_errors=True)
        return Trained(directory=out, **orjson.loads((out / RECORD).read_bytes()))
    check_directory(base)
    general = general_texts(dataset) if recipe.keep else ()
    training_set = TrainingSet.of(dataset, recipe, general)
    if not training_set.weights:
        raise ConfigurationError("the data set has no right product to learn from in its training split")
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    fitted = load_trainable(base, recipe, general, model=model)
    files = {file.name: sha256_of(file) for file in sorted(base.glob("*.safetensors"))}
    task = task_name(dataset, recipe, base=files, general=general)
    validation = Validation.of(dataset)
    history = TrainingRun(fitted, training_set, validation, recipe, task, work, progress).fit()
    progress("saving", 1.0, {})
    _merge(fitted, recipe, base)
    trained = _written(fitted, history, recipe, products=dataset.products, out=out)
    shutil.rmtree(work)
    return trained


def general_texts(dataset: Dataset) -> tuple[str, ...]:
    """Return texts that nobody judged: general ones, and of the catalogue those without a pair."""
    judged = {pair.product_id for pair in dataset.pairs}
    free = [product.text for product in dataset.products if product.product_id not in judged]
    general: list[str] = json.loads(GENERAL.read_bytes())
    return tuple(dict.fromkeys([*general, *free[:CATALOGUE_SHARE]]))


def load_trainable(
    directory: Path, recipe: Recipe, general: Sequence[str] = (), *, model: ModelSettings | None = None
) -> TrainableModel:
    """Load a model of the recipe's kind, or an embedding model to make one from; `model` as above."""
    precision = best()
    if recipe.kind == "encoder":
        from services.trainer.learning.encoder import TrainableEncoder  # noqa: PLC0415 - one of three

        return TrainableEncoder(directory, recipe, general=general, precision=precision, model=model)
    return _other(directory, recipe, precision)


def _other(base: Path, recipe: Recipe, precision: Precision) -> TrainableModel:
    if recipe.kind == "reranker":
        from services.trainer.learning.reranker import TrainableReranker  # noqa: PLC0415 - one of three

        return TrainableReranker(base, recipe, precision=precision)
    from services.trainer.learning.late import TrainableLateInteraction  # noqa: PLC0415 - one of three

    return TrainableLateInteraction(base, recipe, precision=precision)


def _merge(model: TrainableModel, recipe: Recipe, base: Path) -> None:
    """Make the fitted weights those of the model."""
    if recipe.lora:
        merge_adapters(model.module)
    if recipe.blend < 1:
        _blend(model, load_trainable(base, recipe.model_copy(update={"lora": 0, "keep": 0.0})), recipe.blend)


def _written(
    model: TrainableModel,
    history: TrainingHistory,
    recipe: Recipe,
    *,
    products: Iterable[ProductText],
    out: Path,
) -> Trained:
    """Write weights and record, and refuse to publish what nobody would load."""
    notes = model.notes([product.text for product in products])
    record = {
        "recipe": recipe.model_dump(mode="json"),
        "steps": history.steps,
        "history": history.history,
        "kept_epoch": history.kept_epoch,
        PROBES: [probe.model_dump(mode="json") for probe in notes.probes],
        "cut": notes.cut,
    }
    with whole(out) as partial:
        model.save(partial)
        (partial / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
        check_directory(partial)
    return Trained(directory=out, **record)


@torch.no_grad()
def _blend(model: TrainableModel, base: TrainableModel, share: float) -> None:
    """Move the weights back towards the base's (WiSE-FT, arXiv 2109.01903)."""
    before = dict(base.module.named_parameters())
    for name, weight in model.module.named_parameters():
        weight.copy_(torch.lerp(before[name], weight, share))
