"""A model where torch is not installed: converted before where it was, or made of its files alone.

Torch gives the reference that a conversion is compared with. Without it the reference is what was noted of
the model: vectors of a few texts, by torch, when it was trained, imported or (the packaged one) released.
Without those a model is served when every step from its files to its vectors is one that the tests hold
against torch: BERT's tokenizer, the transformer's family, the head. Any other needs torch, once.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from schemas.control import ModelProbe
from shared.encoder.conversions import Conversions
from shared.encoder.description import Encoding
from shared.encoder.directory import Module
from shared.encoder.parity import difference, noted_by, recorded_precision
from shared.encoder.pipeline import json_object
from shared.encoder.runtimes.head import read_transformer
from shared.encoder.runtimes.port import RuntimeName, UnsupportedModelError
from shared.encoder.runtimes.processor import may_have_cuda
from shared.encoder.sentence import SentenceEncoder
from shared.encoder.tokenizer_files import is_of_bert, read_tokenizer
from shared.errors import ConfigurationError
from shared.extras import TORCH, install_command, missing, require
from shared.settings import ModelSettings

FROM_FILES = ", of its files"
USUAL = {"is_decoder": False, "add_cross_attention": False, "pruned_heads": {}, "quantization_config": None}
"""What the configuration of a transformer says of these, if anything, where its weights say the rest."""
log = structlog.get_logger()


def load_without_torch(
    encoding: Encoding, settings: ModelSettings, noted: Sequence[ModelProbe]
) -> SentenceEncoder:
    """Load a checked directory (a second); `noted` are vectors that it is known to give.

    Raises `ConfigurationError`, with what to do, when the model or a setting needs torch, and when it gives
    other vectors than those.
    """
    _check_settings(settings)
    return _FromFiles(encoding, settings, noted).load()


class _FromFiles:
    """One model, made of what lies in its directory and in the cache."""

    def __init__(self, encoding: Encoding, settings: ModelSettings, noted: Sequence[ModelProbe]) -> None:
        self._directory = encoding.directory
        self._encoding = encoding
        self._settings = settings
        self._noted = noted
        self._conversions = Conversions(encoding, settings)

    def load(self) -> SentenceEncoder:
        """Return what was compared with torch and kept, or else what is converted here."""
        for name in _runtimes(self._settings):
            if (kept := self._kept(name)) is not None:
                return kept
        if self._settings.runtime == "onnx":
            raise ConfigurationError(f"{self._directory}: only torch exports it to ONNX: {_install()}")
        require("an embedding model", "ctranslate2")
        try:
            return self._converted()
        except UnsupportedModelError as error:
            raise ConfigurationError(f"{error}; only torch runs or exports it: {_install()}") from error

    def _kept(self, name: RuntimeName) -> SentenceEncoder | None:
        try:
            return self._conversions.kept(name)
        except (OSError, ModuleNotFoundError):  # the cache is not to be read, or the runtime is not here
            return None

    def _converted(self) -> SentenceEncoder:
        """Return the model as this start or an earlier one converts it."""
        try:
            return self._conversions.get("ctranslate2", self._convert, by=FROM_FILES)
        except OSError as error:
            _say_that_nothing_is_kept(str(error), str(self._settings.cache))
            with TemporaryDirectory() as place:
                self._convert(Path(place))
                return self._conversions.load("ctranslate2", Path(place))

    def _convert(self, target: Path) -> None:
        """Write the model into a directory, and hold it against what was noted."""
        from shared.encoder.runtimes.ctranslate2_conversion import convert  # noqa: PLC0415 - heavy

        transformer = read_transformer(self._directory).module
        if not self._noted and not (_is_usual(transformer) and is_of_bert(transformer)):
            raise ConfigurationError(
                f"{self._directory}: nobody noted vectors of it to compare with, and its configuration or "
                f"tokenizer is not one that is known without torch: {_install()}"
            )
        convert(transformer.folder, target)
        read_tokenizer(transformer, self._encoding.max_tokens).write(target)
        encoder = self._conversions.load("ctranslate2", target)
        given = noted_by(encoder, self._noted)
        if words := difference(self._noted, given, precision=recorded_precision(self._settings)):
            raise ConfigurationError(
                f"{self._directory}: converted, it does not give the vectors that were noted, {words}: "
                f"{_install()}"
            )
        directory = str(self._directory)
        log.info("model.converted", runtime="ctranslate2", directory=directory, compared=len(given))


def _check_settings(settings: ModelSettings) -> None:
    wanted = (
        ("model.runtime", settings.runtime, "torch"),
        ("model.device", settings.device, "cuda"),
        ("model.precision", settings.precision, "bf16"),
    )
    for name, value, of_torch in wanted:
        if value == of_torch:
            raise ConfigurationError(missing(f"{name} {value}", TORCH[0]))
    if settings.precision == "int8" and settings.runtime == "onnx":
        raise ConfigurationError("model.runtime: int8 is computed by ctranslate2, not by onnx")
    if may_have_cuda(settings.device):
        _say_that_gpus_need_torch()


def _runtimes(settings: ModelSettings) -> Sequence[RuntimeName]:
    if settings.precision == "int8" or settings.runtime == "ctranslate2":
        return ("ctranslate2",)
    return ("onnx",) if settings.runtime == "onnx" else ("ctranslate2", "onnx")


def _is_usual(transformer: Module) -> bool:
    config = json_object(transformer.folder / "config.json")
    return all(config.get(name, usual) == usual for name, usual in USUAL.items())


def _install() -> str:
    return (
        f"{install_command('learn')}, or `headrace models convert` where that is, with the same model.cache"
    )


@cache
def _say_that_gpus_need_torch() -> None:
    log.warning("model.runtime", reason="a GPU runs models by torch alone", fix=install_command("learn"))


@cache
def _say_that_nothing_is_kept(error: str, directory: str) -> None:
    log.warning(
        "model.cache_unusable",
        error=error,
        fix=f"the model is converted at each start: make {directory} writable, or set model.cache",
    )
