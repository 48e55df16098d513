"""Which workers an installation has, each a process of its own; light to import."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class WorkerSpec:
    """One worker process: `python -m services.<kind>`; several of a kind have different names."""

    kind: str
    name: str = ""
    port: int = 0
    """HTTP port; 0 takes a free one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    module: str = ""

    @property
    def label(self) -> str:
        """Its name, which is its kind unless there are several."""
        return self.name or self.kind


CORE = ("shards", "embedder", "search", "judgements", "monitor", "collector")
LEARNING = ("negatives", "trainer", "rollout")
WORKERS = tuple(WorkerSpec(kind) for kind in (*CORE, *LEARNING))
"""One worker of each kind, in the order of their start, each on a free port."""
