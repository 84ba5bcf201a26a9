"""The process decord runs in, started by `decode.py`: reads requests on standard input, answers with frames.

decord ends the whole process on some damaged files, and a reader opened before a fork hangs in the child;
here it can do neither harm. The file is run by its path, so that nothing but decord and NumPy is loaded.

A request is four bytes of length and that much JSON: ``{"path": …, "num_frames": …, "indices": […]}``, the
number of frames being what the caller knows there to be. The answer is again length and JSON, followed by the
raw bytes of the frames, ``(T, H, W, C)`` uint8.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any, BinaryIO


def send(answers: BinaryIO, header: dict[str, object], body: Any = b"") -> None:
    """One answer: length, JSON, raw bytes."""
    text = json.dumps(header).encode()
    answers.write(struct.pack("<I", len(text)) + text)
    rest = memoryview(body).cast("B")
    while rest:
        rest = rest[answers.write(rest) :]


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the parent closes its end."""
    try:
        import decord
        import numpy as np
    except Exception as error:
        send(answers, {"error": f"decord cannot be loaded: {error}"})
        return
    send(answers, {"ready": decord.__version__})
    opened: tuple[object, ...] = ()
    reader: Any = None
    while len(prefix := requests.read(4)) == 4:
        request = json.loads(requests.read(struct.unpack("<I", prefix)[0]))
        try:
            path = request["path"]
            status = os.stat(path)
            this = (path, status.st_mtime_ns, status.st_size)
            if this != opened:
                opened, reader = (), None  # the old reader goes before the new one comes
                reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
                if len(reader) != request["num_frames"]:
                    raise ValueError(f"decord counts {len(reader)} of {request['num_frames']} frames")
                opened = this
            frames = np.ascontiguousarray(reader.get_batch(request["indices"]).asnumpy())
        except Exception as error:
            opened, reader = (), None
            send(answers, {"error": str(error).strip().split("\n")[0][-300:] or type(error).__name__})
        else:
            send(answers, {"shape": list(frames.shape)}, frames.reshape(-1))


if __name__ == "__main__":
    private = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what decord itself prints must not reach the answers
    serve(sys.stdin.buffer, private)
