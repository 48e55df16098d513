"""`python -m services.monitor` runs the monitor."""

from services.monitor.app import build
from services.monitor.settings import Settings
from shared.process.worker import run

if __name__ == "__main__":
    run(Settings, build)
