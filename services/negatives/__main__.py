"""`python -m services.negatives` runs the negatives worker."""

from services.negatives.app import build
from services.negatives.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
