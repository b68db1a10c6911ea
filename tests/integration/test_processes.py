"""Worker processes end with the command that started them, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, time
from mrs_pipeline.workflows.processes import process_pool

def main():
    with process_pool(2) as pool:
        print(*sorted({pool.submit(os.getpid).result() for _ in range(2)}), flush=True)
        waiting = [pool.submit(time.sleep, 600) for _ in range(8)]
        [item.result() for item in waiting]

if __name__ == "__main__":
    main()
"""


def lives(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda item: item.name)
def test_no_worker_outlives_the_command(tmp_path, number):
    script = tmp_path / "script.py"
    # a shell's background job ignores SIGINT and hands that on; at a terminal it is not ignored
    script.write_text("import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + SCRIPT)
    command = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with command.stdout:
        workers = [int(text) for text in command.stdout.readline().split()]
    assert workers
    assert all(lives(pid) for pid in workers)
    os.kill(command.pid, number)
    assert command.wait(timeout=60) != 0
    deadline = time.monotonic() + 60
    while any(lives(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if lives(pid)]
