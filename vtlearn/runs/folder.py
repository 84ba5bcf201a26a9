"""A run's folder: what ran, on which machine, from which commit, its numbers as they came; comparing runs."""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from vtlearn import __version__
from vtlearn.errors import ArgumentError, DataError, require
from vtlearn.files import write_json, write_text, written_aside
from vtlearn.runtime import cpu_name
from vtlearn.train.checkpoint import as_json

ABOUT = "run.json"
METRICS = "metrics.jsonl"


def describe_machine() -> dict[str, Any]:
    """The hardware and versions that a number depends on; no paths, no names of people or hosts.

    >>> sorted(describe_machine())
    ['cpu', 'cpu_count', 'gpus', 'numpy', 'python', 'system', 'threads', 'torch', 'vtlearn']
    """
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "vtlearn": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus if torch.cuda.is_available() else [],
    }


def git_commit(folder: str | Path = ".") -> str | None:
    """The commit that ``folder`` is at, with "+changes" where files differ from it; None outside a
    repository.
    """

    def ask(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout.strip()

    try:
        commit = ask("rev-parse", "HEAD")
        return commit + ("+changes" if ask("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


@runtime_checkable
class Log(Protocol):
    """What takes one row of numbers at a time."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Keep one row."""

    def close(self) -> None:
        """Finish."""


class JsonLog:
    """One JSON object a line, readable after a crash up to the last whole line; rows from ``start`` on are
    dropped.

    Args:
        path: the file, continued where it exists.
        start: steps already done by the run that goes on; rows of later steps (lost to a crash) are cut away.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> log = JsonLog(path)
    >>> log.write({"step": 1, "loss": 0.5})
    >>> log.close()
    >>> read_metrics(path)
    [{'step': 1, 'loss': 0.5}]
    """

    def __init__(self, path: str | Path, start: int | None = None) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            kept = [row for row in read_metrics(self.path) if start is None or row.get("step", 0) <= start]
            write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row; numbers that are not finite become null, which JSON has a word for."""
        clean = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        self._file.write(json.dumps(as_json("row", clean)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CsvLog:
    """A table whose columns are those of the first row; later rows may leave some out and may not add any.

    Args:
        path: the file, continued where it exists.
        start: as in :class:`JsonLog`.
    """

    def __init__(self, path: str | Path, start: int | None = None) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._columns: list[str] | None = None
        if self.path.exists() and self.path.stat().st_size:
            with self.path.open(newline="", encoding="utf-8") as file:
                self._columns, *rows = list(csv.reader(file))
            if start is not None and "step" in self._columns:
                place, width = self._columns.index("step"), len(self._columns)
                kept = [row for row in rows if len(row) == width and 0 <= _number(row[place]) <= start]
                with written_aside(self.path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows([self._columns, *kept])
        self._file = self.path.open("a", newline="", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row.

        Raises:
            ArgumentError: a column that the first row did not have.
        """
        if self._columns is None:
            self._columns = list(row)
            csv.writer(self._file).writerow(self._columns)
        new = sorted(set(row) - set(self._columns))
        require(not new, "row", new, f"of the columns {self._columns}")
        csv.writer(self._file).writerow([row.get(column, "") for column in self._columns])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _number(cell: str) -> int:
    """A step from a table's cell; -1 for what a cut has left of one."""
    return int(cell) if cell.isdecimal() else -1


class TensorBoardLog:
    """Scalars for TensorBoard, under the row's names; needs the extra ``train``.

    Args:
        folder: for its event files.
        start: steps already done by the run that goes on; what was shown of later ones is put aside.
    """

    def __init__(self, folder: str | Path, start: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ArgumentError(
                "log", "tensorboard", 'installed first: pip install "vtlearn[train]"'
            ) from None
        self._writer = SummaryWriter(str(folder), purge_step=None if start is None else start + 1)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add every number of the row at its step."""
        for name, value in row.items():
            if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Write out what is still held."""
        self._writer.close()


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The whole rows of a JSON-lines file; a last line that a crash cut off is left out.

    Raises:
        DataError: a broken line that is not the last.
    """
    rows: list[dict[str, Any]] = []
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise DataError(f"{path}, line {number}: not a JSON object: {line[:40]!r}") from None
    return rows


@dataclass(frozen=True)
class Run:
    """One run's folder, read back.

    Attributes:
        folder: where it lies.
        name: what the caller called it.
        config: everything that was set.
        machine: from :func:`describe_machine`.
        commit: from :func:`git_commit`.
        started: seconds since 1970.
        metrics: the rows so far.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    machine: dict[str, Any]
    commit: str | None
    started: float
    metrics: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, Any]:
        """The latest value of each metric."""
        merged: dict[str, Any] = {}
        for row in self.metrics:
            merged.update({key: value for key, value in row.items() if value is not None})
        return merged


def start_run(root: str | Path, name: str, config: Any) -> Run:
    """Make (or, with the same config, go on in) the folder ``root/name`` and write down what runs, where and
    from what.

    Args:
        root: the folder of all runs.
        name: of this one; becomes a folder's name.
        config: a dataclass or mapping of everything that was set.

    Raises:
        ArgumentError: a name that is no folder's name.
        DataError: there is a run of that name with another config; nothing is overwritten.
    """
    require(
        bool(name) and name == Path(name).name and name not in (".", ".."),
        "name",
        name,
        "a plain folder name",
    )
    folder = Path(root) / name
    wanted = as_json("config", config)
    if (folder / ABOUT).exists():
        before = read_run(folder)
        if before.config != wanted:
            keys = sorted({*before.config, *wanted})
            key = next(key for key in keys if before.config.get(key) != wanted.get(key))
            raise DataError(
                f"{folder} holds a run with {key} = {before.config.get(key)!r}, not {wanted.get(key)!r}; "
                "choose another name"
            )
        return before
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "name": name,
        "config": wanted,
        "machine": describe_machine(),
        "commit": git_commit(Path(__file__).parent),
        "started": time.time(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
    write_json(folder / ABOUT, about, indent=1)
    return read_run(folder)


def has_begun(folder: Path) -> bool:
    """True where a run of that folder has begun."""
    return (folder / ABOUT).is_file()


def read_run(folder: str | Path) -> Run:
    """A run's folder as it stands.

    Raises:
        DataError: it holds no run, or one that cannot be read.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        path = folder / METRICS
        return Run(
            folder=folder,
            name=about["name"],
            config=about["config"],
            machine=about["machine"],
            commit=about["commit"],
            started=about["started"],
            metrics=read_metrics(path) if path.exists() else [],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / ABOUT} cannot be read: {error}") from None


def list_runs(root: str | Path) -> list[Run]:
    """The runs under ``root``, oldest first."""
    runs = [read_run(path.parent) for path in Path(root).glob(f"*/{ABOUT}")]
    return sorted(runs, key=lambda run: (run.started, run.name))


def compare_runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row a run: its name, the settings in which the runs differ, and the latest value of each metric.

    >>> one = Run(Path("a"), "a", {"lr": 1, "seed": 0}, {}, None, 0.0, [{"step": 5, "loss": 0.3}])
    >>> two = Run(Path("b"), "b", {"lr": 2, "seed": 0}, {}, None, 0.0, [])
    >>> compare_runs([one, two])
    [{'run': 'a', 'lr': 1, 'step': 5, 'loss': 0.3}, {'run': 'b', 'lr': 2}]
    """
    keys = list(dict.fromkeys(key for run in runs for key in run.config))
    different = [key for key in keys if len({json.dumps(run.config.get(key)) for run in runs}) > 1]
    return [{"run": run.name, **{key: run.config.get(key) for key in different}, **run.last} for run in runs]


@dataclass
class StopRequest:
    """Whether somebody asked the run to stop."""

    requested: bool = False


@contextmanager
def stop_on_signal(*signals: signal.Signals) -> Iterator[StopRequest]:
    """Turn SIGTERM (or the given signals) into a request that the loop sees after its step, so that it saves
    first.

    Only Python's main thread can do this; elsewhere the request is never set.

    >>> with stop_on_signal() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.requested
    True
    """
    request = StopRequest()
    before = {}

    def note(number: int, frame: object) -> None:
        request.requested = True

    try:
        for name in signals or (signal.SIGTERM,):
            before[name] = signal.signal(name, note)
    except ValueError:  # not the main thread
        pass
    try:
        yield request
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def list_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row a run for a list: name, when, model, recipe, steps done, and its last numbers.

    >>> one = Run(Path("a"), "a", {"model": "vtn"}, {}, "c" * 40, 0.0, [{"step": 5, "loss": 0.3}])
    >>> list_rows([one])[0]["commit"], list_rows([one])[0]["loss"]
    ('cccccccc', 0.3)
    """
    return [
        {
            "run": run.name,
            "started": time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started)),
            "model": run.config.get("model"),
            "recipe": run.config.get("recipe"),
            "step": run.last.get("step", 0),
            "loss": run.last.get("loss"),
            "val_top1": run.last.get("val_top1"),
            "clips_per_second": run.last.get("clips_per_second"),
            "state": "done" if (run.folder / "result.json").is_file() else "not done",
            "commit": None if run.commit is None else run.commit[:8] + ("+" if "+" in run.commit else ""),
        }
        for run in runs
    ]


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned text: a column for each key that any row has, "–" where a row has none.

    >>> print(table_of([{"run": "a", "loss": 0.51234}, {"run": "long", "lr": 0.1}]))
    run   loss    lr
    a     0.5123  –
    long  –       0.1
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [keys, *([_cell(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(keys))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


class MetricsFollower:
    """The rows that were added to a JSON-lines file since it was last asked: what a live curve draws from.

    Args:
        path: the file; it may not be there yet.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> follower = MetricsFollower(path)
    >>> follower.new_rows()
    []
    >>> _ = path.write_text('{"step": 1}' + chr(10) + '{"step": 2')
    >>> follower.new_rows(), follower.new_rows()
    ([{'step': 1}], [])
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._read = 0

    def new_rows(self) -> list[dict[str, Any]]:
        """Whole rows that are new; a line that is still being written waits. A file that became shorter (a
        resumed run cut it) is read again from its start.
        """
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:
                    self._read = 0
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return []
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.strip()]
