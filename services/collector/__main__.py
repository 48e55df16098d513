"""`python -m services.collector` runs the collector."""

from services.collector.app import build
from services.collector.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
