"""`python -m services.shards`: run the shards worker."""

from services.shards.app import build
from services.shards.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
