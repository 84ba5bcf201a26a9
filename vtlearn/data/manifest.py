"""What a folder of clips really holds: every file decoded once, and a manifest that training reads.

Checking can be interrupted at any moment: each result is kept in a journal beside the manifest, and a file
that has not changed since is not read again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from vtlearn.data.decode import TIME_LIMIT, probe_video
from vtlearn.data.kinetics import (
    VIDEO_SUFFIXES,
    Annotation,
    ClipSet,
    LeftOut,
    read_clip_folder,
    walk_files,
)
from vtlearn.errors import DataError, require_one_of, require_positive
from vtlearn.files import write_json

STATUSES = {
    "present": "decodes whole, and its bytes are those of its known checksum",
    "unverified": "decodes whole; no checksum is known, so damage that a decoder conceals would not show",
    "too short": "decodes, to fewer frames than asked for",
    "duplicate": "the same bytes as another file",
    "damaged": "does not open, does not decode whole, or differs from its known checksum",
    "missing": "named by the annotations, not in the folder",
    "no video": "a file of another kind",
}
"""What is said of a file, and what it means."""

USABLE = ("present", "unverified")
MANIFEST = "clips_manifest.json"
"""Name of the manifest that lies in the folder that it describes."""


@dataclass(frozen=True)
class FileStatus:
    """One file of a folder.

    Attributes:
        path: relative to the folder, with forward slashes.
        status: a key of `STATUSES`.
        reason: why it is not usable; empty where it is.
        num_frames, corrupt_frames, fps, height, width: of a video that decodes.
        decoder: the one that reads it by default.
        bytes, changed: size, and time of the last change in nanoseconds.
        sha256: of its bytes.
    """

    path: str
    status: str
    reason: str = ""
    num_frames: int | None = None
    corrupt_frames: int | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    decoder: str | None = None
    bytes: int | None = None
    changed: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        require_one_of("status", self.status, STATUSES)


@dataclass(frozen=True)
class Manifest:
    """What a check of a folder has found, sorted by path."""

    root: str
    clips: tuple[FileStatus, ...]

    def counts(self) -> dict[str, int]:
        """Status → number of files, the statuses that occur."""
        found = Counter(entry.status for entry in self.clips)
        return {status: found[status] for status in STATUSES if found[status]}

    def describe(self) -> str:
        """One line with the counts, and one for each file that cannot be used, with its reason."""
        lines = [", ".join(f"{count} {status}" for status, count in self.counts().items()) or "nothing there"]
        lines += [
            f"  {entry.path}: {entry.status}{f' ({entry.reason})' if entry.reason else ''}"
            for entry in self.clips
            if entry.status not in (*USABLE, "no video")
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """``{"root": …, "clips": [{"path", "status", "reason", …}, …]}``."""
        return {"root": self.root, "clips": [dataclasses.asdict(entry) for entry in self.clips]}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the manifest as JSON; it appears whole or not at all."""
        write_json(path, self.as_json(), indent=1)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read what `save` wrote.

        Raises:
            DataError: the file cannot be read or is no manifest.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(content["root"], tuple(FileStatus(**entry) for entry in content["clips"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{os.fspath(path)}: not a manifest ({error})") from None

    def keep_usable(self, clips: ClipSet, root: str | os.PathLike[str] | None = None) -> ClipSet:
        """The clips of a set that this manifest calls usable; the others are left out with their reasons.

        Args:
            clips: the set.
            root: where the folder lies now, if it was moved since the check.
        """
        top = os.path.abspath(self.root if root is None else root)
        known = {os.path.join(top, *entry.path.split("/")): entry for entry in self.clips}
        kept, left_out = [], list(clips.left_out)
        for record in clips.records:
            entry = known.get(os.path.abspath(record.path))
            if entry is None:
                left_out.append(LeftOut(str(record.path), "not in the manifest", record.split))
            elif entry.status not in USABLE:
                reason = f"{entry.status}: {entry.reason}" if entry.reason else entry.status
                left_out.append(LeftOut(str(record.path), reason, record.split))
            else:
                kept.append(record)
        return dataclasses.replace(clips, records=tuple(kept), left_out=tuple(left_out))


def read_usable_clips(root: str | os.PathLike[str], labelling: str = "label") -> ClipSet:
    """The clips of a folder (`read_clip_folder`), without those that an earlier check found unusable.

    Where the folder was never checked, all of them; what cannot be read then shows while loading.

    Raises:
        DataError: as for `read_clip_folder`; also if the folder's manifest is damaged.
    """
    clips = read_clip_folder(root, labelling)
    manifest = Path(root) / MANIFEST
    return Manifest.load(manifest).keep_usable(clips, root) if manifest.is_file() else clips


def coverage(annotations: Sequence[Annotation], manifest: Manifest) -> tuple[int, int]:
    """How many clips of an official list a folder holds in usable form, and how many the list has."""
    usable = {Path(entry.path).stem for entry in manifest.clips if entry.status in USABLE}
    listed = {row.clip_name for row in annotations}
    return len(listed & usable), len(listed)


def check_file(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    checksum: str | None = None,
    min_frames: int = 1,
    time_limit: float = TIME_LIMIT,
) -> FileStatus:
    """Read one file whole and say what it is.

    Args:
        path: the file.
        name: how it is called in the result; the path if not given.
        checksum: SHA-256 that its bytes are known to have.
        min_frames: fewer are too short.
        time_limit: seconds after which decoding is given up.
    """
    require_positive(min_frames=min_frames)
    name = os.fspath(path) if name is None else name
    facts: dict[str, Any] = {}
    try:
        status = os.stat(path)
        facts |= {"bytes": status.st_size, "changed": status.st_mtime_ns}
        if os.path.isfile(path):
            with open(path, "rb") as file:
                facts["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        video = probe_video(path, time_limit=time_limit)
    except (DataError, OSError, ValueError) as error:
        reason = str(error).removeprefix(f"{os.fspath(path)}: ")
        if isinstance(error, OSError):
            reason = f"cannot be opened ({error.strerror})"
        return FileStatus(name, "damaged", reason, **facts)
    facts |= dataclasses.asdict(video)
    return _judge(FileStatus(name, "unverified", **facts), checksum, min_frames)


def _judge(entry: FileStatus, checksum: str | None, min_frames: int) -> FileStatus:
    """What is said of a video that decodes whole."""
    assert entry.num_frames is not None
    status, reason = "unverified" if checksum is None else "present", ""
    if checksum is not None and entry.sha256 != checksum.lower():
        status, reason = "damaged", "its bytes differ from its checksum"
    elif entry.corrupt_frames:
        status, reason = "damaged", f"{entry.corrupt_frames} of its {entry.num_frames} frames are corrupt"
    elif entry.num_frames < min_frames:
        status, reason = "too short", f"{entry.num_frames} of {min_frames} frames"
    return dataclasses.replace(entry, status=status, reason=reason)


def check_folder(
    root: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str] | None = None,
    annotations: Iterable[Annotation] = (),
    checksums: Mapping[str, str] | None = None,
    min_frames: int = 1,
    workers: int = 1,
    time_limit: float = TIME_LIMIT,
    progress: bool = False,
) -> Manifest:
    """Read every file below a folder once and say of each what it is.

    Args:
        root: the folder.
        manifest: where to keep the result; with it, an interrupted check goes on where it stopped,
            and a later one reads only what has changed.
        annotations: rows whose clips should be there; those without a file are named as missing.
        checksums: path relative to the folder → SHA-256 of its bytes.
        min_frames: videos with fewer are too short.
        workers: files read at the same time.
        time_limit: seconds for one file.
        progress: show a progress bar.

    Raises:
        DataError: ``root`` is not a folder.
        ArgumentError: a count below 1.
    """
    require_positive(workers=workers, min_frames=min_frames)
    top = Path(root)
    if not top.is_dir():
        raise DataError(f"{top}: not a folder")
    known_sums = checksums or {}
    own = set() if manifest is None else {os.path.abspath(manifest), os.path.abspath(_journal(manifest))}
    before = {} if manifest is None else _results_so_far(manifest, str(top))
    results: dict[str, FileStatus] = {}
    work: list[tuple[Path, str]] = []
    for path in walk_files(top):
        name = path.relative_to(top).as_posix()
        if os.path.abspath(path) in own:
            continue
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            results[name] = FileStatus(name, "no video")
        elif _unchanged(before.get(name), path):
            entry = before[name]
            decodes = entry.num_frames is not None
            results[name] = _judge(entry, known_sums.get(name), min_frames) if decodes else entry
        else:
            work.append((path, name))

    bar = tqdm(total=len(work) + len(results), initial=len(results), unit="file", disable=not progress)
    with bar, open(os.devnull if manifest is None else _journal(manifest), "a", encoding="utf-8") as journal:
        for entry in _check_all(work, known_sums, min_frames, workers, time_limit):
            results[entry.path] = entry
            bar.update()
            journal.write(json.dumps(dataclasses.asdict(entry)) + "\n")
            journal.flush()

    _name_duplicates(results)
    present = {Path(name).stem for name, entry in results.items() if entry.status != "no video"}
    for row in annotations:
        if row.clip_name not in present:
            name = f"{row.clip_name}.mp4"
            results[name] = FileStatus(name, "missing", "named by the annotations")
    found = Manifest(str(top), tuple(results[name] for name in sorted(results)))
    if manifest is not None:
        found.save(manifest)
        _journal(manifest).unlink(missing_ok=True)
    return found


def _check_all(
    work: Sequence[tuple[Path, str]],
    checksums: Mapping[str, str],
    min_frames: int,
    workers: int,
    time_limit: float,
) -> Iterator[FileStatus]:
    """Check files in threads (decoding lets go of the interpreter), a few ahead of what is handed out."""
    waiting = iter(work)
    running: set[Future[FileStatus]] = set()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                for path, name in waiting:
                    running.add(
                        pool.submit(
                            check_file,
                            path,
                            name,
                            checksum=checksums.get(name),
                            min_frames=min_frames,
                            time_limit=time_limit,
                        )
                    )
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda one: one.exception() is not None):
                    yield future.result()  # what was read is handed out before an interruption is raised
        finally:
            pool.shutdown(cancel_futures=True)


def _name_duplicates(results: dict[str, FileStatus]) -> None:
    """Of usable files with the same bytes, the first by path stays; the others say whose they are."""
    first: dict[str | None, str] = {}
    for name in sorted(results):
        entry = results[name]
        if entry.status in USABLE and first.setdefault(entry.sha256, name) != name:
            same = f"the same bytes as {first[entry.sha256]}"
            results[name] = dataclasses.replace(entry, status="duplicate", reason=same)


def _journal(manifest: str | os.PathLike[str]) -> Path:
    return Path(f"{os.fspath(manifest)}.journal")


def _results_so_far(manifest: str | os.PathLike[str], root: str) -> dict[str, FileStatus]:
    """Path → result, from the manifest of an earlier check and the journal of an interrupted one."""
    found: dict[str, FileStatus] = {}
    if Path(manifest).exists():
        earlier = Manifest.load(manifest)
        if os.path.abspath(earlier.root) == os.path.abspath(root):
            found = {entry.path: entry for entry in earlier.clips}
    try:
        lines = _journal(manifest).read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        try:
            entry = FileStatus(**json.loads(line))
        except (ValueError, TypeError):
            continue  # the line that was being written
        found[entry.path] = entry
    return found


def _unchanged(entry: FileStatus | None, path: Path) -> bool:
    if entry is None or entry.changed is None:
        return False
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (entry.bytes, entry.changed)
