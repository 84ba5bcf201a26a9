"""The downloader against a mirror on loopback, one that behaves and several that do not."""

from __future__ import annotations

import gzip
import http.server
import io
import signal
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vtlearn.data import download as downloads
from vtlearn.data.decode import decode_all
from vtlearn.data.download import MIRROR, Fetched, Manners, download_clips, fetch_annotations
from vtlearn.data.kinetics import Annotation, read_annotations, read_clip_folder, write_annotations
from vtlearn.errors import ArgumentError, DataError

HASTY = Manners(attempts=3, pause=0.0, timeout=5.0, max_clip_bytes=1 << 20)


class Mirror(http.server.ThreadingHTTPServer):
    """Files by path, requests counted, and faults by path: what to do with the next requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[str, list[str]] = {}
        self.ranges = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/kinetics"

    def archives_asked(self) -> list[str]:
        return [path.rsplit("/", 1)[1] for path, _ in self.requests if path.endswith(("tar.gz", "tgz"))]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, wanted = self.path.removeprefix("/kinetics/"), self.headers.get("Range", "")
        self.server.requests.append((path, wanted))
        faults = self.server.faults.get(path, [])
        fault = faults.pop(0) if faults else ""
        body = self.server.files.get(path)
        if body is None or fault.isdecimal():
            self.send_error(int(fault) if fault else 404)
            return
        start = 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        part = body[start:]
        announced = {"long": len(part) + 999, "short": len(part) // 2}.get(fault, len(part))
        self.send_header("Content-Length", str(announced))
        self.send_header("ETag", '"same"')
        self.end_headers()
        self.wfile.write(part[: len(part) // 2] if fault == "cut" else part)
        self.close_connection = True


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def archive(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return target.getvalue()


@pytest.fixture(scope="module")
def clips(
    tmp_path_factory: pytest.TempPathFactory, clip_writer: Callable[..., np.ndarray]
) -> dict[str, bytes]:
    """Six clips by their name in the archives."""
    folder = tmp_path_factory.mktemp("mirror")
    for i in range(6):
        clip_writer(folder / f"id-{i}_00000{i}_00001{i}.mp4", num_frames=3, seed=i, height=16, width=16)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


ROWS = [Annotation("tai chi" if i % 2 else "push up", f"id-{i}", i, 10 + i, "val", 0) for i in range(6)]
PARTS = {"part_0.tar.gz": (0, 1, 2), "part_1.tar.gz": (3, 4), "part_2.tar.gz": (5,)}


@pytest.fixture
def filled(mirror: Mirror, clips: dict[str, bytes], tmp_path: Path) -> Mirror:
    """A mirror with three archives, laid out as the real one is."""
    named = list(clips.items())
    for part, numbers in PARTS.items():
        mirror.files[f"400/val/{part}"] = archive(*(named[i] for i in numbers))
    mirror.files["400/val/k400_val_path.txt"] = "\n".join(
        f"{MIRROR}/400/val/{part}" for part in PARTS
    ).encode()
    mirror.files["400/replacement_for_corrupted_k400.tgz"] = archive()
    write_annotations(tmp_path / "val.csv", ROWS)
    mirror.files["400/annotations/val.csv"] = (tmp_path / "val.csv").read_bytes()
    return mirror


def fetch(mirror: Mirror, out: Path, rows: list[Annotation] = ROWS, **settings: Any) -> Fetched:
    settings = {"release": "400", "split": "val", "mirror": mirror.address, "manners": HASTY, **settings}
    return download_clips(rows, out, **settings)


def found(out: Path) -> list[str]:
    """The numbers of the clips that are there, and any other file that should not be."""
    return sorted(
        path.stem[3:4] if path.parent.parent.name == "val" and path.suffix == ".mp4" else str(path)
        for path in out.rglob("*")
        if path.is_file() and path.name not in ("val.csv", ".contents_k400_val.json")
    )


def test_clips_arrive_under_their_labels(filled: Mirror, tmp_path: Path, clips: dict[str, bytes]) -> None:
    rows = fetch_annotations("400", "val", mirror=filled.address, folder=tmp_path / "csv", manners=HASTY)
    assert rows == ROWS
    fetched = fetch(filled, tmp_path / "out", rows)
    assert sorted(fetched.kept) == sorted(row.clip_name for row in ROWS)
    assert (fetched.present, fetched.absent, fetched.left_out, fetched.failed) == ([], [], [], [])
    for name, content in clips.items():
        assert next((tmp_path / "out").rglob(name)).read_bytes() == content
    assert read_annotations(tmp_path / "out" / "val.csv") == ROWS
    there = read_clip_folder(tmp_path / "out")
    assert len(there.records) == 6
    assert there.class_names == {"label": ("push up", "tai chi")}
    assert len(decode_all(there.records[0].path)) == 3
    asked = len(filled.requests)
    fetch_annotations("400", "val", mirror=filled.address, folder=tmp_path / "csv", manners=HASTY)
    assert len(filled.requests) == asked


def test_kinetics_600_is_read_from_its_text_files(filled: Mirror, tmp_path: Path) -> None:
    rows = filled.files["400/annotations/val.csv"]
    filled.files["600/annotations/val.txt"] = rows
    filled.files["600/annotations/val.csv"] = rows.splitlines(keepends=True)[0]
    filled.files["600/annotations/test.csv"] = rows
    for split in ("val", "test", "val"):
        found = fetch_annotations("600", split, mirror=filled.address, folder=tmp_path / "csv", manners=HASTY)
        assert found == ROWS, split
    asked = [path for path, _ in filled.requests]
    assert asked == [f"600/annotations/{name}" for name in ("val.txt", "test.txt", "test.csv")]


def test_reading_stops_when_everything_is_there(filled: Mirror, tmp_path: Path) -> None:
    fetched = fetch(filled, tmp_path, ROWS[:2])
    assert found(tmp_path) == ["0", "1"]
    assert fetched.kept == ["id-0_000000_000010", "id-1_000001_000011"]
    assert filled.archives_asked() == ["part_0.tar.gz"]


def test_a_number_for_each_class(filled: Mirror, tmp_path: Path) -> None:
    fetch(filled, tmp_path, per_class=2)
    assert found(tmp_path) == ["0", "1", "2", "3"]
    assert Counter(row.label for row in read_annotations(tmp_path / "val.csv")) == {
        "push up": 2,
        "tai chi": 2,
    }
    more = fetch(filled, tmp_path, per_class=9)
    assert found(tmp_path) == list("012345")
    assert len(more.kept) == 2
    assert more.absent == []


def test_a_second_download_repeats_nothing(filled: Mirror, tmp_path: Path) -> None:
    absent = Annotation("tai chi", "nowhere", 1, 11, "val")
    first = fetch(filled, tmp_path, [*ROWS[1:4], absent])
    assert first.absent == ["nowhere_000001_000011"]
    assert len(filled.archives_asked()) == 4  # all of them, looking for it
    filled.requests.clear()
    second = fetch(filled, tmp_path, [*ROWS[1:4], absent])
    assert (len(second.present), second.kept, second.absent) == (3, [], first.absent)
    assert filled.archives_asked() == []
    third = fetch(filled, tmp_path, [*ROWS[1:5], absent])
    assert third.kept == ["id-4_000004_000014"]
    assert filled.archives_asked() == ["part_1.tar.gz"]
    filled.requests.clear()
    fetch(filled, tmp_path, ROWS[1:5])
    assert filled.requests == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_taken_up(filled: Mirror, tmp_path: Path, ranges: bool) -> None:
    filled.ranges = ranges
    filled.faults = {"400/val/part_0.tar.gz": ["cut", "cut"], "400/val/k400_val_path.txt": ["cut"]}
    fetched = fetch(filled, tmp_path)
    assert found(tmp_path) == list("012345")
    assert fetched.failed == []
    taken_up = [wanted for path, wanted in filled.requests if path.endswith("part_0.tar.gz")]
    assert len(taken_up) == 3
    assert taken_up[0] == ""
    assert all(wanted.startswith("bytes=") for wanted in taken_up[1:])


def test_a_busy_server_is_asked_again(filled: Mirror, tmp_path: Path) -> None:
    filled.faults = {"400/val/part_0.tar.gz": ["503", "503"], "400/val/k400_val_path.txt": ["500", "429"]}
    fetch(filled, tmp_path)
    assert found(tmp_path) == list("012345")
    assert filled.archives_asked().count("part_0.tar.gz") == 3


def test_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(downloads.time, "sleep", pauses.append)
    for attempt in (1, 2, 3, 9):
        Manners(pause=0.5).wait(attempt)
    assert pauses == [0.5, 1.0, 2.0, 60.0]


@pytest.mark.parametrize("fault", ["503", "404", "cut-for-ever", "short"])
def test_an_archive_that_stays_bad_is_named_and_the_others_are_read(
    filled: Mirror, tmp_path: Path, fault: str
) -> None:
    path = "400/val/part_0.tar.gz"
    filled.faults = {path: [fault] * 50}
    filled.ranges = fault != "short"
    if fault == "cut-for-ever":
        filled.files[path] = filled.files[path][: len(filled.files[path]) // 2]
    fetched = fetch(filled, tmp_path)
    assert [entry.name for entry in fetched.failed] == [f"{filled.address}/{path}"]
    assert fetched.failed[0].reason
    assert set("345") <= set(found(tmp_path)) <= set("012345")
    assert len(found(tmp_path)) == len(fetched.kept)
    assert filled.archives_asked().count("part_0.tar.gz") <= 9
    filled.faults.clear()
    filled.ranges = True
    if fault != "cut-for-ever":
        again = fetch(filled, tmp_path)
        assert found(tmp_path) == list("012345")
        assert len(again.kept) + len(again.present) == 6


def test_a_length_that_promises_too_much_loses_nothing(filled: Mirror, tmp_path: Path) -> None:
    filled.faults = {"400/val/part_0.tar.gz": ["long"] * 50, "400/val/k400_val_path.txt": ["long"]}
    fetched = fetch(filled, tmp_path)
    assert found(tmp_path) == list("012345")
    assert fetched.failed == []


def hostile_members() -> list[tarfile.TarInfo]:
    def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 100, link: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, size if kind == tarfile.REGTYPE else 0, link
        return info

    return [
        member("../id-3_000003_000013.mp4"),
        member("/tmp/id-3_000003_000013.mp4"),
        member("a/../../id-3_000003_000013.mp4"),
        member("..\\id-3_000003_000013.mp4"),
        member("id-3_000003_000013.mp4", tarfile.SYMTYPE, link="/etc/passwd"),
        member("id-3_000003_000013.mp4", tarfile.LNKTYPE, link="id-0_000000_000010.mp4"),
        member("id-3_000003_000013.mp4", tarfile.FIFOTYPE),
        member("id-3_000003_000013.mp4", tarfile.CHRTYPE),
        member("id-3_000003_000013.sh"),
        member("..mp4"),
    ]


def test_a_hostile_archive_writes_nothing_else(
    filled: Mirror, tmp_path: Path, clips: dict[str, bytes]
) -> None:
    good = next(iter(clips.items()))
    filled.files["400/val/part_0.tar.gz"] = archive(*hostile_members(), good)
    out = tmp_path / "a" / "b" / "out"
    fetched = fetch(filled, out, [ROWS[0], ROWS[3], ROWS[5]])
    assert found(out) == ["0", "3", "5"]
    assert next(out.rglob("id-3*")).read_bytes() == clips["id-3_000003_000013.mp4"]  # the one of part_1
    assert not any(path.is_symlink() for path in out.rglob("*"))
    refused = [entry for entry in fetched.left_out if "refused" in entry.reason]
    assert len(refused) >= 7
    assert {path.name for path in tmp_path.iterdir()} <= {"a", "val.csv"}


def test_a_member_that_is_too_large_ends_the_archive(filled: Mirror, tmp_path: Path) -> None:
    bomb = tarfile.TarInfo("zeros.mp4")
    bomb.size = 2 << 20
    filled.files["400/val/part_0.tar.gz"] = archive(bomb)
    fetched = fetch(filled, tmp_path)
    assert [entry.reason for entry in fetched.failed] == [
        "left unread, its member 'zeros.mp4' has 2097152 bytes"
    ]
    assert filled.archives_asked().count("part_0.tar.gz") == 1
    assert found(tmp_path) == ["3", "4", "5"]


def test_a_header_that_would_fill_the_memory(filled: Mirror, tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 19
    raw = header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 19) + bytes(1024)
    filled.files["400/val/part_0.tar.gz"] = gzip.compress(raw)
    fetched = fetch(filled, tmp_path)
    assert [entry.reason for entry in fetched.failed] == ["left unread, a member's header has 524288 bytes"]


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"x" * 2000), b"\x1f\x8b" + bytes(100)],
    ids=["empty", "text", "no tar", "broken gzip"],
)
def test_what_is_no_archive_is_named(filled: Mirror, tmp_path: Path, content: bytes) -> None:
    filled.files["400/val/part_0.tar.gz"] = content
    fetched = fetch(filled, tmp_path)
    assert [entry.name.rsplit("/", 1)[1] for entry in fetched.failed] == ["part_0.tar.gz"]
    assert found(tmp_path) == ["3", "4", "5"]


def test_a_damaged_clip_is_named_and_taken_from_the_repairs(
    filled: Mirror, tmp_path: Path, clips: dict[str, bytes]
) -> None:
    names = list(clips)
    bad = [(names[0], clips[names[0]][:200]), (names[1], b"no video"), (names[2], clips[names[2]])]
    filled.files["400/val/part_0.tar.gz"] = archive(*bad)
    filled.files["400/replacement_for_corrupted_k400.tgz"] = archive((f"repairs/{names[0]}", clips[names[0]]))
    fetched = fetch(filled, tmp_path)
    assert found(tmp_path) == ["0", "2", "3", "4", "5"]
    assert [entry.name for entry in fetched.left_out] == [Path(name).stem for name in names[:2]]
    assert fetched.absent == [Path(names[1]).stem]
    filled.requests.clear()
    fetch(filled, tmp_path)
    assert filled.archives_asked() == []
    assert "not found" in fetched.describe()


def test_interrupted_in_the_middle_of_a_clip(
    filled: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = downloads.open_video, []

    def stop(path: Path, *settings: Any) -> Any:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(path, *settings)

    monkeypatch.setattr(downloads, "open_video", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch(filled, tmp_path)
    assert found(tmp_path) == ["0", "1"]
    (tmp_path / "val" / "push up" / ".id-2_000002_000012.mp4.partial").write_bytes(b"killed here")
    monkeypatch.setattr(downloads, "open_video", real)
    again = fetch(filled, tmp_path)
    assert found(tmp_path) == list("012345")
    assert (len(again.present), len(again.kept)) == (2, 4)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no such signal")
def test_killed_and_taken_up(filled: Mirror, tmp_path: Path, clips: dict[str, bytes]) -> None:
    program = (
        "import os, signal, sys\nfrom vtlearn.data import download as d\n"
        "from vtlearn.data.kinetics import read_annotations\nreal, seen = d.open_video, []\n"
        "def look(*given):\n"
        "    seen.append(given)\n"
        "    if len(seen) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*given)\n"
        "d.open_video = look\n"
        "rows = read_annotations(sys.argv[1])\n"
        "d.download_clips(rows, sys.argv[2], release='400', split='val', mirror=sys.argv[3])\n"
    )
    arguments = [tmp_path / "val.csv", tmp_path / "out", filled.address]
    done = subprocess.run([sys.executable, "-c", program, *arguments], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    before = sorted(path.name for path in (tmp_path / "out").rglob("id-*.mp4"))
    assert len(before) == 2
    assert list((tmp_path / "out").rglob(".*.partial"))
    (tmp_path / "out" / "val" / ".id-9_000009_000019.mp4.partial").touch()  # of an earlier order
    again = fetch(filled, tmp_path / "out")
    assert sorted(f"{name}.mp4" for name in again.present) == before
    assert len(again.kept) == 4
    assert found(tmp_path / "out") == list("012345")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("id-*.mp4")} == clips


def test_addresses_off_the_mirror_are_refused(filled: Mirror, tmp_path: Path) -> None:
    for line in ("http://127.0.0.2:9/part_0.tar.gz", "file:///etc/passwd", "//elsewhere/part_0.tar.gz"):
        filled.files["400/val/k400_val_path.txt"] = line.encode()
        with pytest.raises(DataError, match="is not on the mirror"):
            fetch(filled, tmp_path)
    filled.files["400/val/k400_val_path.txt"] = b"part_0.tar.gz\nhttp"
    fetch(filled, tmp_path, ROWS[:3])
    assert found(tmp_path) == ["0", "1", "2"]


def test_a_mirror_without_the_list_is_named(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"k400_val_path\.txt: cannot be fetched .*404"):
        fetch(mirror, tmp_path)
    with pytest.raises(DataError, match=r"annotations/val\.csv: cannot be fetched"):
        fetch_annotations("400", "val", mirror=mirror.address, folder=tmp_path, manners=HASTY)
    assert list(tmp_path.rglob("*.csv*")) == []


def test_rows_and_arguments_that_cannot_be(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a row without label"):
        fetch(mirror, tmp_path, [Annotation(None, "a", 1, 2, "test")])
    with pytest.raises(DataError, match="cannot be part of a file's name"):
        fetch(mirror, tmp_path, [Annotation("x", "../a", 1, 2, "test")])
    with pytest.raises(ArgumentError, match=r"^release must be"):
        fetch(mirror, tmp_path, release="500")
    with pytest.raises(ArgumentError, match=r"^split must be"):
        fetch(mirror, tmp_path, split="all")
    with pytest.raises(ArgumentError, match=r"^mirror must be an http"):
        download_clips(ROWS, tmp_path, release="400", split="val", mirror="file:///tmp")
    with pytest.raises(ArgumentError, match=r"^attempts must be"):
        Manners(attempts=0)


def test_labels_that_are_no_folder_names(filled: Mirror, tmp_path: Path) -> None:
    rows = [
        Annotation(label, f"id-{i}", i, 10 + i, "val") for i, label in enumerate(["../../x", "a/b", ".."])
    ]
    fetch(filled, tmp_path / "deep" / "out", rows)
    places = {
        path.parent.relative_to(tmp_path / "deep" / "out").as_posix() for path in tmp_path.rglob("id-*.mp4")
    }
    assert len(places) == 3
    assert all(place.startswith("val/") and ".." not in place.split("/") for place in places)
