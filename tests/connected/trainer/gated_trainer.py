"""A trainer whose jobs wait at a test's gate (`gated_job`)."""

from functools import wraps

from services.trainer import app
from services.trainer.settings import Settings
from shared.process.worker import Worker, run


@wraps(app.build)  # by whose module the worker is called
def build(settings: Settings) -> Worker:
    return app.build(settings, program="tests.connected.trainer.gated_job")


if __name__ == "__main__":
    run(Settings, build)
