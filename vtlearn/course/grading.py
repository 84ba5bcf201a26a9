"""The checks rerun on what learners hand in: notebooks and exports, each answer in a fresh process that is
stopped when its time is up.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import multiprocessing
import os
import re
import signal
import symtable
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vtlearn.course.exercise import Exercise, compile_answer, exercise, exercises, judge_exercise
from vtlearn.course.export import EXPORT_FORMAT
from vtlearn.course.judge import NOT_ATTEMPTED, TIME_LIMIT_SECONDS
from vtlearn.errors import ArgumentError, DataError
from vtlearn.files import write_text

SECONDS_TO_START = 300.0
GRACE_SECONDS = 3.0
LARGEST_FILE = 64 * 2**20
LARGEST_REPLY = 2**16
LONGEST_MESSAGE = 400
MEMORY_BYTES = 4 * 2**30
WRITTEN_BYTES = 16 * 2**20
FORKS = 4

_ENDED = "the answer ended the process it ran in"
_TOUCHING_PATHS = {
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
    "os.truncate", "os.utime", "os.setxattr", "os.removexattr",
}  # fmt: skip
_REFUSED = {
    "ctypes.dlopen", "ctypes.dlsym", "os.exec", "os.kill", "os.killpg", "os.posix_spawn", "os.spawn",
    "os.startfile", "os.system", "pty.spawn", "signal.pthread_kill", "socket.bind", "socket.connect",
    "socket.getaddrinfo", "socket.sendto", "subprocess.Popen",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What one file says of one exercise: source to rerun, or the reason why there is none."""

    exercise: str
    source: str | None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the table: one exercise in one file."""

    file: str
    exercise: str
    title: str
    core: bool
    passed: bool
    message: str


def grade(path: str | os.PathLike[str], *, seconds: float = TIME_LIMIT_SECONDS) -> list[Row]:
    """Every exercise in a notebook or an export, its check rerun in a process of its own.

    An answer that never ends, ends its process, or fills the memory costs its own row and nothing else. It
    runs in an empty folder; writing elsewhere, starting programs and opening connections are refused. That
    guards against accidents and mischief, and is no wall: check and answer share a process, so an answer
    written to deceive the check can. Grade strangers in a container.

    Args:
        path: ``*.ipynb``, or what ``vtlearn progress --export`` wrote.
        seconds: time limit of each check.

    Raises:
        DataError: the file cannot be read, or holds no exercise.
    """
    return [_judged(str(path), answer, seconds) for answer in read_answers(path)]


def read_answers(path: str | os.PathLike[str]) -> list[Answer]:
    """The answers in a notebook, or in an export; nothing of them is run.

    Raises:
        DataError: the file cannot be read, or holds no exercise.
    """
    held = _json_of(Path(path))
    if held.get("format") == EXPORT_FORMAT:
        found = list(_from_export(held, path))
    elif isinstance(held.get("cells"), list):
        found = list(_from_notebook(held["cells"]))
    else:
        raise DataError(f"{path}: neither a notebook nor an export of progress")
    if not found:
        raise DataError(f"{path}: no exercise in it")
    return found


def as_csv(rows: Iterable[Row]) -> str:
    """The rows under a line of column names. Text that a spreadsheet would take for a formula is quoted.

    >>> as_csv([Row("a.ipynb", "00.1", "=Mean", True, True, "passed")]).splitlines()
    ['file,exercise,title,core,passed,message', "a.ipynb,00.1,'=Mean,yes,yes,passed"]
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in rows:
        writer.writerow([_cell(value) for value in asdict(row).values()])
    return text.getvalue()


def write_csv(path: str | os.PathLike[str], rows: Iterable[Row]) -> Path:
    """Write the table in one step; gives the path back.

    Raises:
        DataError: nothing can be written there.
    """
    try:
        return write_text(path, as_csv(rows))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


# ----------------------------------------------------------------------------------------- what was handed in


def _json_of(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path}: larger than {LARGEST_FILE // 2**20} MiB")
        held = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON, so neither a notebook nor an export of progress") from None
    return held if isinstance(held, dict) else {}


def _from_export(held: Mapping[str, Any], path: str | os.PathLike[str]) -> Iterator[Answer]:
    entries = held.get("exercises")
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise DataError(f"{path}: an export of progress whose exercises cannot be read")
    for name, entry in entries.items():
        source, attempts = entry.get("source"), entry.get("attempts", 0)
        if isinstance(source, str):
            yield Answer(name, source)
        elif entry.get("passed") is True:
            yield Answer(name, None, "said to be passed, but its answer was not kept: cannot be rerun")
        elif attempts:
            yield Answer(name, None, f"not passed yet; checks so far: {attempts}")
        else:
            yield Answer(name, None, NOT_ATTEMPTED)


def _from_notebook(cells: Sequence[Any]) -> Iterator[Answer]:
    """The cells with the tag of answers, each with the notebook's own definitions that it leans on."""
    codes = [cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    texts = [_text(cell) for cell in codes]
    defined = _definitions(texts)
    given: dict[str, str] = {}
    for place, cell in enumerate(codes):
        metadata = cell.get("metadata")
        tags = metadata.get("tags", []) if isinstance(metadata, dict) else []
        if isinstance(tags, list) and "exercise-answer" in tags:
            name = _id_of(cell, texts[place + 1 : place + 2])
            if name and (name not in given or given[name].strip() == _stub(name)):  # a split cell: the answer
                given[name] = texts[place]
    for name, text in given.items():
        if not text.strip() or text.strip() == _stub(name):
            yield Answer(name, None, NOT_ATTEMPTED)
        else:
            yield Answer(name, _with_what_it_needs(text, defined))


def _text(cell: Mapping[str, Any]) -> str:
    """A cell's source without lines that only a notebook understands."""
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(str(line) for line in source)
    lines = str(source).splitlines()
    return "\n".join("" if re.match(r"\s*[%!?]", line) else line for line in lines)


def _id_of(cell: Mapping[str, Any], following: Sequence[str]) -> str | None:
    """By the cell's own id; where another program gave it a new one, by the check cell below."""
    named = re.fullmatch(r"ex-(\d\d)-(\d{1,2})-answer", str(cell.get("id", "")))
    if named:
        return f"{named[1]}.{named[2]}"
    checked = re.match(r"""\s*check\(\s*["'](\d\d\.\d{1,2})["']""", following[0]) if following else None
    return checked[1] if checked else None


def _stub(name: str) -> str | None:
    with suppress(ArgumentError):
        return exercise(name).stub.strip()
    return None


def _definitions(texts: Sequence[str]) -> dict[str, str]:
    """Name → the last top-level statement of the notebook that gives it, of the kinds that only define."""
    found: dict[str, str] = {}
    for text in texts:
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            for node in ast.parse(text).body:
                source = ast.get_source_segment(text, node) or ""
                decorators = getattr(node, "decorator_list", [])
                if decorators:
                    first, last = decorators[0].lineno, node.end_lineno or node.lineno
                    source = "\n".join(text.splitlines()[first - 1 : last])
                for name in _given_by(node):
                    found[name] = source
    return found


def _given_by(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _with_what_it_needs(text: str, defined: Mapping[str, str]) -> str:
    """The cell behind the definitions of other cells that it uses, and that those use."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    own = {name for node in tree.body for name in _given_by(node)}
    pieces: list[str] = []
    seen = set(own)

    def gather(source: str) -> None:
        for name in _used(source):
            if name in defined and name not in seen:
                seen.add(name)
                gather(defined[name])
                if defined[name] not in pieces:
                    pieces.append(defined[name])

    with suppress(
        SyntaxError, ValueError, RecursionError, MemoryError
    ):  # what ast lets pass, symtable may not
        gather(text)
    return "\n".join([*pieces, text]) + "\n"


def _used(source: str) -> list[str]:
    """The names that the source takes from outside its own functions."""
    used: set[str] = set()
    open_tables = [symtable.symtable(textwrap.dedent(source), "<cell>", "exec")]
    while open_tables:
        table = open_tables.pop()
        open_tables += table.get_children()
        at_top = table.get_type() == "module"
        used |= {
            one.get_name()
            for one in table.get_symbols()
            if one.is_global() or (at_top and one.is_referenced())
        }
    return sorted(used)


# ---------------------------------------------------------------------------------------------- one answer


def _judged(file: str, answer: Answer, seconds: float) -> Row:
    try:
        wanted = exercise(answer.exercise)
    except ArgumentError:
        known = f"{exercises()[0].id} to {exercises()[-1].id}"
        return Row(file, _one_line(answer.exercise), "", False, False, f"no such exercise here ({known})")
    if answer.source is None:
        passed, message = False, _one_line(answer.reason)
    else:
        passed, message = rerun(wanted, answer.source, seconds=seconds)
    return Row(file, wanted.id, wanted.title, wanted.core, passed, message)


def rerun(wanted: Exercise, source: str, *, seconds: float = TIME_LIMIT_SECONDS) -> tuple[bool, str]:
    """Whether an answer passes, and its sentence, as found by a fresh process that is gone afterwards."""
    context = _processes()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_answer_in_here, args=(theirs, wanted.id, source, seconds, folder), daemon=False
        )
        process.start()
        theirs.close()
        try:
            if _reply(ours, SECONDS_TO_START) != {"ready": True}:
                return False, "the check could not be started"
            return _verdict(_reply(ours, seconds + GRACE_SECONDS), seconds)
        finally:
            _end(process)
            ours.close()


def _processes() -> Any:
    """Processes that start from one where torch is loaded already, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vtlearn.course.grading"])
    return context


def _reply(ours: Connection, seconds: float) -> Any:
    """What the process says, read as JSON and nothing else; "late" or "gone" where it does not."""
    try:
        if not ours.poll(seconds):
            return "late"
        return json.loads(ours.recv_bytes(LARGEST_REPLY))
    except (OSError, EOFError, ValueError, RecursionError):
        return "gone"


def _verdict(reply: Any, seconds: float) -> tuple[bool, str]:
    if reply == "late":
        return False, f"stopped after {seconds:g} seconds: is there a loop that never ends?"
    if not isinstance(reply, dict) or not isinstance(reply.get("message"), str):
        return False, _ENDED
    return reply.get("passed") is True, _one_line(reply["message"])


def _one_line(text: str) -> str:
    """Text of others, made fit for a terminal and a table: one line, printable, not too long."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(shown.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def _end(process: Any) -> None:
    """End the process and what it started."""
    if hasattr(os, "killpg") and process.pid is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # its group carries its number, see _answer_in_here
    with suppress(OSError):
        process.kill()
    process.join(10)


def _answer_in_here(theirs: Connection, name: str, source: str, seconds: float, folder: str) -> None:
    """The life of the process: shut itself in, run the answer, say what was found, end."""
    if hasattr(os, "setsid"):
        os.setsid()
    silence = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(silence, standard)
    os.chdir(folder)
    os.environ |= {"CI": "1", "VTLEARN_STATE": folder, "HOME": folder, "TMPDIR": folder, "TEMP": folder}
    tempfile.tempdir = folder
    sys.dont_write_bytecode = True
    wanted = exercise(name)
    _limit_memory_and_files(seconds)
    theirs.send_bytes(json.dumps({"ready": True}).encode())
    _refuse_harm(folder)
    passed, message = _result(wanted, source, seconds)
    theirs.send_bytes(json.dumps({"passed": passed, "message": message[: 4 * LONGEST_MESSAGE]}).encode())
    theirs.close()
    os._exit(0)


def _result(wanted: Exercise, source: str, seconds: float) -> tuple[bool, str]:
    try:
        answer = compile_answer(source, wanted.name, label=wanted.id)
    except SyntaxError as error:
        return False, f"the answer is no Python: {error.msg} (line {error.lineno})"
    except ArgumentError:
        return False, f"the cell does not define {wanted.name}"
    except BaseException as error:  # a cell may raise anything, also SystemExit
        return False, f"the cell raised {type(error).__name__}: {error}"
    found = judge_exercise(wanted, answer, seconds=seconds)
    return bool(found.passed), str(found.message)


def _limit_memory_and_files(seconds: float) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        resource.RLIMIT_AS: _address_space() + MEMORY_BYTES,
        resource.RLIMIT_FSIZE: WRITTEN_BYTES,
        resource.RLIMIT_CPU: int(4 * (seconds + GRACE_SECONDS)) + 60,
        resource.RLIMIT_CORE: 0,
    }
    for what, limit in wanted.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too large raises instead


def _address_space() -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 16 * 2**30


def _refuse_harm(folder: str) -> None:
    """From here on this process writes below ``folder`` only, starts no program, and calls nobody."""
    inside = os.path.realpath(folder) + os.sep
    forks = 0

    def guard(event: str, args: tuple[Any, ...]) -> None:
        nonlocal forks
        if event == "os.fork":  # workers of a loader are welcome; a fork of forks stays finite
            forks += 1
            if forks > FORKS:
                raise PermissionError("too many processes")
        elif event in _REFUSED:
            raise PermissionError(f"an answer may not do this: {event}")
        elif event in _TOUCHING_PATHS or event == "open":
            for path in args[:1] if event == "open" else args[:2]:
                if not isinstance(path, (str, bytes, os.PathLike)):
                    continue
                real = os.path.realpath(os.fsdecode(path))
                if real == os.devnull or (real + os.sep).startswith(inside):
                    continue
                # an open folder is a door to the files in it, which are then named without it
                if event != "open" or _writes(args) or os.path.isdir(real):
                    raise PermissionError(f"an answer may not write here: {real}")

    sys.addaudithook(guard)


def _writes(args: tuple[Any, ...]) -> bool:
    mode, flags = args[1], args[2]
    if isinstance(mode, str) and re.search(r"[wax+]", mode):
        return True
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"'{value}" if str(value)[:1] in ("=", "+", "-", "@", "\t") else str(value)
