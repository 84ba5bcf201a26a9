"""Jobs in processes of their own: started a few at a time, watched line by line, stopped so that they can
go on."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtlearn.errors import ArgumentError, DataError, Stopped
from vtlearn.files import write_json

# Large tensors come from a heap that is kept instead of fresh pages from the kernel each time: on a CPU a
# training
# step spends a quarter less time.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(2**26),
}
_STOP_SECONDS = 60


@dataclass
class Job:
    """One process: ``python -m module job_file``.

    Attributes:
        name: what the progress is reported under.
        module: the module to run; it prints one JSON object a line.
        settings: what it is told, written to ``folder/job.json``.
        folder: where it leaves its results; ``result.json`` there says that it is done.
    """

    name: str
    module: str
    settings: dict[str, Any]
    folder: Path
    seconds: float = field(default=0.0, init=False)

    @property
    def is_done(self) -> bool:
        """True once the job has left its result."""
        return (self.folder / "result.json").is_file()

    def result(self) -> dict[str, Any]:
        """The job's result.

        Raises:
            DataError: there is none, or it cannot be read.
        """
        path = self.folder / "result.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: no readable result ({error})") from None


Report = Callable[[str, dict[str, Any]], None]
"""Called with a job's name and each object that it prints."""


def run_jobs(jobs: Sequence[Job], *, at_once: int, threads: int, report: Report, processes: int = 1) -> None:
    """Run every job that is not done, ``at_once`` at a time, each with ``threads`` threads.

    Args:
        jobs: in the order in which they start.
        at_once: processes that run side by side.
        threads: threads inside torch's operations in each.
        report: called in this thread with whatever the jobs print.
        processes: processes of each job; several are started by torchrun and train as one.

    Raises:
        Stopped: interrupted (Ctrl-C or SIGTERM); every job was asked to save and has ended.
        DataError, ArgumentError: a job failed; the message is its last line.
    """
    waiting = [job for job in jobs if not job.is_done]
    together = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    together = together if processes > 1 else []
    running: dict[str, subprocess.Popen[str]] = {}
    events: queue.Queue[tuple[Job, dict[str, Any] | None, str]] = queue.Queue()

    def watch(job: Job, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        complaint = ""
        for line in process.stdout:
            try:
                events.put((job, json.loads(line), ""))
            except ValueError:
                if not complaint.startswith("vtlearn:"):  # torchrun has more to say after it
                    complaint = line.strip() or complaint
        process.wait()
        events.put((job, None, complaint))

    def start(job: Job) -> None:
        write_json(job.folder / "job.json", job.settings)
        environment = os.environ | _KEEP_MEMORY | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, *together, "-m", job.module, str(job.folder / "job.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then asks the jobs to save
        )
        running[job.name] = process
        threading.Thread(target=watch, args=(job, process), daemon=True).start()

    try:
        with _terminate_like_interrupt():
            while waiting or running:
                while waiting and len(running) < at_once:
                    start(waiting.pop(0))
                job, message, complaint = events.get()
                if message is not None:
                    report(job.name, message)
                    continue
                code = running.pop(job.name).returncode
                if code != 0 or not job.is_done:
                    reason = complaint or f"ended with exit code {code} and no result"
                    raise DataError(f"{job.name}: {reason.removeprefix('vtlearn: ')}")
    except KeyboardInterrupt:
        raise Stopped("stopped") from None
    finally:
        _stop(running)


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt inside the block (in the main thread, where signals can be
    handled)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(running: dict[str, subprocess.Popen[str]]) -> None:
    for process in running.values():
        process.terminate()
    for process in running.values():
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def tell(**message: Any) -> None:
    """Print one JSON line for the process that watches this job."""
    print(json.dumps(message), flush=True)


def read_job(arguments: Sequence[str]) -> dict[str, Any]:
    """The settings of the job file named on the command line."""
    if len(arguments) != 1:
        raise ArgumentError("job", list(arguments), "one job file")
    path = Path(arguments[0])
    return dict(json.loads(path.read_text())) | {"folder": str(path.parent)}
