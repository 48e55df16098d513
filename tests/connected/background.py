"""What a test has done again and again while it does something else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(act: Callable[[], object], *, every: float) -> Iterator[None]:
    """Call `act` in a thread, with so many seconds between, until the block ends; raises what it raised."""
    end, failures = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not end.wait(every):
                act()
        except BaseException as error:  # noqa: BLE001 - it is raised where the block ends
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    for failure in failures:
        raise failure
