"""`python -m services.judgements` runs the judgements worker."""

from services.judgements.app import build
from services.judgements.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
