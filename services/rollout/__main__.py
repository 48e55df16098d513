"""`python -m services.rollout` runs the rollout worker."""

from services.rollout.app import build
from services.rollout.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
