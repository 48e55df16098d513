"""Without torch a model gives torch's vectors, by its files or by what was converted before; or a reason."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers.sentence_transformer.modules import Pooling

from schemas.control import ModelProbe
from services.lab.models.shapes import SERVED, make
from shared.encoder.description import read_encoding
from shared.encoder.loading import converted, load_encoder
from shared.encoder.parity import difference, noted_by, packaged_probes, probes_of
from shared.encoder.runtimes.port import AGREEMENT
from shared.encoder.sentence import SentenceEncoder
from shared.encoder.without_torch import load_without_torch
from shared.errors import ConfigurationError
from shared.ports import Encoder
from shared.settings import ModelSettings
from tests.unit.encoder.test_runtimes import MODELS, saved
from tests.unit.encoder.test_shapes import NOT_CONVERTED, TEXTS
from tests.without_torch import BLOCKED, environment

CONVERTED = [name for name in SERVED if name not in NOT_CONVERTED]


def settings(directory: Path, **changed: object) -> ModelSettings:
    usual = {"device": "cpu", "threads": 2, "cache": directory.parent / "cache", "path": directory}
    return ModelSettings.model_validate({**usual, **changed})


def without(directory: Path, noted: Sequence[ModelProbe] = (), **changed: object) -> SentenceEncoder:
    model = settings(directory, **changed)
    return load_without_torch(read_encoding(directory, model), model, noted)


def by_torch(directory: Path) -> Encoder:
    return load_encoder(settings(directory, runtime="torch", precision="fp32"))


def least_cosine(encoder: Encoder, other: Encoder) -> float:
    pairs = (
        (encoder.encode_queries, other.encode_queries),
        (encoder.encode_documents, other.encode_documents),
    )
    return min(float((one(TEXTS) * two(TEXTS)).sum(axis=1).min()) for one, two in pairs)


def blocked(place: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program where torch and what needs it cannot be imported."""
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(place / "blocked")
    )


@pytest.mark.parametrize("name", CONVERTED)
def test_a_shape_that_is_converted_gives_torchs_vectors_by_its_files_alone(name: str, tmp_path: Path) -> None:
    directory = make(name, tmp_path / "model")
    encoder, torchs = without(directory), by_torch(directory)
    assert encoder.runtime.name == "ctranslate2"
    assert encoder.fingerprint == torchs.fingerprint
    assert least_cosine(encoder, torchs) >= AGREEMENT


@pytest.mark.parametrize("name", NOT_CONVERTED)
def test_a_shape_that_only_torch_runs_is_refused_with_the_command_that_installs_it(
    name: str, tmp_path: Path
) -> None:
    directory = make(name, tmp_path / "model")
    done = blocked(
        tmp_path,
        "from pathlib import Path\n"
        "from shared.encoder.loading import load_encoder\n"
        "from shared.settings import ModelSettings\n"
        f"directory = Path({str(directory)!r})\n"
        "load_encoder(ModelSettings(path=directory, cache=directory.parent / 'cache'))",
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("shared.errors.ConfigurationError: ")
    assert "torch" in last
    assert "make install" in last


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_family_that_is_converted_gives_the_vectors_that_torch_noted(family: str, tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS[family](), Pooling(32))
    torchs = by_torch(directory)
    assert least_cosine(without(directory, probes_of(torchs)), torchs) >= AGREEMENT


def test_other_vectors_than_those_that_were_noted_refuse_the_model(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    other = saved(tmp_path / "other", MODELS["distilbert"](), Pooling(32))
    with pytest.raises(
        ConfigurationError, match=r"does not give the vectors that were noted, cosine .*make inst"
    ):
        without(directory, probes_of(by_torch(other)))
    assert without(directory, probes_of(by_torch(directory))), "and that is not remembered"


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer"}),
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"strip_accents": True}),
        ("tokenizer_config.json", {"cls_token": "[SEP]"}),
        ("tokenizer_config.json", {"pad_token": "<pad>"}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"99": {"content": "brandnew"}}}),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}),
        ("tokenizer.json", {"normalizer": None}),
        ("config.json", {"is_decoder": True}),
    ],
    ids=str,
)
def test_what_is_not_known_without_torch_needs_vectors_that_were_noted(
    file: str, changed: dict[str, object], tmp_path: Path
) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    content = json.loads((directory / file).read_bytes())
    (directory / file).write_text(json.dumps({**content, **changed}))
    with pytest.raises(ConfigurationError, match="nobody noted vectors of it"):
        without(directory)


def test_a_model_without_a_description_of_its_tokenizer_needs_torch(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    noted = probes_of(by_torch(directory))
    (directory / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match=r"has no tokenizer.json; only torch .*make install"):
        without(directory, noted)


@pytest.mark.parametrize("runtime", ["auto", "onnx"])
def test_what_was_converted_where_torch_is_runs_without_it(runtime: str, tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["mpnet"](), Pooling(32))
    with pytest.raises(ConfigurationError, match="make install, or `headrace models convert` where that"):
        without(directory, runtime=runtime)
    assert converted(settings(directory)) == "onnx"
    torchs = by_torch(directory)
    encoder = without(directory, runtime=runtime)
    assert encoder.runtime.name == "onnx"
    assert least_cosine(encoder, torchs) >= AGREEMENT


@pytest.mark.parametrize(
    ("setting", "value"), [("runtime", "torch"), ("device", "cuda"), ("precision", "bf16")]
)
def test_a_setting_that_needs_torch_is_refused_by_its_name(setting: str, value: str, tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    words = f"model.{setting} {value} needs the package torch: make install"
    with pytest.raises(ConfigurationError, match=words):
        without(directory, **{setting: value})


def test_int8_needs_no_torch_either(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    whole, int8 = without(directory), without(directory, precision="int8")
    assert int8.fingerprint != whole.fingerprint
    assert 0.95 < least_cosine(whole, int8) < 0.99999


def test_where_nothing_can_be_kept_the_model_is_converted_at_each_start(tmp_path: Path) -> None:
    directory = saved(tmp_path / "model", MODELS["bert"](), Pooling(32))
    (tmp_path / "cache").write_text("a file where a directory should be")
    for _ in range(2):
        np.testing.assert_allclose(
            without(directory).encode_documents(TEXTS), by_torch(directory).encode_documents(TEXTS), atol=2e-5
        )


def test_the_vectors_that_are_noted_of_the_packaged_model_are_torchs() -> None:
    model = ModelSettings(device="cpu", runtime="torch", precision="fp32")
    noted = packaged_probes(model)
    assert len(noted) == 8
    assert difference(noted, noted_by(load_encoder(model), noted), precision="fp32") == ""


def test_settings_that_make_another_model_have_no_noted_vectors(tmp_path: Path) -> None:
    assert packaged_probes(ModelSettings())
    for changed in ({"path": tmp_path}, {"query_prompt": "q: "}, {"max_tokens": 64}):
        assert packaged_probes(ModelSettings.model_validate(changed)) == ()


def test_the_packaged_model_gives_torchs_vectors_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    done = blocked(
        tmp_path,
        "import sys, json\n"
        "from pathlib import Path\n"
        "from shared.encoder.loading import load_encoder\n"
        "from shared.settings import ModelSettings\n"
        f"encoder = load_encoder(ModelSettings(cache=Path({str(tmp_path / 'cache')!r})))\n"
        f"rows = encoder.encode_documents({TEXTS!r})\n"
        f"loaded = [name for name in {BLOCKED!r} if sys.modules.get(name)]\n"
        "print(json.dumps([loaded, encoder.runtime.name, rows.tolist()]))",
    )
    assert done.returncode == 0, done.stderr
    loaded, runtime, rows = json.loads(done.stdout.splitlines()[-1])
    assert (loaded, runtime) == ([], "ctranslate2")
    torchs = load_encoder(ModelSettings(device="cpu", runtime="torch", precision="fp32"))
    assert (np.array(rows) * torchs.encode_documents(TEXTS)).sum(axis=1).min() >= AGREEMENT


@pytest.mark.parametrize(
    ("program", "what"),
    [
        (
            (
                "from services.search.app import build\n"
                "from services.search.settings import Settings\n"
                "build(Settings.model_validate({'search': {'reranker': {'model': '/model'}}}))"
            ),
            "search.reranker.model",
        ),
        (
            (
                "from services.negatives.app import build\n"
                "from services.negatives.settings import Settings\n"
                "build(Settings.model_validate({'negatives': {'cross_encoder': '/model'}}))"
            ),
            "negatives.cross_encoder",
        ),
        (
            (
                "from services.trainer.app import build\n"
                "from services.trainer.settings import Settings\n"
                "build(Settings())"
            ),
            "the trainer",
        ),
    ],
    ids=["search", "negatives", "trainer"],
)
def test_a_worker_that_is_configured_to_need_torch_says_so_before_it_starts(
    program: str, what: str, tmp_path: Path
) -> None:
    done = blocked(tmp_path, program)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f"shared.errors.ConfigurationError: {what} needs the package torch: make install"
