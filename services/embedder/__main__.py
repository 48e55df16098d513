"""Start an embedder: `python -m services.embedder`."""

from services.embedder.app import build
from services.embedder.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
