"""Fetch chosen Kinetics clips from the public mirror: its archives are read as they stream by, never stored.

The mirror's layout: ``<release>/<split>/k<release>_<split>_path.txt`` lists the addresses of the archives
``part_N.tar.gz``, each with about a thousand clips named ``<youtube_id>_<start:06d>_<end:06d>.mp4``;
``<release>/annotations/<split>.csv`` holds the labels. What comes over the network is not trusted: only
regular members with the name of a wanted clip are written, under a temporary name until their first frame has
decoded.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

from tqdm.auto import tqdm

from vtlearn.data.decode import open_video
from vtlearn.data.kinetics import Annotation, LeftOut, find_clips, read_annotations, write_annotations
from vtlearn.errors import DataError, require, require_one_of, require_positive
from vtlearn.files import write_json, written_aside

MIRROR = "https://s3.amazonaws.com/kinetics"
RELEASES = ("400", "600", "700_2020")
SPLITS = ("train", "val", "test")

_BLOCK = 1 << 16
_MAX_TEXT = 256 << 20  # bytes of an annotation file or a list of archives
_MAX_HEADER = 1 << 16  # bytes of a member's extended header
_REPAIRS = "/400/replacement_for_corrupted_k400.tgz"
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How the mirror is treated.

    Args:
        attempts: times that one request is tried.
        pause: seconds before the second attempt; doubled before each further one.
        timeout: seconds without a byte after which a connection is given up.
        max_clip_bytes: a larger member makes the archive suspect, and it is left.
    """

    attempts: int = 5
    pause: float = 1.0
    timeout: float = 30.0
    max_clip_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        require_positive(attempts=self.attempts, max_clip_bytes=self.max_clip_bytes)
        require(self.pause >= 0, "pause", self.pause, "0 or more")
        require(self.timeout > 0, "timeout", self.timeout, "above 0")

    def wait(self, attempt: int) -> None:
        """Pause after a failed attempt, counted from 1."""
        time.sleep(min(60.0, self.pause * 2 ** (attempt - 1)))


@dataclass
class Fetched:
    """What a download has brought.

    Attributes:
        kept: clips that were written now.
        present: clips that were there before.
        absent: clips that no archive held in good order; with a number per class, the labels that lack some.
        left_out: damaged clips and refused members, with reasons.
        failed: archives that could not be read to their end, with reasons.
    """

    kept: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    failed: list[LeftOut] = field(default_factory=list)

    def describe(self) -> str:
        """One line with the counts, and one for each thing that went wrong."""
        counts = (
            f"{len(self.kept)} clips fetched, {len(self.present)} there before, {len(self.absent)} not found"
        )
        return "\n".join([counts, *(f"  {entry}" for entry in [*self.left_out, *self.failed])])


def fetch_annotations(
    release: str,
    split: str,
    *,
    mirror: str = MIRROR,
    folder: str | os.PathLike[str],
    manners: Manners | None = None,
) -> list[Annotation]:
    """The mirror's annotation rows of a split; the file is kept in ``folder`` and not fetched twice.

    Kinetics-600 is read from its ``.txt``, where the mirror has one: its CSV files are incomplete.

    Raises:
        ArgumentError: an unknown release or split.
        DataError: the file cannot be fetched or read.
    """
    require_one_of("release", release, RELEASES)
    require_one_of("split", split, SPLITS)
    kinds = ("txt", "csv") if release == "600" else ("csv",)
    for kind in kinds:
        kept = Path(folder) / f"k{release}_{split}.{kind}"
        if not kept.is_file():
            address = f"{_mirror(mirror)}/{release}/annotations/{split}.{kind}"
            try:
                text = _fetch_text(address, manners or Manners())
            except DataError as error:
                if kind != kinds[-1] and "404" in str(error):
                    continue
                raise
            with written_aside(kept) as aside:
                aside.write_bytes(text)
        break
    return read_annotations(kept)


def download_clips(
    rows: Sequence[Annotation],
    out: str | os.PathLike[str],
    *,
    release: str,
    split: str,
    per_class: int | None = None,
    mirror: str = MIRROR,
    manners: Manners | None = None,
    progress: bool = False,
) -> Fetched:
    """Fetch the clips of annotation rows into ``out/<split>/<label>/``, and list them in ``out/<split>.csv``.

    Archives are read one after the other until every wanted clip is there. A clip that is there already is
    not fetched again; an archive whose contents are known from an earlier download is passed over when it
    holds nothing that is wanted. Interrupted, the next call goes on.

    Args:
        rows: labelled rows of the split.
        out: folder for the clips.
        release: ``"400"``, ``"600"`` or ``"700_2020"``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        per_class: stop at so many clips of each label, whichever the archives hold first; None fetches all.
        mirror: base address of the mirror.
        manners: attempts, pauses and limits.
        progress: show a progress bar.

    Returns:
        What was fetched and what was not; trouble with single clips and archives is told there.

    Raises:
        ArgumentError: an unknown release or split.
        DataError: the list of archives cannot be fetched, a row has no usable name, or a label is missing.
    """
    require_one_of("release", release, RELEASES)
    require_one_of("split", split, SPLITS)
    if per_class is not None:
        require_positive(per_class=per_class)
    base = _mirror(mirror)
    order = _Order(rows, Path(out), split, per_class)
    for leftover in order.folder.rglob(".*.mp4.partial"):
        leftover.unlink()
    manners = manners or Manners()
    fetched = Fetched(present=order.take_present())
    contents = _Contents(Path(out) / f".contents_k{release}_{split}.json")
    order.damaged = contents.damaged
    with tqdm(total=order.total, initial=len(order.there), unit="clip", disable=not progress) as bar:
        for address in _archives(base, release, split, manners) if order.open_names(True) else ():
            repairs = address.endswith(_REPAIRS)
            wanted = order.open_names(repairs)
            if not wanted.intersection(contents.names.get(address, wanted)):
                continue
            try:
                names = _Archive(address, order, fetched, manners, bar).read()
            except DataError as error:
                fetched.failed.append(LeftOut(address, str(error).removeprefix(f"{address}: ")))
            else:
                if names is not None:
                    contents.names[address] = names
            contents.save()
    fetched.absent = sorted(order.open_names(True)) if per_class is None else order.short_labels()
    write_annotations(Path(out) / f"{split}.csv", order.rows_there())
    return fetched


class _Order:
    """The clips that are wanted, where they go, and which of them are there."""

    def __init__(self, rows: Sequence[Annotation], out: Path, split: str, per_class: int | None) -> None:
        self.folder = out / split
        self.per_class = per_class
        self.rows: dict[str, Annotation] = {}
        for row in rows:
            if row.label is None:
                raise DataError(f"{row.clip_name}: a row without label, so without a folder to go to")
            if not re.fullmatch(r"[\w-]+", row.clip_name, re.ASCII):
                raise DataError(f"row {row.row}: {row.youtube_id!r} cannot be part of a file's name")
            self.rows.setdefault(row.clip_name, row)
        self.there: set[str] = set()
        self.damaged: set[str] = set()  # in their archive: not looked for in another
        self._count: Counter[str] = Counter()
        wanted = Counter(cast(str, row.label) for row in self.rows.values())
        self.limits = {label: min(count, per_class or count) for label, count in wanted.items()}
        self.total = sum(self.limits.values())

    def take_present(self) -> list[str]:
        """Count the clips that an earlier download has left."""
        if self.folder.is_dir():
            for name in find_clips(self.folder):
                if name in self.rows:
                    self.arrived(name)
        return sorted(self.there)

    def arrived(self, name: str) -> None:
        self.there.add(name)
        self._count[cast(str, self.rows[name].label)] += 1

    def wants(self, name: str, repairs: bool) -> bool:
        """Whether this clip is still to be written; a damaged one only from the archive of repairs."""
        row = self.rows.get(name)
        if row is None or name in self.there or (name in self.damaged and not repairs):
            return False
        label = cast(str, row.label)
        return self._count[label] < self.limits[label]

    def open_names(self, repairs: bool) -> set[str]:
        """All clips that are still wanted."""
        return {name for name in self.rows if self.wants(name, repairs)}

    def is_done(self, repairs: bool) -> bool:
        """Whether nothing is wanted any more; mostly told without going through all rows."""
        return len(self.there) + len(self.damaged) >= self.total and not self.open_names(repairs)

    def short_labels(self) -> list[str]:
        """Labels with fewer clips than wanted, as a line each."""
        return [
            f"{label}: {self._count[label]} of {limit} clips"
            for label, limit in sorted(self.limits.items())
            if self._count[label] < limit
        ]

    def rows_there(self) -> list[Annotation]:
        return [row for name, row in self.rows.items() if name in self.there]

    def place(self, name: str) -> Path:
        """The file of a clip; a label becomes a folder's name, whatever it is made of."""
        label = re.sub(r"[^\w ()',&.+-]", "_", cast(str, self.rows[name].label)).strip(" .") or "_"
        return self.folder / label / f"{name}.mp4"


class _Contents:
    """What is known of the archives from earlier downloads, kept beside the clips.

    Attributes:
        names: address of an archive that was read to its end → the clips in it.
        damaged: clips that were damaged in their archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[str, list[str]] = {}
        self.damaged: set[str] = set()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(path.read_text(encoding="utf-8"))
            self.names, self.damaged = dict(known["archives"]), set(known["damaged"])

    def save(self) -> None:
        write_json(self.path, {"archives": self.names, "damaged": sorted(self.damaged)}, indent=None)


# Archives


class _Unusable(Exception):
    """What trying again will not mend: a hostile archive, or an address that has been tried enough."""


class _CarefulInfo(tarfile.TarInfo):
    """A member whose extended headers may not fill the memory, in an archive that must say where it ends."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        extended = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        long_names = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if self.type in extended + long_names and self.size > _MAX_HEADER:
            raise _Unusable(f"a member's header has {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Any:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise  # the mark of a proper end
        except tarfile.HeaderError as error:
            raise EOFError(f"the archive breaks off ({error})") from None


class _Archive:
    """One archive on the mirror, and what is to be taken from it."""

    def __init__(self, address: str, order: _Order, fetched: Fetched, manners: Manners, bar: Any) -> None:
        self.address = address
        self.repairs = address.endswith(_REPAIRS)
        self._order, self._fetched, self._manners, self._bar = order, fetched, manners, bar

    def read(self) -> list[str] | None:
        """Write the wanted clips; the names of all clips, or None if it was left before its end.

        Raises:
            DataError: it cannot be read to its end.
        """
        for attempt in range(1, self._manners.attempts + 1):
            try:
                return self._read_once()
            except _Unusable as error:
                raise DataError(f"{self.address}: left unread, {error}") from None
            except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
                reason = f"{type(error).__name__}: {error}"
                if attempt < self._manners.attempts:
                    self._manners.wait(attempt)
        raise DataError(f"{self.address}: cannot be read to its end ({reason})")

    def _read_once(self) -> list[str] | None:
        names: list[str] = []
        with (
            _ResumingStream(self.address, self._manners) as stream,
            tarfile.open(fileobj=cast(Any, stream), mode="r|gz", tarinfo=_CarefulInfo) as archive,
        ):
            for member in archive:
                if member.size > self._manners.max_clip_bytes:
                    raise _Unusable(f"its member {member.name!r} has {member.size} bytes")
                name = _clip_name(member)
                if name is not None:
                    names.append(name)
                    if self._order.wants(name, self.repairs):
                        self._keep(archive, member, name)
                        if self._order.is_done(self.repairs):
                            return None
                elif not member.isdir():
                    self._leave(f"{self.address} · {member.name}", "refused, not the plain file of a clip")
        return names

    def _keep(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        """Write one clip under a temporary name, look at its first frame, and only then give it its own."""
        place = self._order.place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.partial")
        source = archive.extractfile(member)
        assert source is not None
        try:
            with open(partial, "wb") as target:
                while block := source.read(_BLOCK):
                    target.write(block)
            if partial.stat().st_size != member.size:
                raise EOFError(f"{member.name} ends early")
            with open_video(partial, "pyav") as video:
                video.frames([0])
            os.replace(partial, place)
        except DataError as error:
            self._leave(name, str(error).removeprefix(f"{partial}: "))
            self._order.damaged.add(name)
        else:
            self._order.arrived(name)
            self._fetched.kept.append(name)
            self._bar.update()
        finally:
            partial.unlink(missing_ok=True)

    def _leave(self, name: str, reason: str) -> None:
        entry = LeftOut(name, reason)
        if entry not in self._fetched.left_out:
            self._fetched.left_out.append(entry)


def _clip_name(member: tarfile.TarInfo) -> str | None:
    """The clip that a member holds; None for links, devices and names that are no clip's."""
    path = PurePosixPath(member.name)
    if not member.isreg() or path.is_absolute() or ".." in path.parts or "\\" in member.name:
        return None
    return path.stem if path.suffix == ".mp4" and re.fullmatch(r"[\w-]+", path.stem, re.ASCII) else None


# The network


class _ResumingStream(io.RawIOBase):
    """The bytes of an address in one run; a connection that breaks is taken up where it broke."""

    def __init__(self, address: str, manners: Manners) -> None:
        self._address = address
        self._manners = manners
        self._position = 0
        self._tag: str | None = None
        self._total: int | None = None
        self._response: Any = None
        self._attempt = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, and none only at the end of what was announced."""
        while True:
            try:
                if self._response is None:
                    self._connect()
                block: bytes = self._response.read(_BLOCK if size < 0 else min(size, _BLOCK))
                if not block and self._total is not None and self._position < self._total:
                    raise ConnectionError(f"ended after {self._position} of {self._total} bytes")
            except (OSError, http.client.HTTPException) as error:
                self._fail(error)
                continue
            if block:
                self._attempt = 0  # it moves again
            self._position += len(block)
            return block

    def _connect(self) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
            if self._tag:
                headers["If-Range"] = self._tag
        response = _request(self._address, headers, self._manners.timeout)
        self._response = response
        length = response.headers.get("Content-Length")
        announced = int(length) if length and length.isdecimal() else None
        if not self._position:
            self._tag, self._total = response.headers.get("ETag"), announced
            return
        if response.status == 206:
            place = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if place is None or int(place[1]) != self._position:
                raise tarfile.ReadError("the server goes on at another place")
            if place[2] != "*":
                self._total = int(place[2])  # what it says now counts, should it have promised more
            return
        if (self._tag, self._total) != (response.headers.get("ETag"), announced):
            raise tarfile.ReadError("the file has changed while it was read")
        rest = self._position  # the server begins anew: pass over what is known
        while rest:
            block = response.read(min(rest, _BLOCK))
            if not block:
                raise ConnectionError("ended before the place where it broke")
            rest -= len(block)

    def _fail(self, error: Exception) -> None:
        """Close, pause and let the caller try again, if it is worth it."""
        self._hang_up()
        self._attempt += 1
        lasting = isinstance(error, urllib.error.HTTPError) and error.code not in _TRANSIENT
        if lasting or self._attempt >= self._manners.attempts:
            raise _Unusable(f"after {self._attempt} attempts: {error}") from None
        self._manners.wait(self._attempt)

    def _hang_up(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def close(self) -> None:
        self._hang_up()
        super().close()


def _archives(base: str, release: str, split: str, manners: Manners) -> Iterator[str]:
    """The addresses of a split's archives, all of them on the mirror; then the repairs that K400 has."""
    listing = f"{base}/{release}/{split}/k{release}_{split}_path.txt"
    for line in _fetch_text(listing, manners).decode("utf-8", "replace").split():
        address = urllib.parse.urljoin(f"{base}/{release}/{split}/", line.replace(MIRROR, base, 1))
        if not address.startswith(f"{base}/"):
            raise DataError(f"{listing}: {line} is not on the mirror {base}")
        yield address
    if release == "400":
        yield base + _REPAIRS


def _fetch_text(address: str, manners: Manners) -> bytes:
    """A whole small file."""
    blocks: list[bytes] = []
    size = 0
    with _ResumingStream(address, manners) as stream:
        try:
            while block := stream.read(_BLOCK):
                blocks.append(block)
                size += len(block)
                if size > _MAX_TEXT:
                    raise DataError(f"{address}: more than {_MAX_TEXT} bytes")
        except (_Unusable, tarfile.TarError) as error:
            raise DataError(f"{address}: cannot be fetched ({error})") from None
    return b"".join(blocks)


def _request(address: str, headers: Mapping[str, str], timeout: float) -> Any:
    request = urllib.request.Request(address, headers=dict(headers))
    return urllib.request.urlopen(request, timeout=timeout)


def _mirror(address: str) -> str:
    require(bool(re.match(r"https?://[^/]", address)), "mirror", address, "an http or https address")
    return address.rstrip("/")
