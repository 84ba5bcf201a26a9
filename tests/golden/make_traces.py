"""Take the golden traces anew: ``python tests/golden/make_traces.py``. A commit that does so says why."""

import json
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import traces
from conftest import decoded

NAMES = [each.name for each in traces.CONTESTANTS]


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    clips = decoded(folder)
    patch = pytest.MonkeyPatch()
    found = {
        "machine": traces.machine(),
        "compared": {
            name: traces.compared(name, folder / "compared", clips, patch) for name in ["image_start", *NAMES]
        },
        "trained": {name: traces.trained(name, folder / "trained", patch) for name in NAMES},
        "evaluated": {name: traces.evaluated(name) for name in traces.SHIPPED},
    }
    found["old"] = {path.name: traces.answers(path) for path in sorted(traces.OLD.iterdir())}
    traces.HELP.mkdir(exist_ok=True)
    for words, text in traces.helped().items():
        (traces.HELP / f"{words.replace(' ', '_')}.txt").write_text(text)
    traces.RECORD.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
