"""How sentence-transformers and what lies below it are used: no network, no terminal, no code of models."""

from typing import Any

import huggingface_hub.constants
import torch
import transformers


def quiet() -> None:
    """Keep the libraries off the network and off the terminal."""
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it is
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # likewise


def loading(device: str, precision: torch.dtype = torch.float32) -> dict[str, Any]:  # Any: keyword arguments
    """Return how a checked directory is loaded: local safetensors, no code."""
    return {
        "device": device,
        "local_files_only": True,
        "trust_remote_code": False,
        "model_kwargs": {"use_safetensors": True, "dtype": precision},
    }
