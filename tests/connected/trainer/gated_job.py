"""Does a job as `services.trainer.jobs.run` does, but learns no step that a test does not let it learn.

A gate is a pipe on which the test writes a byte a step. So a job is where the test wants it when the test
looks, on a slow machine and on a quick one.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from services.trainer.jobs import run

GATE = "GATE"


def report(stage: str, share: float, figures: Mapping[str, float]) -> None:
    """Tell the worker how far it is, then wait for leave to go on."""
    run.report(stage, share, figures)
    if stage == "training":
        pipe = os.open(os.environ[GATE], os.O_RDONLY)
        os.read(pipe, 1)
        os.close(pipe)


if __name__ == "__main__":
    sys.exit(run.main(Path(sys.argv[1]), report))
