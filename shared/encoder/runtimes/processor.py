"""What this machine's processor has."""

from collections.abc import Iterable
from pathlib import Path


def processor() -> list[str]:
    """Return the lines of /proc/cpuinfo; none on a machine without it."""
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def has_amx(lines: Iterable[str]) -> bool:
    """Whether the lines of /proc/cpuinfo name AMX's bf16 tiles."""
    return any("amx_bf16" in line.split() for line in lines if line.startswith("flags"))
