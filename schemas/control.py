"""Jobs, models, roll-outs and commands: the low-rate topics that steer the workers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.base import (
    Fingerprint,
    GenerationName,
    Identifier,
    Message,
    Offset,
    Scalar,
    Score,
    Timestamp,
    Value,
)

ModelKind = Literal["encoder", "reranker", "late-interaction"]
"""An embedding model; a cross-encoder that scores (query, product); a multi-vector model (ColBERT)."""


class OffsetRange(Value):
    """A half-open range of one partition: `start <= offset < end`."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    start: Offset
    end: Offset


class TrainingJob(Message):
    """One fine-tuning job and how far it has come."""

    topic: ClassVar[str] = "training.jobs.v1"

    job_id: Identifier
    status: Literal["requested", "leased", "running", "succeeded", "failed", "superseded"]
    reason: Literal["periodic", "drift", "volume", "manual"]
    kind: ModelKind = "encoder"
    base_model: str
    """The id of a model of `models.v1`; empty: the model that the trainer is configured with."""
    seed: Annotated[int, Field(ge=0)] = 0
    data: tuple[OffsetRange, ...] = ()
    """Of the judgements; empty: what there is when the job is taken."""
    options: Mapping[str, Scalar] = {}
    """Settings of the recipe that this job changes, by name."""
    dataset: str = ""
    """The name of the data set that was built for it."""
    model_id: Identifier | None = None
    """The model that came out."""
    stage: str = ""
    """What is being done, in a word: dataset, training, evaluation."""
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    attempt: Annotated[int, Field(ge=0)] = 0
    """How many workers have taken it."""
    worker: str = ""
    error: str = ""
    updated_at: Timestamp

    def key(self) -> bytes:
        """Return the job's id."""
        return self.job_id.encode()


class ModelProbe(Value):
    """A text, and the vector that a model gave it."""

    role: Literal["query", "document"]
    text: str
    vector: str
    """Base64 of float16, little-endian, of length one."""


class ProductRecipe(Value):
    """How a product becomes the texts that are embedded."""

    templates: tuple[str, ...]
    """A line each, of its attributes."""
    passage_size: Annotated[int, Field(ge=1)]
    passage_overlap: Annotated[int, Field(ge=0)]
    passages: Annotated[int, Field(ge=1)]
    """Tokens of a passage, those that neighbours share, and how many passages there are at most."""


class Model(Message):
    """A model that was built: its lineage, its figures, and the verdict on it."""

    topic: ClassVar[str] = "models.v1"

    model_id: Identifier
    kind: ModelKind = "encoder"
    fingerprint: Fingerprint
    location: str
    """Its directory, as the workers see it."""
    precision: Literal["fp32", "int8"] = "fp32"
    """In what it computes. In int8 its vectors are others, and so is its fingerprint; bf16 counts as fp32."""
    dimensions: Annotated[int, Field(ge=1, le=8192)]
    base_fingerprint: Fingerprint | None = None
    job_id: Identifier | None = None
    verdict: Literal["admitted", "refused", "undecided", "imported"]
    """Undecided: what was shown to shoppers so far cannot tell; a trial can."""
    reasons: tuple[str, ...] = ()
    """Why, a sentence each; the first says better by how much, for whom, how sure, and what next."""
    trial_sessions: Annotated[int, Field(ge=1)] | None = None
    """Of an undecided one: interleaved sessions after which a trial has probably decided."""
    metrics: Mapping[str, Score] = {}
    dense_weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of vectors beside words in hybrid search; of a reranker, of the order before it beside its own: fitted
    for it on this shop's queries."""
    threshold: Score | None = None
    """The score below which a product is not relevant, fitted likewise."""
    dataset: str = ""
    probes: tuple[ModelProbe, ...] = ()
    """As evaluation had them: by these a worker makes sure that it gives the vectors that were evaluated."""
    training_probes: tuple[ModelProbe, ...] = ()
    """As training left them."""
    product_recipe: ProductRecipe | None = None
    """How evaluation made texts of products; None: it had no products."""
    lineage: tuple[OffsetRange, ...] = ()
    seed: Annotated[int, Field(ge=0)] = 0
    code_version: str = ""
    created_at: Timestamp

    def key(self) -> bytes:
        """Return the model's id."""
        return self.model_id.encode()


class TrialTerms(Value):
    """On what terms a generation is tried beside the live one, set before the first session."""

    share: Annotated[float, Field(gt=0, le=0.8)] = 0.5
    """Of the sessions, those that get interleaved answers; the rest is what guardrails compare with."""
    sessions: Annotated[int, Field(ge=1)] | None = None
    """Interleaved sessions after which it ends in any case; absent: what comes within `days`."""
    days: Annotated[int, Field(ge=1, le=365)] = 28
    window_seconds: Annotated[int, Field(ge=1, le=24 * 3600)] = 3600
    """After a session's first answer, until when what it does counts, by the broker's clock."""
    objective: Mapping[str, Annotated[float, Field(ge=0, le=1000)]] = {}
    """What an action is worth, by name; empty: as the judgements' objective has it."""
    error: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """The probability of promoting a generation that is no better, however often one looks: this trial's
    part of what all trials of a year may err together."""
    equal: Annotated[float, Field(gt=0, le=0.5)] = 0.015
    """Two are as good as equal when the whole interval lies within so much either way, of what shoppers
    choose; 1.5 % of that is about what 2 % of nDCG@10 are."""
    promote: Literal["at once", "when asked"] = "when asked"


TrialEnd = Literal["better", "worse", "no difference", "not enough sessions", "void", "stopped"]
"""`better`: promoted, or to be promoted by a message; `worse`: refused; `void`: it said nothing, since the
teams had unequal places, sessions did not come in the ratio that was asked for, or the live one changed."""


class Rollout(Message):
    """Which generations answer searches, and with what share of the sessions.

    A message is a request; the rollout worker answers it on the same topic, with the same `request_id` and
    what became of it: done, refused, or running (a backfill, until it is done). The state of all generations
    is the sum of the answers; of two final answers to one request the first counts.
    """

    topic: ClassVar[str] = "rollout.v1"

    request_id: Identifier | None = None
    """Tells a request from the next; absent: its place in the topic."""
    status: Literal["requested", "running", "done", "refused"] = "requested"
    action: Literal["backfill", "shadow", "trial", "stop", "ramp", "promote", "rollback", "retire"]
    generation: GenerationName
    model_id: Identifier | None = None
    model: Model | None = None
    """In the answer to a backfill: the model as it was then."""
    force: bool = False
    """Build with a model that the evaluation refused; promote one that it left undecided, without a trial."""
    weights: Mapping[GenerationName, Annotated[float, Field(ge=0, le=1)]] = {}
    trial: TrialTerms | None = None
    """Of the action `trial`: its terms; its answer is running until it is done, with its end."""
    end: TrialEnd | None = None
    reason: str = ""
    requested_at: Timestamp

    def key(self) -> bytes:
        """Return the generation."""
        return self.generation.encode()


class Command(Message):
    """An order to workers: `worker` names the kind, empty means every one."""

    topic: ClassVar[str] = "control.commands.v1"

    command_id: Identifier
    name: Literal["canaries.run", "shards.snapshot", "shards.rebuild", "log.level"]
    worker: str = ""
    arguments: Mapping[str, str] = {}
    requested_at: Timestamp

    def key(self) -> bytes:
        """Return the command's id."""
        return self.command_id.encode()
