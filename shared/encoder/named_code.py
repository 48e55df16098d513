"""What in a model's configuration would make the libraries import and run something."""

from collections.abc import Iterator
from typing import Any

ACTIVATION = frozenset({"activation_fn", "activation_function", "sbert_ce_default_activation_function"})
"""By these, a configuration names what is imported and called, without a value, while the model is loaded."""
NAMES = (
    *("CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU"),
    *("LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax"),
    *("Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
)
ACTIVATIONS = frozenset(
    {"torch.nn.Identity", "torch.nn.modules.linear.Identity"}
    | {f"torch.nn.{name}" for name in NAMES}
    | {f"torch.nn.modules.activation.{name}" for name in NAMES}
)
"""What may be named: functions of numbers, which are made without a value and do nothing else."""


def named_code(configuration: Any) -> str:  # Any: JSON from outside
    """Return what a configuration (JSON) has the libraries run that is not allowed; empty: nothing."""
    for name, value in _items(configuration):
        if name == "auto_map":
            return "auto_map names code to run; such models are not loaded"
        if name in ACTIVATION and not _is_activation(value):
            return (
                f"{name} is {str(value)[:100]!r}: give one of torch.nn.modules.activation, such as "
                "torch.nn.modules.activation.Sigmoid, or torch.nn.modules.linear.Identity"
            )
    return ""


def _is_activation(value: Any) -> bool:  # Any: as above
    """Whether this names an activation; a name without a dot is of transformers' own table of functions."""
    return value is None or (isinstance(value, str) and ("." not in value or value in ACTIVATIONS))


def _items(value: Any) -> Iterator[tuple[str, Any]]:  # Any: as above
    """Yield every key of every object in a JSON value, with what it has."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as inside:
                yield from inside.items()
                waiting.extend(inside.values())
            case list() as inside:
                waiting.extend(inside)
