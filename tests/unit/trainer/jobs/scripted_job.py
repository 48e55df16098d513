"""A job's process that does what the test says in `SCRIPT`: no data set, no model, no time."""

import os
import signal
import sys
from pathlib import Path

from schemas.control import Model
from services.trainer.jobs.task import RESULT, TASK, ProgressMessage, Task, model_id_of

SCRIPT = "SCRIPT"


def say(**values: object) -> None:
    sys.stdout.write(ProgressMessage(**values).model_dump_json() + "\n")
    sys.stdout.flush()


def main(folder: Path) -> int:
    task = Task.model_validate_json((folder / TASK).read_bytes())
    for word in os.environ[SCRIPT].split():
        if word == "noise":
            sys.stdout.write("a library says something\n")
        elif word == "wait":
            signal.pause()
        elif word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif word.isdigit():
            return int(word)
        elif word == "result":
            model = Model(
                model_id=model_id_of(task.job.job_id),
                fingerprint="0" * 16,
                location=str(folder),
                dimensions=8,
                verdict="admitted",
                dataset="d-1",
                created_at=task.job.updated_at,
            )
            (folder / RESULT).write_bytes(model.encode())
        else:
            stage, _, value = word.partition("=")
            say(**({"error": value} if stage == "error" else {"stage": stage, "share": float(value)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
