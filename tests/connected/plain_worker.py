"""A worker that follows the rollout log and does no more: `python -m tests.connected.plain_worker`."""

import sys

from shared.generations.rollout_log import RolloutLog
from shared.process import logs
from shared.process.worker import Worker
from shared.settings import Settings

if __name__ == "__main__":
    settings = Settings.load()
    logs.configure(settings.log, worker="plain")
    process = Worker("plain", settings, port=0)
    process.add(RolloutLog(settings))
    sys.exit(process.run())
