"""The Faust app of a worker: no tables, no web server, one agent, on the commands.

A plain `faust.App`; what of aiokafka below it is patched is in `shared.kafka.fetcher`.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import faust
import structlog
from faust.types import AppT, StreamT

from schemas.control import Command
from shared.kafka import fetcher
from shared.kafka.connection import connection
from shared.process.commands import Commands
from shared.settings import Settings

AGAIN = timedelta(seconds=5)
"""Between a crash of the app and its next start."""
LEAVING = timedelta(seconds=5)
"""What it gets to leave its group in."""
log = structlog.get_logger()


def faust_app(
    settings: Settings, worker: str, commands: Commands, *, loop: asyncio.AbstractEventLoop
) -> AppT:
    """Return the app, whose agent hands each command on, and acknowledges none.

    Nobody reads what would be committed (`Commands` knows where to begin), and a commit that waits for a
    broker that is away keeps Faust from stopping, for ever.
    """
    if settings.kafka_embedded:
        fetcher.pause_after_empty_answers()
    credentials = _credentials(connection(settings))
    app = faust.App(
        f"{settings.namespace}-{worker}-{settings.member}",
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        loop=loop,
        web_enabled=False,
        store="memory://",
        datadir=settings.data_dir / "faust",
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_session_timeout=10,
        broker_heartbeat_interval=3,
        broker_request_timeout=15,  # longer than the session; bounds a stop whose broker hangs
        consumer_auto_offset_reset="earliest",  # `Commands` knows which of them are for this process
        stream_wait_empty=False,
        worker_redirect_stdouts=False,
        **({"broker_credentials": credentials} if credentials else {}),
    )
    topic = app.topic(
        settings.topic_prefix + Command.topic,
        key_serializer="raw",
        value_serializer="raw",
        value_type=bytes,
    )

    async def execute(stream: StreamT) -> None:
        async for event in stream.noack().events():
            message = event.message
            await commands.take(event.value, partition=message.partition, offset=message.offset)

    app.agent(topic, concurrency=1, name=f"{worker}.commands")(execute)
    return app


class CommandAgent:
    """The component that runs the app, and a new one when it has crashed.

    Faust ends at whatever its consumer meets: a topic or group without rights, a broker that is away while it
    starts. Only commands wait for it then, and they begin where the last one was carried out.
    """

    def __init__(self, build: Callable[[], AppT]) -> None:
        self._build = build
        self._app: AppT | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name="commands")

    async def stop(self) -> None:
        """End; Faust leaves its group."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._end()

    async def _run(self) -> None:
        while True:
            self._app = self._build()
            reason: BaseException | None = None
            try:
                await self._app.start()
                await self._app.wait_for_stopped(asyncio.Event().wait())
                reason = self._app.crash_reason
            except Exception as error:  # noqa: BLE001 - Faust's: of any kind, and none of ours
                reason = error
            log.warning("commands.away", reason=repr(reason), again_in=f"{AGAIN.total_seconds():g} s")
            await self._end()
            await asyncio.sleep(AGAIN.total_seconds())

    async def _end(self) -> None:
        app, self._app = self._app, None
        if app is None:
            return
        try:
            async with asyncio.timeout(LEAVING.total_seconds()):
                await app.stop()
        except Exception as error:  # noqa: BLE001 - as above; what it leaves behind ends with its session
            log.warning("commands.left", reason=repr(error))


def _credentials(reach: Mapping[str, Any]) -> Any:  # Any: Faust's credentials have no common type
    context = reach.get("ssl_context")
    if context is None:
        return None
    if "sasl_mechanism" in reach:
        return faust.SASLCredentials(
            username=reach["sasl_plain_username"],
            password=reach["sasl_plain_password"],
            mechanism=reach["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context)
