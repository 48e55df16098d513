"""How a model is fitted: every number that decides what comes out, the data set and the base apart."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationError

from schemas.base import Scalar, Value
from schemas.control import ModelKind
from shared.errors import ConfigurationError

Share = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, le=100)]
Many = Annotated[int, Field(ge=1, le=4096)]

QUICK: Mapping[str, Scalar] = {"epochs": 2, "layers": 3, "learning_rate": 1e-4, "max_tokens": 48}
"""Options of a fit in minutes on two cores: half of the layers are learned."""


class Recipe(Value):
    """The settings of one fit; a name that does not exist is refused.

    The rate was chosen on ESCI with human grades (100 queries learned, 50 novel, one epoch, whole vectors
    only): 5e-5 gave nDCG@10 +0.082 in-domain and +0.015 on novel queries, the latter's interval around zero;
    2e-5 gave less. Half of the layers at 1e-4 gave about as much at little more than half the cost.
    """

    model_config = ConfigDict(extra="forbid")

    kind: ModelKind = "encoder"
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0

    weighted: bool = True
    """Generalised contrastive learning: what a judgement is worth is the weight of its term."""
    weight_limit: Annotated[float, Field(gt=0)] = 4.0
    """What a judgement is worth at most; a product that sells ten times the average is not ten products."""
    positive_grade: Annotated[float, Field(ge=0, le=3)] = 1.5
    """From here on a product is right for its query; 1.5 is what an average product gets."""
    contrast: Share = 0.5
    """A product worth less than this share of a better one is a negative beside it; 0: only those that are
    not right at all."""
    both_directions: bool = True
    """Products look for their queries, too."""
    scale: Annotated[float, Field(gt=0, le=1000)] = 20.0
    """The inverse temperature."""
    views: tuple[str, ...] = ()
    """Fields of a product, each a positive view of it beside its text (multi-field documents)."""
    view_share: Share = 0.3
    """How often a view stands in for the text."""
    prefixes: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        1.0,
        1 / 2,
        1 / 3,
        1 / 6,
    )
    """Shares of the dimensions that must each be a good vector (Matryoshka, arXiv 2205.13147)."""
    binarise: Strength = 0.0
    """Strength of the term that makes the signs of a vector alone a good code."""
    keep: Strength = 0.0
    """Strength of the term against forgetting: general texts stay as similar as the base has them."""
    general_texts: Many = 32
    """Of them, drawn for each batch."""
    blend: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How far the weights go from the base's (0) to the fitted ones (1) in the end (WiSE-FT, arXiv
    2109.01903)."""

    negatives: Annotated[int, Field(ge=0, le=100)] = 2
    """Negatives of each query in a batch, of the mined and the random ones."""
    curriculum: bool = True
    """Negatives are random in the first epochs; easy, medium and hard ones join them, in this order."""
    guard: Annotated[float, Field(gt=0)] = 0.95
    """Cosine to a right product from which on another query's product is no negative; above 1: never."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 2
    queries: Many = 16
    """Different ones in a batch."""
    products: Many = 8
    """Judged ones of each query in a batch."""
    rows: Many = 32
    """Texts in a forward pass."""
    cached: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Texts from which on a batch is computed twice, in little memory (GradCache, arXiv 2101.06983)."""
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-5
    warm_up: Share = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    lora: Annotated[int, Field(ge=0, le=1024)] = 0
    """Rank of the adapters that are learned instead of the weights (arXiv 2106.09685), merged in the end;
    0: the weights themselves."""
    layers: Annotated[int, Field(ge=0, le=1000)] = 0
    """Transformer layers that are learned, from the top; the rest and the embeddings stay; 0: everything."""
    patience: Annotated[int, Field(ge=1)] = 2
    """Epochs without a better validation nDCG before it ends."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 20

    @classmethod
    def of(cls, options: Mapping[str, Scalar | tuple[Scalar, ...]]) -> Self:
        """Return the defaults changed by `options`; raises `ConfigurationError` that names the wrong one."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            fault = error.errors()[0]
            name = ".".join(map(str, fault["loc"]))
            raise ConfigurationError(f"recipe: {name}: {fault['msg']}") from error

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Return the rate of a step (from 0): rising to the full one, then falling in a line to nothing."""
        rising = (step + 1) / max(1.0, steps * self.warm_up)
        return self.learning_rate * min(1.0, rising) * (1 - step / max(1, steps))
