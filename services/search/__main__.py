"""`python -m services.search` runs the search worker."""

from services.search.app import build
from services.search.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
