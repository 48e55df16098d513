"""What this machine's processor has."""

from collections.abc import Iterable
from pathlib import Path

DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""What there is on a machine with a GPU: NVIDIA's driver, WSL's, AMD's."""


def processor() -> list[str]:
    """Return the lines of /proc/cpuinfo; none on a machine without it."""
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def has_amx(lines: Iterable[str]) -> bool:
    """Whether the lines of /proc/cpuinfo name AMX's bf16 tiles."""
    return any("amx_bf16" in line.split() for line in lines if line.startswith("flags"))


def may_have_cuda(device: str) -> bool:
    """Whether torch is worth asking for a GPU, without loading it: some driver is there."""
    return device != "cpu" and any(Path(name).exists() for name in DRIVERS)
