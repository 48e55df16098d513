"""Many HTTP requests from one lean process, the same for every engine that is measured.

One thread over plain sockets; requests are made beforehand, and of an answer only its status is read and a
few bytes looked for: on two cores, whoever asks must not be what is measured. Its CPU is told apart.

With a rate the arrivals are those of a schedule that waits for nobody, and a search takes from when it was
due, not from when a connection was free for it. So a stall costs all that were due in it, as it does in a
shop (coordinated omission: Tene, "How not to measure latency").
"""

import random
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from multiprocessing.connection import Connection as Pipe

ANSWER_SECONDS = 10.0
"""An answer that takes longer is an error."""
SAID_SECONDS = 1.0
"""So often it is said what was seen since."""
RECEIVED = 1 << 16
IDLE_SECONDS = 1.0
"""A connection that was free for longer is not used again: its server may just be closing it."""
AWAY_SECONDS = 0.05
"""Between two attempts at a server that is away."""
GOOD = 200


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is asked, of whom, and how fast; either `clients` that ask again at once, or a `rate`."""

    host: str
    port: int
    requests: tuple[bytes, ...]
    """Whole HTTP/1.1 requests, asked in turn."""
    whole: bytes
    """What the body of a good answer has in it."""
    clients: int = 1
    """Closed loop: so many ask at once. With a rate: connections at most."""
    searches: int = 0
    """Closed loop: so many in all; 0: for `seconds`."""
    seconds: float = 0.0
    rate: float = 0.0
    """Open loop: arrivals a second; 0: closed loop."""
    poisson: bool = True
    """Whether arrivals come at random, as those of many shoppers do, or evenly."""
    seed: int = 1


@dataclass(slots=True)
class LoadPortion:
    """What was seen in a stretch of time."""

    ended: float = 0.0
    """Seconds since the load began."""
    latencies: list[float] = field(default_factory=list)
    """Seconds of the good answers."""
    errors: Counter[str] = field(default_factory=Counter)
    """How many of each kind: a status, `partial`, `no answer`, `connection`."""
    late: float = 0.0
    """Open loop: the most seconds by which the generator itself noticed an arrival too late."""
    cpu: float = 0.0
    """CPU-seconds of the generator so far."""
    last: bool = False


def generate(plan: LoadPlan, pipe: Pipe) -> None:
    """Run the load and send its portions; in their place a sentence, when nobody listens there."""
    try:
        HttpLoad(plan, pipe.send).run()
    except OSError as error:
        pipe.send(f"nobody answers at {plan.host}:{plan.port}: {error}")
    finally:
        pipe.close()


class Exchange:
    """One connection, and what is on its way there; a request is short, so it is sent at once."""

    __slots__ = ("_received", "due", "ended", "sent", "socket")

    def __init__(self, host: str, port: int) -> None:
        self._received = bytearray()
        self.due = self.sent = 0.0
        self.ended = time.perf_counter()
        self.socket = socket.create_connection((host, port), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes, due: float, now: float) -> None:
        """Send a request that was due then."""
        self.due, self.sent = due, now
        self._received.clear()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what has arrived; return whether the answer is whole. Raises `ConnectionError` at its end."""
        piece = self.socket.recv(RECEIVED)
        if not piece:
            raise ConnectionResetError
        self._received += piece
        return is_whole(self._received)

    def outcome(self, whole: bytes) -> str:
        """Return what kind of error the answer is; nothing when it is good."""
        status = int(self._received[9:12])
        if status != GOOD:
            return str(status)
        return "" if whole in self._received else "partial"

    @property
    def goes_on(self) -> bool:
        """Whether the server keeps the connection."""
        head = bytes(self._received.partition(b"\r\n\r\n")[0]).lower()
        return head.startswith(b"http/1.1") and b"\r\nconnection: close" not in head


def is_whole(received: bytes | bytearray) -> bool:
    """Return whether this is all of one HTTP/1.1 answer, whose length is said or which is in chunks."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(received[:end]).lower()
    start = head.find(b"content-length:")
    if start < 0:
        return received.endswith(b"\r\n0\r\n\r\n")
    length = int(head[start + 15 :].split(b"\r\n", 1)[0])
    return len(received) >= end + 4 + length


class HttpLoad:
    """The load itself; says a `LoadPortion` to `emit` every second and at the end."""

    def __init__(self, plan: LoadPlan, emit: Callable[[LoadPortion], None]) -> None:
        self._plan = plan
        self._emit = emit
        self._requests = cycle(plan.requests)
        self._selector = selectors.DefaultSelector()
        self._free: list[Exchange] = []
        self._busy: dict[int, Exchange] = {}
        self._portion = LoadPortion()
        self._asked = 0
        self._began = 0.0
        self._cpu = time.process_time()

    def run(self) -> None:
        """Ask all there is to ask, and wait for the answers; raises `OSError` when nobody listens."""
        self._free = [Exchange(self._plan.host, self._plan.port)]
        self._began = time.perf_counter()
        try:
            if self._plan.rate:
                self._open_loop()
            else:
                self._closed_loop()
            self._say(last=True)
        finally:
            for exchange in (*self._free, *self._busy.values()):
                exchange.socket.close()
            self._selector.close()

    def _closed_loop(self) -> None:
        plan = self._plan
        ends = self._began + plan.seconds
        while True:
            now = time.perf_counter()
            if self._asked >= plan.searches if plan.searches else now >= ends:
                break
            if len(self._busy) < plan.clients:
                if not self._ask(now, now):
                    time.sleep(AWAY_SECONDS)
            else:
                self._take(SAID_SECONDS)
        self._finish()

    def _open_loop(self) -> None:
        due, waiting = self._schedule(), deque[float]()
        next_due = next(due)
        while next_due is not None or waiting:
            now = time.perf_counter()
            while next_due is not None and next_due <= now:
                self._portion.late = max(self._portion.late, now - next_due)
                waiting.append(next_due)
                next_due = next(due)
            while waiting and waiting[0] < now - ANSWER_SECONDS:  # whoever waited for so long has left
                self._portion.errors["no answer"] += 1
                waiting.popleft()
            while waiting and len(self._busy) < self._plan.clients:
                self._ask(waiting.popleft(), now)
            self._take(SAID_SECONDS if next_due is None else max(0.0, next_due - time.perf_counter()))
        self._finish()

    def _schedule(self) -> Iterator[float | None]:
        """Yield when each search is due, then None for ever."""
        plan = self._plan
        draw, due = random.Random(plan.seed), 0.0  # noqa: S311 - arrivals, not secrets
        for number in count():
            due = due + draw.expovariate(plan.rate) if plan.poisson else number / plan.rate
            if due >= plan.seconds:
                break
            yield self._began + due
        while True:
            yield None

    def _ask(self, due: float, now: float) -> bool:
        """Send the next request; return whether it could be."""
        self._asked += 1
        try:
            exchange = self._connection(now)
            exchange.ask(next(self._requests), due, now)
        except OSError:
            self._portion.errors["connection"] += 1
            return False
        number = exchange.socket.fileno()
        self._busy[number] = exchange
        self._selector.register(number, selectors.EVENT_READ)
        return True

    def _connection(self, now: float) -> Exchange:
        while self._free:
            exchange = self._free.pop()
            if now - exchange.ended < IDLE_SECONDS:
                return exchange
            exchange.socket.close()
        return Exchange(self._plan.host, self._plan.port)

    def _take(self, seconds: float) -> None:
        """Take the answers that have come, and wait at most so long for one."""
        ready = self._selector.select(min(seconds, SAID_SECONDS)) if self._busy else self._idle(seconds)
        now = time.perf_counter()
        for key, _ in ready:
            exchange = self._busy[key.fd]
            try:
                if not exchange.receive():
                    continue
            except OSError:
                self._end(exchange, "connection")
                continue
            self._end(exchange, exchange.outcome(self._plan.whole), now)
        if now - self._began - self._portion.ended >= SAID_SECONDS:
            for exchange in [one for one in self._busy.values() if now - one.sent > ANSWER_SECONDS]:
                self._end(exchange, "no answer")
            self._say()

    @staticmethod
    def _idle(seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        time.sleep(min(seconds, SAID_SECONDS))
        return []

    def _end(self, exchange: Exchange, error: str, now: float = 0.0) -> None:
        """Note what became of a search; its connection is used again unless it failed."""
        number = exchange.socket.fileno()
        del self._busy[number]
        self._selector.unregister(number)
        if error:
            self._portion.errors[error] += 1
        else:
            self._portion.latencies.append(now - exchange.due)
        if error in {"connection", "no answer"} or not exchange.goes_on:
            exchange.socket.close()
        else:
            exchange.ended = now
            self._free.append(exchange)

    def _finish(self) -> None:
        while self._busy:
            self._take(SAID_SECONDS)

    def _say(self, *, last: bool = False) -> None:
        self._portion.ended = time.perf_counter() - self._began
        self._portion.cpu, self._portion.last = time.process_time() - self._cpu, last
        self._emit(self._portion)
        self._portion = LoadPortion(ended=self._portion.ended)
