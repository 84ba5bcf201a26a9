"""What the library sets out to reach, as one table, and how a measurement is held against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LONGFORMER = "transformers Longformer"
LOCAL = "local-attention"
FLEX = "flex attention, compiled"
FULL = "fused, full"
MASKED = "fused, dense mask"
HF_TIMESFORMER = "transformers TimeSformer"
HF_VIVIT = "transformers ViViT (joint)"
LUCIDRAINS_VIVIT = "vit-pytorch ViViT"

PEER = "peer time ÷ ours"
MEMORY = "our peak memory above the inputs, MB"
GROWTH = "our time at n 16384 ÷ at n 4096"
FLOOR = "our time ÷ the floor"
DILATED = "our time dilated ÷ undilated"
BF16 = "our bfloat16 time ÷ our float32 time"
ABSOLUTE = "our time, ms"
TRAINING = "our training time ÷ our forward time"
PEER_MEMORY = "peer peak memory ÷ ours"
OUR_MEMORY = "our peak memory ÷ the peer's"
CHUNKED_TIME = "time in chunks ÷ unchunked"
CHUNKED_MEMORY = "peak memory in chunks ÷ unchunked"
CACHED = "full pass ÷ pass from cached features"
MATRIX_SHARE = "share of the measured matrix rate"


@dataclass(frozen=True)
class Target:
    """A bound on every measured quantity of this name that agrees with ``where``."""

    quantity: str
    where: dict[str, Any]
    bound: float
    at_least: bool = True
    stretch: float | None = None

    def met_by(self, value: float, bound: float | None = None) -> bool:
        limit = self.bound if bound is None else bound
        return value >= limit if self.at_least else value <= limit

    def words(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"


def _against_peers() -> Iterable[Target]:
    """12 heads of 64, batch 1, one global token: (forward, training) goals and stretches."""
    table = {
        (256, LONGFORMER): ((4.3, 6.8), (8.7, 10.3)),
        (256, LOCAL): ((3.6, 2.5), (5.2, 3.3)),
        (256, FLEX): ((1.5,), (2.2,)),
        (256, FULL): ((5.7, 5.9), (7.6, 7.5)),
        (64, LONGFORMER): ((4.7, 3.9), (5.5, 5.5)),
        (64, LOCAL): ((3.0, 2.1), (3.4, 2.4)),
        (64, FLEX): ((3.2,), (3.7,)),
        (64, FULL): ((16.0, 16.0), (17.0, 17.0)),
        (16, LONGFORMER): ((4.0, 4.0), (5.0, 5.0)),
        (16, LOCAL): ((3.2, 1.5), (4.0, 2.0)),
        (16, FLEX): ((6.0,), (7.0,)),
        (16, FULL): ((29.0, 28.0), (None, None)),
    }
    for (reach, peer), (goals, stretches) in table.items():
        for mode, goal, stretch in zip(("forward", "training"), goals, stretches, strict=False):
            where = {"device": "cpu", "dtype": "float32", "n": 4096, "reach": reach, "mode": mode}
            yield Target(PEER, where | {"peer": peer}, goal, stretch=stretch)


ATTENTION: tuple[Target, ...] = (
    *_against_peers(),
    Target(PEER, {"device": "cpu", "peer": FULL, "dtype": "float32"}, 0.95),
    Target(PEER, {"device": "cpu", "peer": FULL, "dtype": "bfloat16"}, 0.95),
    Target(PEER, {"device": "cpu", "peer": LONGFORMER, "dtype": "bfloat16", "n": 4096, "reach": 256}, 8.0),
    Target(BF16, {"device": "cpu"}, 1.0, at_least=False),
    Target(DILATED, {"device": "cpu"}, 1.1, at_least=False),
    *(
        Target(
            MEMORY,
            {"device": "cpu", "dtype": "float32", "n": 4096, "reach": 256, "mode": mode},
            most,
            at_least=False,
        )
        for mode, most in (("forward", 13.0), ("training", 72.0))
    ),
    Target(GROWTH, {"device": "cpu", "mode": "forward"}, 4.7, at_least=False),
    Target(GROWTH, {"device": "cpu", "mode": "training"}, 5.3, at_least=False),
    *(
        Target(
            FLOOR,
            {"device": "cpu", "dtype": "float32", "n": 4096, "reach": reach, "mode": "forward"},
            most,
            at_least=False,
        )
        for reach, most in ((256, 1.45), (64, 2.5), (16, 4.3))
    ),
    *(
        Target(
            ABSOLUTE,
            {
                "device": "cuda",
                "dtype": "bfloat16",
                "n": 16384,
                "batch": 8,
                "reach": reach,
                "mode": "forward",
            },
            most,
            at_least=False,
        )
        for reach, most in ((256, 0.75), (64, 0.40))
    ),
    Target(
        TRAINING,
        {"device": "cuda", "dtype": "bfloat16", "n": 16384, "batch": 8, "reach": 256},
        3.0,
        at_least=False,
    ),
    *(
        Target(
            quantity,
            {"device": "cuda", "dtype": "bfloat16", "n": 16384, "batch": 8, "mode": "training", "peer": peer},
            least,
        )
        for quantity, peer, least in (
            (PEER, LONGFORMER, 15.0),
            (PEER_MEMORY, LONGFORMER, 8.0),
            (PEER, FULL, 10.0),
        )
    ),
)
"""Windowed attention. On a CPU one thread; on a GPU an absolute time counts only beside the GPU's name."""

ATTENTION_ON = {
    device: tuple(target for target in ATTENTION if target.where["device"] == device)
    for device in ("cpu", "cuda")
}
"""Those that a run on this device can speak to."""

MODELS: tuple[Target, ...] = (
    *(
        Target(
            PEER,
            {"device": "cpu", "model": f"TimeSformer {size}", "dtype": "float32", "mode": mode},
            least,
            stretch=stretch,
        )
        for size in ("Ti", "S")
        for mode, least, stretch in (("forward", 1.03, 1.6), ("training", 1.05, 1.7))
    ),
    *(
        Target(PEER, {"device": "cpu", "model": f"TimeSformer {size}", "dtype": "bfloat16"}, 1.0)
        for size in ("Ti", "S")
    ),
    Target(OUR_MEMORY, {"device": "cpu", "peer": HF_TIMESFORMER, "mode": "training"}, 0.88, at_least=False),
    Target(PEER, {"device": "cpu", "peer": LUCIDRAINS_VIVIT, "dtype": "float32"}, 1.0),
    Target(PEER, {"device": "cpu", "peer": HF_VIVIT, "dtype": "float32"}, 1.8),
    Target(CHUNKED_TIME, {"device": "cpu"}, 0.8, at_least=False),
    Target(CHUNKED_MEMORY, {"device": "cpu"}, 0.12, at_least=False),
    Target(CACHED, {"device": "cpu"}, 100.0),
    Target(PEER, {"device": "cpu", "model": "VTN temporal encoder", "peer": LONGFORMER}, 1.4),
    Target(MATRIX_SHARE, {"device": "cuda", "model": "TimeSformer B", "mode": "training"}, 0.4),
    Target(PEER, {"device": "cuda", "model": "TimeSformer B", "mode": "training"}, 1.3),
)
"""Whole models, same weights where they load."""

MODELS_ON = {
    device: tuple(target for target in MODELS if target.where["device"] == device)
    for device in ("cpu", "cuda")
}
"""Those that a run on this device can speak to."""


def judge(targets: Sequence[Target], quantities: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every measured quantity that a target speaks of, with what was asked for and whether it is met.

    A target that nothing measured speaks to gives one line without a value, so that none passes unseen.

    Args:
        targets: what is asked for.
        quantities: dicts with "quantity" and "value", and what they were measured of.

    >>> target = Target(PEER, {"n": 4096}, 2.0)
    >>> [found["met"] for found in judge([target], [{"quantity": PEER, "n": 4096, "value": 1.5}])]
    [False]
    """
    lines = []
    for target in targets:
        where = target.where.items()
        spoken_of = [
            one
            for one in quantities
            if one["quantity"] == target.quantity and all(one.get(key) == value for key, value in where)
        ]
        for one in spoken_of or [{"quantity": target.quantity, **target.where, "value": None}]:
            value = one["value"]
            line = {**one, "asked": target.words(), "met": None if value is None else target.met_by(value)}
            if target.stretch is not None:
                line["stretch"] = target.stretch
                line["stretch_met"] = None if value is None else target.met_by(value, target.stretch)
            lines.append(line)
    return lines


def told(line: dict[str, Any]) -> str:
    """One judged line in words."""
    hidden = {"quantity", "value", "asked", "met", "stretch", "stretch_met", "device"}
    of = ", ".join(
        f"{key} {value}" if key in ("n", "reach", "batch") else str(value)
        for key, value in line.items()
        if key not in hidden and value is not None
    )
    value = "not measured" if line["value"] is None else f"{line['value']:.3g}"
    stretch = f", stretch {line['stretch']:g}" if line.get("stretch") is not None else ""
    return f"{line['quantity']} ({of}): {value}; {line['asked']} asked for{stretch}"


def shortfalls(lines: Sequence[dict[str, Any]]) -> list[str]:
    """What falls short, in words; what was not measured is no shortfall."""
    return [told(line) for line in lines if line["met"] is False]


def verdict(lines: Sequence[dict[str, Any]]) -> str:
    """The judged lines as text: what falls short, what was not measured, and how many are met."""
    missed = shortfalls(lines)
    unseen = [told(line) for line in lines if line["met"] is None]
    met = sum(line["met"] is True for line in lines)
    text = [f"{met} of {len(lines) - len(unseen)} measured targets are met."]
    text += ["Falls short:", *(f"  {line}" for line in missed)] if missed else []
    text += ["Not measured:", *(f"  {line}" for line in unseen)] if unseen else []
    return "\n".join(text)
