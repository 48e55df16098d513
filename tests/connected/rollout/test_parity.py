"""A model is trained, evaluated and served: where one stage gives other vectors, its generation is refused.

The damages are real: files that are changed, conversions that are exchanged, an embedder that is configured
otherwise. The live generation goes on.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from schemas.catalogue import ProductChange
from schemas.control import Model, TrainingJob
from services.cli.models import app as models_app
from services.cli.models import quantized
from services.embedder.app import build as build_embedder
from services.embedder.settings import Settings as EmbedderSettings
from services.trainer.dataset.sources import present_ranges
from services.trainer.evaluation.domain.quantization import QuantizationVerdict
from services.trainer.jobs import run
from services.trainer.jobs.task import RESULT, TASK, JobBase, Task, folder_of
from services.trainer.settings import Settings as TrainerSettings
from shared.encoder.description import describe, recorded
from shared.encoder.directory import sha256_of
from shared.encoder.pipeline import DESCRIPTION
from shared.encoder.runtimes.cache import CHECKSUMS
from shared.encoder.tokens import DESCRIBED
from shared.errors import ConfigurationError
from shared.infrastructure.running import discover
from shared.process.worker import Worker
from shared.settings import ModelSettings
from tests.connected.installation import installation
from tests.connected.killing import until
from tests.connected.rollout.candidates import NOW
from tests.connected.rollout.shop import Shop, Workers, operated
from tests.connected.trainer.shop import judged
from tests.unit.trainer.tiny import tiny_dataset, tiny_model

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
QUICK = {"epochs": 2, "queries": 4, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Iterator[Shop]:
    place = tmp_path_factory.mktemp("parity")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HEADRACE_MODEL__PATH", str(base))
        environment.setenv("HEADRACE_MODEL__CACHE", str(place / "conversions"))
        environment.setenv("HEADRACE_DATASET__SHOPPERS", "1")
        with installation(place / "data", ["shards"]) as stack, operated(stack) as shop:
            yield shop


@pytest.fixture(scope="module")
def trained(shop: Shop) -> Model:
    """Return the model of a job that was done on judgements and products of the topics, and publish it."""
    dataset = tiny_dataset()
    products = [
        ProductChange(
            product_id=product.product_id,
            op="upsert",
            version=1,
            event_time=NOW,
            fields={"title": product.text},
        )
        for product in dataset.products
    ]
    pairs = {(pair.query, pair.product_id): pair.grade for pair in dataset.pairs}
    shop.publish(*products, *(judged(*pair, grade=grade) for pair, grade in pairs.items()))
    model = done(shop, hand_over(shop, "j1"))
    shop.publish(model)
    return model


def hand_over(shop: Shop, job_id: str) -> Path:
    """Write the task of a job into its folder."""
    settings = trainer(shop)
    job = TrainingJob(
        job_id=job_id,
        status="running",
        reason="manual",
        base_model="",
        options=QUICK,
        data=asyncio.run(present_ranges(settings)),
        updated_at=datetime.now(UTC),
    )
    base = settings.model.path
    assert base is not None
    own = JobBase(path=base, fingerprint=describe(base, settings.model).fingerprint)
    folder = folder_of(settings, job_id)
    folder.mkdir(parents=True)
    (folder / TASK).write_text(Task(job=job, base=own, generation="g1").model_dump_json())
    return folder


def trainer(shop: Shop) -> TrainerSettings:
    return discover(TrainerSettings.load(data_dir=shop.stack.settings.data_dir))


def done(shop: Shop, folder: Path) -> Model:
    return run.do(folder, trainer(shop), lambda *_: None)


@contextmanager
def embedding(shop: Shop, runtime: str = "torch", **texts: object) -> Iterator[Worker]:
    """Run an embedder with that runtime, and texts made of products as these settings say."""
    settings = discover(EmbedderSettings.load(data_dir=shop.stack.settings.data_dir))
    changed = {
        "embedder": settings.embedder.model_copy(update={"port": 0, **texts}),
        "model": settings.model.model_copy(update={"threads": 1, "runtime": runtime}),
    }
    worker = build_embedder(settings.model_copy(update=changed))
    with Workers(worker):
        until(lambda: shop.products("g1") == len(tiny_dataset().products))
        yield worker


def refused(shop: Shop, generation: str, model: Model, *words: str, force: bool = False) -> None:
    """Fail unless a build is refused in these words, on the command's answer, its status and as an alert."""
    answer = shop.do("backfill", generation, model_id=model.model_id, force=force)
    assert answer.status == "refused"
    status = shop.command("status")
    shown = [row for row in (*status["generations"], *status["refused"]) if row["generation"] == generation]
    [alert] = shop.alerts(f"rollout:{generation}")
    for said in (answer.reason, shown[0]["reason"], alert.summary):
        assert [word for word in words if word not in said] == [], said
        assert "\n" not in said
    assert alert.status == "firing"
    assert (status["live"], shop.searched().status_code) == ("g1", 200)
    assert shop.searched().json()["generation"] == "g1"


def copy_of(model: Model, place: Path, **changed: object) -> Model:
    """Return the record of a copy of the model's directory."""
    shutil.copytree(model.location, place)
    return model.model_copy(update={"model_id": place.name, "location": str(place), **changed})


def test_an_untouched_model_is_built_by_another_runtime_than_it_was_trained_with(
    shop: Shop, trained: Model
) -> None:
    assert {len(trained.probes), len(trained.training_probes)} == {8}
    assert trained.verdict in {"admitted", "undecided"}, trained.reasons
    with embedding(shop, "ctranslate2"):
        answer = shop.do("backfill", "g2", model_id=trained.model_id)
        assert answer.status == "done", answer.reason
        assert shop.do("retire", "g2").status == "done"


@pytest.mark.parametrize(
    ("generation", "texts", "said"),
    [
        ("g3", {"passage_size": 10, "passage_overlap": 2}, "embedder.passage_size is 10, was 240"),
        ("g4", {"text": ("Product: {title}",)}, "embedder.text is ['Product: {title}'], was "),
    ],
)
def test_an_embedder_that_makes_other_texts_of_products_does_not_build_it(
    shop: Shop, trained: Model, generation: str, texts: dict[str, object], said: str
) -> None:
    with embedding(shop, **texts):
        words = ("embedder: ", "serving differs from evaluation, cosine 0.", "of the product text", said)
        refused(shop, generation, trained, *words)


def prompted(directory: Path) -> None:
    """Put a prompt before every product."""
    description = json.loads((directory / DESCRIPTION).read_bytes())
    prompts = {"query": "", "document": "cheap lamp "}
    (directory / DESCRIPTION).write_text(json.dumps({**description, "prompts": prompts}))


def reworded(directory: Path, name: str = "tokenizer.json") -> None:
    """Take two words for each other."""
    tokenizer = json.loads((directory / name).read_bytes())
    words = tokenizer["model"]["vocab"]
    words["lamp"], words["chair"] = words["chair"], words["lamp"]
    (directory / name).write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(("generation", "damage"), [("g5", prompted), ("g6", reworded)])
def test_a_directory_that_was_changed_after_evaluation_is_not_built(
    shop: Shop, trained: Model, tmp_path: Path, generation: str, damage: object
) -> None:
    assert callable(damage)
    changed = copy_of(trained, tmp_path / generation)
    damage(tmp_path / generation)
    shop.publish(changed)
    with embedding(shop):
        refused(shop, generation, changed, "its record says", "the files, the prompts", force=True)


@pytest.mark.parametrize(("generation", "damage"), [("g7", prompted), ("g8", reworded)])
def test_a_directory_that_was_changed_between_training_and_evaluation_is_refused_by_both(
    shop: Shop, trained: Model, generation: str, damage: object
) -> None:
    assert callable(damage)
    folder = hand_over(shop, generation)
    directory = Path(done(shop, folder).location)
    (folder / RESULT).unlink()  # as if the job had been killed before its evaluation
    damage(directory)
    model = done(shop, folder)
    words = "evaluation differs from training, cosine "
    assert (model.verdict, model.reasons[0].startswith(words)) == ("refused", True), model.reasons
    shop.publish(model)
    with embedding(shop):
        refused(shop, generation, model, words, "at least 0.999", force=True)


def test_a_directory_that_was_changed_since_it_was_trained_elsewhere_is_not_imported(
    shop: Shop, trained: Model, tmp_path: Path
) -> None:
    environment = {"HEADRACE_DATA_DIR": str(shop.stack.settings.data_dir)}

    def imported(directory: Path) -> Result:
        arguments = ["import", str(directory), "--id", directory.name, "--json"]
        return CliRunner().invoke(models_app, arguments, env=environment)

    copy_of(trained, tmp_path / "as-it-was")
    answer = imported(tmp_path / "as-it-was")
    model = Model.decode(answer.stdout.splitlines()[-1].encode())
    assert model.training_probes == trained.training_probes
    copy_of(trained, tmp_path / "prompted")
    prompted(tmp_path / "prompted")
    answer = imported(tmp_path / "prompted")
    assert isinstance(answer.exception, ConfigurationError)
    assert "prompted: evaluation differs from training, cosine " in str(answer.exception)


def test_int8_that_is_said_to_be_fp32_is_not_built(shop: Shop, trained: Model) -> None:
    int8 = recorded(ModelSettings(), trained).model_copy(update={"precision": "int8"})
    fingerprint = describe(Path(trained.location), int8).fingerprint
    verdict = QuantizationVerdict(admitted=True, reason="all the same", overlap=1.0, queries=30)
    model = quantized(trained, "m-int8", fingerprint, verdict, NOW).model_copy(update={"precision": "fp32"})
    shop.publish(model)
    with embedding(shop):
        refused(shop, "g9", model, "its record says", "the precision")


def exchanged(entry: Path, others: Sequence[Path]) -> None:
    """Put the weights of another conversion in."""
    other = next(one for one in others if sha256_of(one / "model.bin") != sha256_of(entry / "model.bin"))
    shutil.copy(other / "model.bin", entry / "model.bin")


def reworded_entry(entry: Path, others: Sequence[Path]) -> None:
    reworded(entry, DESCRIBED)


@pytest.mark.parametrize(("generation", "damage"), [("g10", exchanged), ("g11", reworded_entry)])
def test_a_conversion_that_gives_other_vectors_is_not_served(
    shop: Shop, trained: Model, generation: str, damage: object
) -> None:
    assert callable(damage)
    with embedding(shop, "ctranslate2"):
        assert shop.do("backfill", f"{generation}-before", model_id=trained.model_id).status == "done"
        assert shop.do("retire", f"{generation}-before").status == "done"
    entries = [path.parent for path in conversions(shop).glob("*/model.bin")]
    [entry] = [entry for entry in entries if entry != live_entry(entries)]
    kept = {file: file.read_bytes() for file in entry.iterdir()}
    damage(entry, entries)
    checksums = {name: sha256_of(entry / name) for name in json.loads(kept[entry / CHECKSUMS])}
    (entry / CHECKSUMS).write_text(json.dumps(checksums))
    with embedding(shop, "ctranslate2"):
        refused(shop, generation, trained, "serving differs from evaluation, cosine", "of the ")
    for file, content in kept.items():
        file.write_bytes(content)


def conversions(shop: Shop) -> Path:
    return trainer(shop).model.cache


def live_entry(entries: Sequence[Path]) -> Path:
    """Return the conversion of the base, which was made first."""
    return min(entries, key=lambda entry: (entry / "model.bin").stat().st_ctime_ns)
