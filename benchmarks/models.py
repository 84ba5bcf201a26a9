"""The models against Hugging Face's and vit-pytorch's in one run, and VTN's ways through a long video.

    make bench                                  after attention, in an environment with all peers
    python -m benchmarks.models                 the same with the peers that are installed here
    python -m benchmarks.models --quick         tiny models, a check that everything runs; nothing is written

The harness is that of ``benchmarks.attention``: interleaved rounds, CPU time in one thread, ratios as medians
over rounds, peak memory above weights and input in a process each. A training step is forward, cross-entropy
and backward, dropout off; the optimiser is everyone's own affair. Where weights can be loaded, both sides
have the same and must give the same output first. Sizes are reduced where one core would take minutes; the
record says which. TimeSformer's official code does not install from the package index and is not measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import targets
from benchmarks.attention import DTYPES, MODES
from benchmarks.machine import RESULTS, ceilings, machine, record
from benchmarks.peers import OURS, LeftOut
from benchmarks.timing import Call, FreshProcesses, interleave, peak_growth, ratio, seconds
from vtlearn.models import create_model, model_config
from vtlearn.models.catalogue import build_model
from vtlearn.models.cost import input_shape, model_cost
from vtlearn.models.pretrained import from_published
from vtlearn.models.timesformer import TimeSformerConfig
from vtlearn.models.vivit import ViViT, ViViTConfig
from vtlearn.models.vtn import VTN

NUM_CLASSES = 400
VIDEO_FRAMES = 250
CHUNK = 4
"""Frames in VTN's backbone at a time: their activations stay near the cache."""

MEMORY_OF = (("training", "float32"), ("training", "bfloat16"))
"""Where memory is measured: a forward pass without gradients holds little."""

VIEWS = {
    "slowfast_resnet101_16x8": 30,
    "slowfast_resnet50_8x8": 30,
    "timesformer_base": 3,
    "vivit_base_factorised_encoder": 12,
}
"""Views a video that each paper's accuracy is an average over (clips by crops)."""

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Side:
    """One contestant: a module, and how it maps the case's input to an output."""

    module: nn.Module
    forward: Forward


@dataclass(frozen=True)
class Case:
    """One model, ours and its peers'.

    ``build`` makes all sides, of one set of weights where ``same_weights``; ``draw`` the input in our layout.
    """

    model: str
    sizes: str
    build: Callable[[], dict[str, Side]]
    draw: Callable[[], Tensor]
    same_weights: bool
    dtypes: Sequence[str] = ("float32", "bfloat16")


def _transformers(*names: str) -> list[Any]:
    try:
        import transformers
    except ImportError:
        raise LeftOut("transformers is not installed") from None
    return [getattr(transformers, name) for name in names]


def _shipped(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def timesformer_sides(embed_dim: int, heads: int, depth: int, image_size: int) -> dict[str, Side]:
    """TimeSformer with divided attention, 8 frames: Hugging Face's random weights, read by ours."""
    config_class, model_class = _transformers("TimesformerConfig", "TimesformerForVideoClassification")
    config = config_class(
        image_size=image_size,
        num_frames=8,
        hidden_size=embed_dim,
        num_attention_heads=heads,
        num_hidden_layers=depth,
        intermediate_size=4 * embed_dim,
        num_labels=NUM_CLASSES,
    )
    theirs = model_class(config)
    mine = from_published(_shipped(theirs), "timesformer-hf", config.to_dict())
    return {
        OURS: Side(mine, mine),
        targets.HF_TIMESFORMER: Side(theirs, lambda clips: theirs(clips).logits),
    }


def vivit_sides(embed_dim: int, heads: int, depth: int, num_frames: int, image_size: int) -> dict[str, Side]:
    """Our factorised encoder, vit-pytorch's, and Hugging Face's joint model, all of one width and depth."""
    config = ViViTConfig(
        num_frames=num_frames,
        image_size=image_size,
        embed_dim=embed_dim,
        num_heads=heads,
        depth=depth,
        num_classes=NUM_CLASSES,
    )
    mine = ViViT(config)
    found = {OURS: Side(mine, mine)}
    try:
        theirs = _vit_pytorch().ViViT(
            image_size=image_size,
            image_patch_size=16,
            frames=num_frames,
            frame_patch_size=2,
            num_classes=NUM_CLASSES,
            dim=embed_dim,
            spatial_depth=depth,
            temporal_depth=config.temporal_depth,
            heads=heads,
            dim_head=embed_dim // heads,
            mlp_dim=4 * embed_dim,
            variant="factorized_encoder",
        )
        found[targets.LUCIDRAINS_VIVIT] = Side(theirs, lambda clips: theirs(clips.transpose(1, 2)))
    except LeftOut:
        pass
    try:
        config_class, model_class = _transformers("VivitConfig", "VivitForVideoClassification")
        joint = model_class(
            config_class(
                image_size=image_size,
                num_frames=num_frames,
                tubelet_size=[2, 16, 16],
                hidden_size=embed_dim,
                num_attention_heads=heads,
                num_hidden_layers=depth,
                intermediate_size=4 * embed_dim,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                num_labels=NUM_CLASSES,
            )
        )
        found[targets.HF_VIVIT] = Side(joint, lambda clips: joint(clips).logits)
    except LeftOut:
        pass
    return found


def _vit_pytorch() -> Any:
    """The one file of vit-pytorch that holds its ViViT; the package around it wants torchvision."""
    package = importlib.util.find_spec("vit_pytorch")
    if package is None or package.origin is None:
        raise LeftOut("vit-pytorch is not installed")
    path = Path(package.origin).with_name("vivit.py")
    spec = importlib.util.spec_from_file_location("vit_pytorch_vivit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def temporal_sides(embed_dim: int, heads: int, depth: int) -> dict[str, Side]:
    """VTN's temporal encoder: Hugging Face's Longformer with its random weights, and ours with the same.

    A class token that sees all and 250 frames, window 18 as released (19 with its centre); both are handed
    vectors and add positions and types themselves.
    """
    config_class, model_class = _transformers("LongformerConfig", "LongformerModel")
    config = config_class(
        attention_window=[18] * depth,
        hidden_size=embed_dim,
        num_attention_heads=heads,
        num_hidden_layers=depth,
        intermediate_size=4 * embed_dim,
        max_position_embeddings=VIDEO_FRAMES + 38,
        vocab_size=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    theirs = model_class(config, add_pooling_layer=False)
    published = {**config.to_dict(), "attention_window": 18}
    mine = from_published(_shipped(theirs), "longformer-hf", published)

    def sees_all(x: Tensor) -> Tensor:
        mask = torch.zeros(x.shape[:2], dtype=torch.long, device=x.device)
        mask[:, 0] = 1
        return mask

    return {
        OURS: Side(mine, lambda x: mine(inputs_embeds=x, global_attention_mask=sees_all(x))),
        targets.LONGFORMER: Side(
            theirs,
            lambda x: theirs(inputs_embeds=x, global_attention_mask=sees_all(x)).last_hidden_state,
        ),
    }


def draw_clips(batch: int, frames: int, size: int) -> Tensor:
    return torch.randn(batch, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


def draw_vectors(tokens: int, embed_dim: int) -> Tensor:
    return torch.randn(1, tokens, embed_dim, generator=torch.Generator().manual_seed(1))


def cases(device: str, quick: bool) -> list[Case]:
    """Everything that is compared with a peer."""
    size = 32 if quick else 224
    depth = 2 if quick else 12
    half = ("bfloat16",)

    def timesformer(name: str, width: int, heads: int, batch: int, dtypes: Sequence[str]) -> Case:
        return Case(
            f"TimeSformer {name}",
            f"{batch} × 8 × {size}², width {width}, {heads} heads, depth {depth}",
            partial(timesformer_sides, width, heads, depth, size),
            partial(draw_clips, batch, 8, size),
            True,
            dtypes,
        )

    if device == "cuda":
        return [timesformer("B", 768, 12, 8, half)]
    both = ("float32", "bfloat16")
    return [
        timesformer("Ti", 192, 3, 1, both),
        timesformer("S", 384, 6, 1, both),
        Case(
            "ViViT factorised encoder",
            f"16 × {size}², tubelets 2 × 16², width 384, 6 heads, depth {depth} + 4 (the paper's: 32 frames, "
            "width 768)",
            partial(vivit_sides, 384, 6, depth, 16, size),
            partial(draw_clips, 1, 16, size),
            False,
            ("float32",),
        ),
        Case(
            "VTN temporal encoder",
            f"{VIDEO_FRAMES} frames and a class token, width 768, 12 heads, depth 3, window 19",
            partial(temporal_sides, 768, 12, 3),
            partial(draw_vectors, 1 + VIDEO_FRAMES, 768),
            True,
            ("float32",),
        ),
    ]


def built(case: Case) -> dict[str, Side]:
    """All sides of a case, the same numbers every time."""
    torch.manual_seed(0)
    return case.build()


def step_of(side: Side, given: Tensor, training: bool) -> Call:
    """One call to measure: forward without gradients, or forward, loss and backward."""
    side.module.train(training)
    label = torch.zeros(len(given), dtype=torch.long, device=given.device)

    def forward() -> None:
        with torch.no_grad():
            side.forward(given)

    def train() -> None:
        out = side.forward(given)
        loss = (
            nn.functional.cross_entropy(out.float(), label) if out.ndim == 2 else out.float().square().mean()
        )
        loss.backward()
        side.module.zero_grad(set_to_none=True)

    return train if training else forward


def difference(sides: dict[str, Side], given: Tensor) -> float:
    """The largest difference of any side's output from ours, as a share of the largest number in it."""
    with torch.no_grad():
        outs = {name: side.forward(given) for name, side in sides.items() if side.module.eval() is not None}
    mine = outs.pop(OURS)
    return max((float((out - mine).abs().max() / mine.abs().max()) for out in outs.values()), default=0.0)


def memory_of(device: str, quick: bool, model: str, name: str, dtype: str, mode: str) -> int:
    """Bytes that one call needs above weights and input, gradients included, for a fresh process."""
    case = next(case for case in cases(device, quick) if case.model == model)
    side = built(case)[name]
    side.module.to(device, DTYPES[dtype])
    call = step_of(side, case.draw().to(device, DTYPES[dtype]), mode == "training")
    call()
    return peak_growth(call, device)


def measure_case(
    case: Case,
    device: str,
    rounds: int,
    quick: bool,
    fresh: FreshProcesses | None,
    modes: Sequence[str] = MODES,
) -> tuple[list[dict[str, Any]], float | None]:
    """Rows of one case, and how far apart the sides' outputs are where they share weights.

    Raises:
        AssertionError: they share weights and differ by more than a ten-thousandth.
    """
    sides = built(case)
    apart = None
    if case.same_weights:
        apart = difference(sides, case.draw())
        assert apart < 1e-4, f"{case.model}: outputs differ by {apart:.2g}"
    rows = []
    for dtype in case.dtypes:
        given = case.draw().to(device, DTYPES[dtype])
        for side in sides.values():
            side.module.to(device, DTYPES[dtype])
        for mode in modes:
            calls: dict[str, Call] = {}
            failed: dict[str, str] = {}
            for name, side in sides.items():
                try:
                    calls[name] = step_of(side, given, mode == "training")
                    calls[name]()
                except RuntimeError as error:
                    if name == OURS:
                        raise
                    failed[name] = f"failed: {str(error).splitlines()[0][:100]}"
                    del calls[name]
            taken = interleave(calls, rounds, device, budget=30.0)
            for name in sides:
                times = taken.get(name)
                peak = None
                if times is not None and fresh is not None and (mode, dtype) in MEMORY_OF:
                    asked = device, quick, case.model, name, dtype, mode
                    peak = memory_of(*asked) if device == "cuda" else fresh.run(memory_of, *asked)
                rows.append(
                    {
                        "model": case.model,
                        "mode": mode,
                        "dtype": dtype,
                        "device": device,
                        "implementation": name,
                        "milliseconds": None if times is None else 1e3 * statistics.median(times),
                        "ratio": None if times is None else ratio(times, taken[OURS]),
                        "rounds": 0 if times is None else len(times),
                        "peak_bytes": peak,
                        "left_out": failed.get(name),
                    }
                )
    return rows, apart


def long_video_model(quick: bool) -> tuple[VTN, Tensor]:
    """VTN on DeiT-Ti in evaluation, and one video."""
    size = 32 if quick else 224
    torch.manual_seed(0)
    model = create_model("vtn_deit_tiny", image_size=size).eval()
    assert isinstance(model, VTN)
    return model, draw_clips(1, VIDEO_FRAMES, size)


def _whole(model: VTN, video: Tensor, chunk: int) -> Tensor:
    with torch.no_grad():
        return model.classify_features(model.frame_features(video, chunk))


def long_video_memory(quick: bool, chunk: int) -> int:
    """Bytes above weights and video of one pass, for a fresh process."""
    model, video = long_video_model(quick)
    _whole(model, video[:, :8], chunk)
    return peak_growth(partial(_whole, model, video, chunk), "cpu")


def measure_long_video(rounds: int, quick: bool, fresh: FreshProcesses | None) -> dict[str, Any]:
    """VTN over 250 frames: the backbone in chunks and unchunked, and from cached features.

    Raises:
        AssertionError: the ways differ.
    """
    model, video = long_video_model(quick)
    _whole(model, video[:, :8], CHUNK)
    logits: dict[str, Tensor] = {}

    def way(name: str, chunk: int) -> None:
        logits[name] = _whole(model, video, chunk)

    calls = {
        "in chunks": partial(way, "in chunks", CHUNK),
        "unchunked": partial(way, "unchunked", VIDEO_FRAMES),
    }
    taken = interleave(calls, rounds, "cpu", budget=60.0)
    assert torch.allclose(logits["in chunks"], logits["unchunked"], atol=1e-4)
    features = torch.randn(1, VIDEO_FRAMES, model.config.embed_dim)

    def cached() -> None:
        with torch.no_grad():
            model.classify_features(features)

    cached()
    taken["cached features"] = interleave({"cached": cached}, max(3, rounds), "cpu")["cached"]
    peaks: dict[str, int | None] = {}
    if fresh is not None:
        peaks["in chunks"] = fresh.run(long_video_memory, quick, CHUNK)
        peaks["unchunked"] = fresh.run(long_video_memory, quick, VIDEO_FRAMES)
    size = video.shape[-1]
    result: dict[str, Any] = {
        "sizes": f"{VIDEO_FRAMES} × {size}², DeiT-Ti (the paper's backbone: ViT-B), {CHUNK} frames a chunk",
        "milliseconds": {name: 1e3 * statistics.median(times) for name, times in taken.items()},
        "peak_bytes": peaks,
        "quantities": [],
    }
    about = {"model": "VTN", "mode": "forward", "dtype": "float32", "device": "cpu"}
    value = ratio(taken["in chunks"], taken["unchunked"])
    result["quantities"].append({"quantity": targets.CHUNKED_TIME, **about, "value": value})
    value = statistics.median(taken["in chunks"]) / statistics.median(taken["cached features"])
    result["quantities"].append({"quantity": targets.CACHED, **about, "value": value})
    if all(peaks.get(name) for name in calls):
        value = float(peaks["in chunks"] or 0) / float(peaks["unchunked"] or 1)
        result["quantities"].append({"quantity": targets.CHUNKED_MEMORY, **about, "value": value})
    return result


def measure_one_pass(quick: bool) -> list[dict[str, Any]]:
    """One pass of VTN (ViT-B, 250 frames) against each model's own published views; a report, no target.

    VTN's backbone is timed on 8 of the frames and counted for all of them, since frames go through it one by
    one; its temporal encoder is timed whole. Others are timed on one view and counted as many times as they
    have views.
    """
    names = ["vtn_vit_base", *VIEWS]
    config_of = {name: _small(model_config(name)) if quick else model_config(name) for name in names}
    rows: list[dict[str, Any]] = []
    for name, config in config_of.items():
        torch.manual_seed(0)
        model = build_model(config).eval()
        views = VIEWS.get(name, 1)
        with torch.no_grad():
            if isinstance(model, VTN):
                shape = input_shape(config, 8)
                features = torch.randn(1, VIDEO_FRAMES, config.embed_dim)
                clip = torch.randn(shape)
                model.frame_features(clip[:, :CHUNK])
                model.classify_features(features)
                taken = seconds(partial(model.frame_features, clip, CHUNK), "cpu") * VIDEO_FRAMES / shape[1]
                taken += seconds(partial(model.classify_features, features), "cpu")
                cost = model_cost(config, VIDEO_FRAMES)
            else:
                taken = seconds(partial(model, torch.randn(input_shape(config))), "cpu")
                cost = model_cost(config)
        rows.append(
            {
                "model": name,
                "views": views,
                "multiply_adds_a_view": cost.multiply_adds,
                "seconds_a_view": taken,
                "multiply_adds": views * cost.multiply_adds,
                "seconds": views * taken,
            }
        )
        del model
    for row in rows:
        row["by_vtn_seconds"] = row["seconds"] / rows[0]["seconds"]
        row["by_vtn_multiply_adds"] = row["multiply_adds"] / rows[0]["multiply_adds"]
    return rows


def _small(config: Any) -> Any:
    if hasattr(config, "backbone"):
        backbone = dataclasses.replace(config.backbone, image_size=32, depth=1)
        return dataclasses.replace(config, backbone=backbone, depth=1)
    depth = {"depth": 1} if hasattr(config, "depth") else {"layers": (1, 1, 1, 1)}
    return dataclasses.replace(config, image_size=32, **depth)


def quantities(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the rows say, in the words of the targets."""
    found = []
    mine = {_cell(row): row for row in rows if row["implementation"] == OURS}
    for row in rows:
        if row["implementation"] == OURS:
            continue
        here = {key: row[key] for key in ("model", "mode", "dtype", "device")}
        here["peer"] = row["implementation"]
        if row["ratio"] is not None:
            found.append({"quantity": targets.PEER, **here, "value": row["ratio"]})
        own = mine[_cell(row)]["peak_bytes"]
        if row["peak_bytes"] and own:
            found.append({"quantity": targets.OUR_MEMORY, **here, "value": own / row["peak_bytes"]})
    return found


def _cell(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["model"], row["mode"], row["dtype"]


def matrix_share(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Our training steps on a GPU as a share of the matrix rate measured on it (three forwards a step)."""
    config = TimeSformerConfig.base()
    flops = 3 * 2 * 8 * model_cost(config).multiply_adds
    found = []
    for row in rows:
        if (row["implementation"], row["mode"], row["model"]) == (OURS, "training", "TimeSformer B"):
            rate = flops / (row["milliseconds"] / 1e3)
            share = rate / ceilings("cuda", DTYPES[row["dtype"]])["matrix_flops_per_second"]
            about = {key: row[key] for key in ("model", "mode", "dtype", "device")}
            found.append({"quantity": targets.MATRIX_SHARE, **about, "value": share})
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text: ours in milliseconds, the peers' time and memory by ours."""
    lines = []
    for own in (row for row in rows if row["implementation"] == OURS):
        told = [f"{own['model']:>24} {own['mode']:>8} {own['dtype']:>8}: ours {own['milliseconds']:.1f} ms"]
        if own["peak_bytes"]:
            told[0] += f", {own['peak_bytes'] / 1e6:.0f} MB"
        for row in rows:
            if row is own or _cell(row) != _cell(own):
                continue
            if row["ratio"] is None:
                told.append(f"{row['implementation']} {row['left_out']}")
                continue
            memory = ""
            if row["peak_bytes"] and own["peak_bytes"]:
                memory = f" (memory {row['peak_bytes'] / own['peak_bytes']:.2f} ×)"
            told.append(f"{row['implementation']} {row['ratio']:.2f} ×{memory}")
        lines.append("; ".join(told))
    return "\n".join(lines)


def one_pass_table(rows: Sequence[dict[str, Any]]) -> str:
    """One pass against published views, as text."""
    return "\n".join(
        f"{row['model']:>30}: {row['views']:>2} × {row['multiply_adds_a_view'] / 1e9:.1f} G multiply-adds, "
        f"{row['seconds']:.1f} s a video, {row['by_vtn_seconds']:.2f} × VTN's time, "
        f"{row['by_vtn_multiply_adds']:.2f} × its multiply-adds"
        for row in rows
    )


PRELOAD = (
    "torch",
    "benchmarks.attention",
    "vtlearn.models.catalogue",
    "vtlearn.models.cost",
    "vtlearn.models.pretrained",
    "transformers.models.longformer.modeling_longformer",
    "transformers.models.timesformer.modeling_timesformer",
    "transformers.models.vivit.modeling_vivit",
)


def measure(
    device: str, *, quick: bool, rounds: int, threads: int = 1, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """The whole benchmark; nothing is written."""
    fresh = None if quick else FreshProcesses(PRELOAD, threads)
    rows: list[dict[str, Any]] = []
    sizes, apart, absent = {}, {}, []
    for case in cases(device, quick):
        try:
            own, off = measure_case(case, device, rounds, quick, fresh)
        except LeftOut as reason:
            absent.append(f"{case.model}: {reason}")
            continue
        rows += own
        sizes[case.model] = case.sizes
        if off is not None:
            apart[case.model] = off
        say(table(own))
    result: dict[str, Any] = {"sizes": sizes, "rounds": rounds, "threads": threads}
    result |= {"difference_of_outputs": apart, "rows": rows}
    found = quantities(rows)
    if device == "cuda":
        found += matrix_share(rows)
    else:
        video = measure_long_video(min(rounds, 2), quick, fresh)
        say(f"VTN, {video['sizes']}: {video['milliseconds']} ms, {video['peak_bytes']} bytes")
        found += video.pop("quantities")
        one_pass = measure_one_pass(quick)
        say(one_pass_table(one_pass))
        result |= {"long_video": video, "one_pass": one_pass}
    result["left_out"] = [
        *absent,
        *(f"{row['model']}, {row['implementation']}: {row['left_out']}" for row in rows if row["left_out"]),
        "TimeSformer's official code: not on the package index",
    ]
    result["targets"] = targets.judge(targets.MODELS_ON[device], found)
    return result


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, two rounds; nothing is written")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for the record")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Measure, judge and record."""
    asked = arguments(given)
    torch.set_num_threads(asked.threads)
    rounds = asked.rounds or (2 if asked.quick else 3)
    result = measure(
        asked.device,
        quick=asked.quick,
        rounds=rounds,
        threads=asked.threads,
        say=lambda text: print(text, flush=True),
    )
    print(*(f"left out: {line}" for line in result["left_out"]), sep="\n")
    print(targets.verdict(result["targets"]))
    if asked.quick and asked.out is None:
        print("Tiny sizes: nothing is written (--out names a folder).")
        return
    print(record("models", machine(asked.device), result, asked.out or RESULTS).name)


if __name__ == "__main__":
    main()
