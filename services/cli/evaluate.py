"""`headrace evaluate --data DIR`: search quality on a data set with grades.

Through the real path, or, with `--model DIR`, of a model alone, at every size and precision. Without grades
of people, two models are held against each other by what this shop's own shoppers did.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import HIGHEST_GRADE
from services.cli.progress import bars
from services.lab.installation import running_or_started
from services.lab.report import BenchReport, ReportRow
from services.lab.simulation.catalogue import GradedCatalogue, load, relevant_to
from services.lab.simulation.grading import read_gains
from services.lab.terminal import Terminal
from shared.encoder.directory import model_directory
from shared.errors import ConfigurationError
from shared.infrastructure.ladder import Rung
from shared.retrieval.quality import GAINS

app = typer.Typer(add_completion=False)


class ModelPrecision(StrEnum):
    """What a model computes in."""

    AUTO, FP32, BF16, INT8 = "auto", "fp32", "bf16", "int8"


class ModelRuntime(StrEnum):
    """What runs a model."""

    AUTO, TORCH, CTRANSLATE2, ONNX = "auto", "torch", "ctranslate2", "onnx"


WORKERS = ("shards", "embedder", "search")
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Directory with docs.jsonl.gz, queries.tsv, qrels.tsv; absent, with --model and --against: this "
        "shop's own judgements.",
        exists=True,
    ),
]
ChangesOption = Annotated[int, typer.Option(help="Live changes whose freshness is measured; 0: none.", min=0)]
ModelOption = Annotated[Path | None, typer.Option(help="Judge this model directory alone, without a broker.")]
AgainstOption = Annotated[Path | None, typer.Option(help="Hold it against this one, with paired intervals.")]
PlotOption = Annotated[Path | None, typer.Option(help="PNG with quality beside bytes a document.")]
PrecisionOption = Annotated[
    ModelPrecision, typer.Option(help="Of --model: what it computes in; --against is as configured.")
]
GainsOption = Annotated[
    str,
    typer.Option(
        metavar="GAINS", help="Of nDCG: esci, exp2, linear, or those of grades 1, 2 and 3 such as 1,3,7."
    ),
]
RuntimeOption = Annotated[
    ModelRuntime, typer.Option(help="Of --model: what runs it; --against is as configured.")
]


@app.command()
def evaluate(
    data: DataOption = None,
    dataset: Annotated[
        str, typer.Option(help="A data set of `headrace dataset build`; absent: what the topics hold now.")
    ] = "",
    broker: Annotated[
        Rung | None, typer.Option(help="Broker to start when nothing runs; absent: the embedded one.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where to keep what is started; absent: `evaluate` in the usual one.")
    ] = None,
    changes: ChangesOption = 20,
    highest_grade: Annotated[float | None, HIGHEST_GRADE] = None,
    gains: GainsOption = "esci",
    model: ModelOption = None,
    against: AgainstOption = None,
    precision: PrecisionOption = ModelPrecision.AUTO,
    runtime: RuntimeOption = ModelRuntime.AUTO,
    plot: PlotOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure nDCG, recall, reciprocal rank and freshness; starts what is not running.

    Two models are compared without a broker; by a shop's own judgements with a verdict in words.
    """
    if model is None and (against or plot or dataset):
        raise ConfigurationError("--against, --plot and --dataset go with --model")
    computed = _computed(precision, runtime, graded=model is not None and data is not None)
    weights = _gains(gains, of_search=data is not None and model is None)
    if data is None and highest_grade is not None:
        raise ConfigurationError("--highest-grade goes with --data")
    if data is None:
        report = _of_judgements(dataset, model, against, plot=plot, costs=json)
    elif dataset:
        raise ConfigurationError("--data are grades of people, --dataset are this shop's own: give one")
    else:
        catalogue = load(data, highest_grade)
        rows = (
            _of_search(catalogue, data_dir, broker, changes=changes, gains=weights)
            if model is None
            else _of_model(catalogue, model, against, computed, plot=plot, costs=json)
        )
        report = BenchReport("evaluate", rows)
    report.show(as_json=json)


def _gains(text: str, *, of_search: bool) -> Mapping[int, int]:
    """Return what grades gain; models are judged by those of the house alone."""
    gains = read_gains(text)
    if gains != GAINS and not of_search:
        raise ConfigurationError("--gains goes with --data, without --model: models are judged by gains esci")
    return gains


def _computed(precision: ModelPrecision, runtime: ModelRuntime, *, graded: bool) -> dict[str, str]:
    """Return the settings of a model that are asked for; only one that is held against grades has them."""
    asked = {"precision": precision.value, "runtime": runtime.value}
    computed = {name: value for name, value in asked.items() if value != "auto"}
    if computed and not graded:
        raise ConfigurationError("--precision and --runtime go with --data and --model")
    return computed


def _of_judgements(
    dataset: str, model: Path | None, against: Path | None, *, plot: Path | None, costs: bool
) -> BenchReport:
    if model is None or against is None:
        raise ConfigurationError(
            "give --data DIR with grades, or --model DIR --against DIR, which are then judged by what this "
            "shop's shoppers did"
        )
    for directory in (model, against):
        model_directory(directory)
    from services.cli.dataset import kept_dataset, present_dataset  # noqa: PLC0415 - for this path alone
    from services.lab.benchmarks import matrix  # noqa: PLC0415 - imports torch, as below
    from services.trainer.settings import Settings as TrainerSettings  # noqa: PLC0415 - likewise

    settings = TrainerSettings.load()
    judged_by = kept_dataset(dataset) if dataset else present_dataset()
    assessment = matrix.judged(judged_by, model, against, settings)
    if plot is not None:
        matrix.plot(assessment.evaluated, plot)
    rows = list(matrix.rows(assessment.evaluated, alone=False, costs=costs))
    return BenchReport("evaluate", rows, matrix.verdict(assessment))


def _of_model(
    catalogue: GradedCatalogue,
    model: Path,
    against: Path | None,
    computed: Mapping[str, str],
    *,
    plot: Path | None,
    costs: bool,
) -> list[ReportRow]:
    from services.trainer.settings import Settings as TrainerSettings  # noqa: PLC0415 - for this path alone

    settings = TrainerSettings.load()
    usual, shop = settings.model, settings.shop_search(settings.trainer.mode)
    candidate = usual.model_copy(update={"path": model, **computed})
    other = candidate if against is None else usual.model_copy(update={"path": against})
    for chosen in (candidate, other):
        model_directory(chosen.path)
    from services.lab.benchmarks import matrix  # noqa: PLC0415 - imports torch, which the real path does without

    evaluation = matrix.evaluated(catalogue, candidate, other, shop=shop)
    if plot is not None:
        matrix.plot(evaluation, plot)
    rows = list(matrix.rows(evaluation, alone=against is None, costs=costs))
    if left_out := len(catalogue.queries) - len(relevant_to(catalogue)):
        rows.append(ReportRow("queries left out", left_out, note="without a relevant product"))
    return rows


def _of_search(
    catalogue: GradedCatalogue,
    data_dir: Path | None,
    broker: Rung | None,
    *,
    changes: int,
    gains: Mapping[int, int],
) -> list[ReportRow]:
    from services.lab.benchmarks import search_quality  # noqa: PLC0415 - for this path alone
    from services.lab.search_client import client_of  # noqa: PLC0415 - likewise

    console = Terminal(stderr=True)
    with (
        running_or_started(WORKERS, data_dir, broker) as settings,
        client_of(settings) as client,
        bars(console) as progress,
    ):
        rows, others = search_quality.measure(
            settings, client, catalogue, changes=changes, progress=progress, gains=gains
        )
    if others:
        console.print(f"{others:,} other products are in the index: figures are lower bounds")
    return rows
