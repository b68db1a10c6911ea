"""Pools of worker processes that end with the command: on Ctrl-C, a terminate signal, or when it is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from types import FrameType

WATCH_S = 0.5
"""How often a worker looks whether the command still lives."""


@contextmanager
def process_pool(n_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of fresh processes; whatever leaves the block early ends them at once, whatever still waits included.

    Parameters
    ----------
    n_workers
        Number of processes.

    Notes
    -----
    The pool of the standard library finishes everything that waits before it lets an interrupt through, and its
    workers outlive a command that is killed.
    """
    pool = ProcessPoolExecutor(n_workers, mp_context=get_context("spawn"), initializer=_follow, initargs=(os.getpid(),))
    workers = pool._processes  # noqa: SLF001  the standard library has no public way to end workers before Python 3.14
    try:
        with _terminate_interrupts():
            yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((workers or {}).values()):
            process.terminate()
        raise
    pool.shutdown()


def _follow(parent: int) -> None:
    """Leave interrupts to the command, and end when it has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _terminate_interrupts() -> Iterator[None]:
    """Treat a terminate signal (a scheduler's, ``kill``) like Ctrl-C; only the main thread may set that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
