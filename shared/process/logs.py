"""Logs are events: `log.info("segment.sealed", shard=3, rows=8192)`."""

import logging
import sys
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from shared.settings import LogSettings

if TYPE_CHECKING:
    from structlog.typing import Processor

REPEAT_SECONDS = 10.0


class RateLimit(logging.Filter):
    """Lets one line of a kind (logger and template) through every few seconds; aiokafka writes dozens."""

    def __init__(self, seconds: float = REPEAT_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this line is the first of its kind for a while."""
        kind, now = (record.name, str(record.msg)[:60]), monotonic()
        if now - self._last.get(kind, -self._seconds) < self._seconds:
            return False
        self._last[kind] = now
        return True


def configure(settings: LogSettings, *, worker: str) -> None:
    """Send structlog's and the libraries' lines to standard error in one format."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
        )
    )
    handler = logging.StreamHandler(sys.stderr)
    final = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    if settings.format == "json":
        final.insert(0, structlog.processors.format_exc_info)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=final))
    handler.addFilter(_quiet_libraries)
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    for library in ("aiokafka", "kafka"):
        handler_filter = RateLimit()
        for name in (library, *(n for n in logging.root.manager.loggerDict if n.startswith(f"{library}."))):
            logging.getLogger(name).addFilter(handler_filter)
    for chatty in ("faust", "httpx", "httpcore", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.CRITICAL)  # the worker itself says what made it crash
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(worker=worker)


def _quiet_libraries(record: logging.LogRecord) -> bool:
    """Drop the libraries' chatter below a warning."""
    return record.levelno >= logging.WARNING or not record.name.startswith(("aiokafka", "faust", "mode"))
