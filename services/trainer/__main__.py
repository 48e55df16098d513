"""`python -m services.trainer` runs the trainer."""

from services.trainer.app import build
from services.trainer.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
