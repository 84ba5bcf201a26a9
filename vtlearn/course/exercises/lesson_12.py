"""The exercises of lesson 12: three modes, their memory, the edge of a chunk, coverage, a short action."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_12 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    expect,
    expect_close,
    expect_equal,
    expect_integer,
    expect_number,
    expect_tensor,
)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers, the same at each call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------- 12.1


def image_network(width: int = 5, norm: bool = True) -> nn.Sequential:
    """Images (n, 2, 3, 3) to vectors (n, width), with a norm that has two modes; the same at each call."""
    linear = nn.Linear(18, width)
    with torch.no_grad():
        linear.weight.copy_(numbers(width, 18, seed=1) / 18**0.5)
        linear.bias.copy_(numbers(width, seed=2))
    return nn.Sequential(nn.Flatten(), linear, nn.BatchNorm1d(width) if norm else nn.Tanh(), nn.Tanh())


class Later(nn.Module):
    """Vectors (1, T, D) to logits (1, K); later frames count otherwise than earlier ones."""

    def __init__(self, width: int = 5, num_classes: int = 3) -> None:
        super().__init__()
        self.table = nn.Parameter(numbers(width, num_classes, seed=3))

    def forward(self, vectors: Tensor) -> Tensor:
        """A sum whose weights depend on the frame's place."""
        place = torch.arange(vectors.shape[1])
        return torch.einsum("btd,t,dk->bk", vectors, (0.7 * place).cos() + 0.1 * place, self.table)


def read_three(value: Any, names: tuple[str, str, str]) -> list[Any]:
    """Three things, from a tuple or a list."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, Tensor) and value.ndim > 0 and len(value) == 3:
        return list(value)
    if isinstance(value, Iterator):
        value = list(value)
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise Mistake(f"expected three things: {', '.join(names)}")
    return list(value)


MODES = ("end to end", "in chunks", "from kept vectors")


def check_three_modes(three_modes: Callable[..., Any]) -> None:
    """Networks in training mode, a rest after the last whole chunk, kept vectors of another backbone."""
    frames, chunk = numbers(11, 2, 3, 3, seed=4), 4
    backbone, temporal = image_network(), Later()
    still = image_network().eval()
    with torch.no_grad():
        vectors = still(frames)
        kept = vectors + 1
        want, want_kept = temporal(vectors[None]), temporal(kept[None])
        short = temporal(vectors[None, :8])
        apart = [temporal(part[None]) for part in vectors.split(chunk)]
        reversed_parts = temporal(torch.cat(vectors.split(chunk)[::-1])[None])
    sizes: list[int] = []
    backbone.register_forward_hook(lambda module, given, out: sizes.append(len(given[0])))
    nn.ModuleList([backbone, temporal]).train()
    norm = backbone[2]
    given = read_three(call(three_modes, frames, backbone, temporal, chunk, kept), MODES)
    expect(
        bool((norm.running_mean == 0).all()),  # type: ignore[union-attr]
        "the backbone ran in training mode: its norm uses the mean of whatever is in the batch, so chunks "
        "and the whole differ; call eval() first",
    )
    tensors = [
        expect_tensor(
            one,
            (1, 3),
            kind="float",
            name=f"the logits {name}",
            likely={(3,): "keep the batch axis: one video is a batch of one, (1, T, D)"},
        )
        for one, name in zip(given, MODES, strict=True)
    ]
    expect_close(tensors[0], want, name="the logits end to end")
    expect_close(
        tensors[1],
        want,
        name="the logits in chunks",
        likely={
            "the frames after the last whole chunk are missing: 11 frames in chunks of 4 are 4 + 4 + 3": (
                short
            ),
            "each chunk was classified alone and the answers averaged: that is clip averaging; join the "
            "vectors of all chunks and run the temporal part once": torch.stack(apart).mean(0),
            "each chunk was classified alone and the answers summed; join the vectors first": sum(apart),
            "only the last chunk was classified": apart[-1],
            "the chunks are joined in reverse": reversed_parts,
        },
        otherwise="the vectors of all chunks, in order, through the temporal part once",
    )
    expect_close(
        tensors[2],
        want_kept,
        name="the logits from kept vectors",
        likely={"the kept vectors were not used: the backbone ran again": want},
    )
    expect(
        not any(one.requires_grad for one in tensors),
        "the logits still hold a graph of gradients: use torch.no_grad(), or memory grows with the video",
    )
    in_parts = sorted(size for size in sizes if size <= chunk)
    expect(
        sum(in_parts) == 11 and sizes.count(11) == 1,
        f"the backbone was given {sizes} frames at a time: once all 11, and once all of them in chunks of "
        f"at most {chunk}; nothing for the kept vectors",
    )


def run_modes(answer: Any, chunk: int = 4, training: bool = True) -> Any:
    """An answer to 12.1 on one video of eleven frames."""
    backbone, temporal = image_network().train(training), Later().train(training)
    return answer(numbers(11, 2, 3, 3, seed=4), backbone, temporal, chunk, numbers(11, 5, seed=6))


# ------------------------------------------------------------------------------------------------- 12.2


def check_peak_bytes(peak_bytes: Callable[..., Any]) -> None:
    """A long video, then one that is shorter than a chunk."""
    for frames, chunk, frame, work, vector in ((101, 7, 13, 211, 3), (5, 16, 11, 107, 2)):
        given = read_three(call(peak_bytes, frames, chunk, frame, work, vector), MODES)
        whole, chunked, kept = (
            expect_integer(one, name=f"the peak {name}") for one, name in zip(given, MODES, strict=True)
        )
        at_once, table = min(chunk, frames), frames * vector
        where = f" ({frames} frames, chunks of {chunk})"
        expect_equal(
            whole,
            frames * (frame + work) + table,
            name="the peak end to end" + where,
            likely={
                "end to end, the backbone's work is held for every frame": frames * (frame + vector),
                "end to end, the vectors are held as well": frames * (frame + work),
            },
        )
        expect_equal(
            chunked,
            at_once * (frame + work) + table,
            name="the peak in chunks" + where,
            likely={
                "a video shorter than a chunk never fills it: min(chunk, num_frames)": (
                    chunk * (frame + work) + table
                ),
                "in chunks, the vectors of all frames are kept until the temporal part runs, not those of "
                "one chunk": at_once * (frame + work + vector),
                "in chunks, only one chunk of frames is held: the video is read as it is needed": (
                    frames * (frame + vector) + at_once * work
                ),
                "in chunks, the vectors are held as well": at_once * (frame + work),
                "in chunks, `chunk` frames are held at most, however long the video is: min and not max": (
                    max(chunk, frames) * (frame + work) + table
                ),
                "in chunks, what counts is how many frames are in a chunk, not how many chunks there are": (
                    -(-frames // chunk) * (frame + work) + table
                ),
            },
        )
        expect_equal(
            kept,
            table,
            name="the peak from kept vectors" + where,
            likely={
                "from kept vectors, no frame is needed any more": frames * (frame + vector),
                "from kept vectors, the backbone does no work": frames * (work + vector),
                "one vector is kept for every frame, not one for the video": vector,
            },
        )


# ------------------------------------------------------------------------------------------------- 12.3


class Near(nn.Module):
    """Each vector becomes a mix of its neighbours up to ``reach`` away; beyond the ends there is nothing."""

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.most = 0

    def forward(self, vectors: Tensor) -> Tensor:
        """Attention over a window, with weights that depend on the content."""
        self.most = max(self.most, len(vectors))
        place = torch.arange(len(vectors))
        near = (place[:, None] - place[None]).abs() <= self.reach
        scores = (vectors @ vectors.T + 0.3 * place[None] - 0.3 * place[:, None]).masked_fill(
            ~near, -torch.inf
        )
        return scores.softmax(-1) @ vectors


def check_in_chunks(in_chunks: Callable[..., Any]) -> None:
    """Chunks with a rest, a reach larger than a chunk, one chunk for all, a reach of nothing."""
    for length, chunk, reach in ((23, 5, 2), (17, 3, 4), (7, 11, 2), (13, 4, 0)):
        vectors, layer = numbers(length, 3, seed=length), Near(reach)
        want = layer(vectors)
        layer.most = 0
        where = f" ({length} vectors, chunks of {chunk}, reach {reach})"
        whole = length // chunk * chunk
        got = expect_tensor(
            call(in_chunks, vectors, layer, chunk, reach),
            (length, 3),
            kind="float",
            name="the result" + where,
            likely={
                (whole, 3): "the vectors after the last whole chunk are missing",
                **{
                    (length + extra, 3): "it is too long: neighbours are read for help, and cut off again"
                    for extra in range(1, 40)
                },
            },
        )

        def pieces(
            left: int, right: int, *, chunk: int = chunk, v: Tensor = vectors, f: Near = layer
        ) -> Tensor:
            parts = []
            for start in range(0, len(v), chunk):
                end, first = min(start + chunk, len(v)), max(0, start - left)
                parts.append(f(v[first : end + right])[start - first : end - first])
            return torch.cat(parts)

        most = layer.most
        expect_close(
            got,
            want,
            name="the result" + where,
            likely={
                "a chunk's edge vectors never met their neighbours in the next chunk: hand the layer `reach` "
                "vectors more on each side": pieces(0, 0),
                "the neighbours before the chunk are there, those after it are missing": pieces(reach, 0),
                "the neighbours after the chunk are there, those before it are missing": pieces(0, reach),
                "one neighbour too few after the chunk: a slice ends before its end": pieces(reach, reach - 1)
                if reach
                else want + 1,
            },
            otherwise="cut off as many vectors as were really put before the chunk: none stand before the "
            "first one, and fewer than `reach` near the start",
        )
        expect(
            most <= chunk + 2 * reach,
            f"the layer was given {most} vectors at once, and at most chunk + 2 · reach = "
            f"{chunk + 2 * reach} may be",
        )


# ------------------------------------------------------------------------------------------------- 12.4


def check_seen_and_missed(seen_and_missed: Callable[..., Any]) -> None:
    """Apart; overlapping and out of order; past the end; one clip."""

    def run(starts: list[int], frames: int, stride: int, length: int) -> tuple[float, int]:
        value = call(seen_and_missed, starts, frames, stride, length)
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise Mistake("expected two things: the share that is covered, and the longest gap in frames")
        gap = value[1]
        if isinstance(gap, float) and gap == int(gap):
            gap = int(gap)
        return (
            expect_number(value[0], name="the share"),
            expect_integer(gap, name="the longest gap"),
        )

    share, gap = run([10, 40], 3, 5, 90)
    expect_close(
        share,
        1 / 3,
        name="the share of two clips apart",
        likely={
            "the stride is missing: 3 frames at stride 5 stand for 15 frames of the video": 6 / 90,
            "count num_frames · stride frames a clip: each frame stands for the stride after it, as the "
            "papers count": 22 / 90,
            "the share is of 1, not in percent": 100 / 3,
        },
    )
    expect_equal(
        gap,
        35,
        name="the longest gap of two clips apart",
        likely={
            "the piece after the last clip is a gap, too": 15,
            "the gap is counted in frames, not in seconds or shares": 0,
        },
        otherwise="before the first clip 10 frames, between the two 15, after the last 35",
    )
    share, gap = run([50, 0, 8], 4, 3, 100)
    expect_close(
        share,
        0.32,
        name="the share of overlapping clips",
        likely={
            "what two clips both cover was counted twice": 0.36,
            "the starts need not come in order: sort them": 0.12,
        },
    )
    expect_equal(
        gap,
        38,
        name="the longest gap of three clips out of order",
        likely={"the starts need not come in order: sort them": 50},
        otherwise="sort the starts, and measure from what was reached",
    )
    share, gap = run([0, 20], 5, 3, 30)
    expect_close(
        share,
        25 / 30,
        name="the share where the last clip would end after the video",
        likely={"a clip cannot cover what lies behind the end of the video": 1.0},
    )
    expect_equal(gap, 5, name="the longest gap where the last clip would end after the video")
    share, gap = run([0], 7, 3, 21)
    expect_close(share, 1.0, name="the share of one clip that fits exactly")
    expect_equal(gap, 0, name="the longest gap of one clip that fits exactly")


# ------------------------------------------------------------------------------------------------- 12.5


def check_chance_to_see(chance_to_see: Callable[..., Any]) -> None:
    """One frame is enough; two are needed; a frame at the very ends."""

    def by_hand(taken: list[int], action: int, length: int, at_least: int) -> float:
        first = torch.arange(length - action + 1)[:, None]
        frames = torch.tensor(taken)[None]
        inside = ((frames >= first) & (frames < first + action)).sum(1)
        return float((inside >= at_least).double().mean())

    for taken, action, length, need in (
        ([0, 15, 25, 35], 4, 41, 1),
        ([3, 9, 11, 30], 7, 40, 2),
        ([0, 39], 3, 40, 1),
        ([2, 3, 4, 5], 3, 12, 3),
        ([5, 7, 8, 20], 6, 31, 1),
    ):
        places = length - action + 1
        counts = [
            [sum(a <= f < a + size for f in taken) for a in range(length)] for size in (action, action + 1)
        ]
        share = expect_number(call(chance_to_see, taken, action, length, need), name="the share of places")
        likely = {
            "one frame inside is not enough here: count the taken frames inside, and compare with at_least": (
                sum(c >= 1 for c in counts[0][:places]) / places
            ),
            "at least so many is enough, not more than so many: >= and not >": (
                sum(c > need for c in counts[0][:places]) / places
            ),
            "more frames than asked for are enough as well: >= and not ==": (
                sum(c == need for c in counts[0][:places]) / places
            ),
            "the action must lie inside the video: it has length − action + 1 places": (
                sum(c >= need for c in counts[0]) / length
            ),
            "the last place is missing: there are length − action + 1": (
                sum(c >= need for c in counts[0][: places - 1]) / (places - 1)
            ),
            "an action from first has its last frame at first + action − 1": (
                sum(c >= need for c in counts[1][:places]) / places
            ),
            "this is a formula for frames drawn by lot; these frames stand still and the action moves: try "
            "its places": _by_lot(taken, action, length, need),
            "this divides expectations; count the places, one by one": (
                min(1.0, len(taken) * action / length / need)
            ),
        }
        expect_close(
            share,
            by_hand(taken, action, length, need),
            name=f"the share for frames {taken}, an action of {action} in {length}, at least {need}",
            likely=likely,
            otherwise="try every place where the action can begin, and count",
        )


def _by_lot(taken: list[int], action: int, length: int, need: int) -> float:
    share = torch.tensor(action / length, dtype=torch.float64)
    number = len(taken)
    law = torch.distributions.Binomial(number, share)
    return float(sum(law.log_prob(torch.tensor(float(k))).exp() for k in range(need, number + 1)))


EXERCISES = [
    Exercise(
        id="12.1",
        title="Three ways, one answer",
        core=True,
        difficulty=2,
        importance=5,
        minutes=15,
        why="What does not fit at once must run in parts, and the parts must not change the answer.",
        contract=(
            "`frames` is one video `(T, C, H, W)`; `backbone` maps `(n, C, H, W)` to `(n, D)`; `temporal` "
            "maps `(1, T, D)` to logits `(1, K)`",
            "returns three logits: **end to end** (all frames in the backbone together), **in chunks** (at "
            "most `chunk` frames in the backbone at a time, the temporal part once), **from kept vectors** "
            "(`kept`, of shape `(T, D)`; no backbone)",
            "the networks may be handed over in training mode; run them in evaluation mode, and keep no "
            "gradients",
        ),
        stub='''
        def three_modes(
            frames: Tensor, backbone: nn.Module, temporal: nn.Module, chunk: int, kept: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            """Logits end to end, with the backbone in chunks, and from kept vectors."""
            raise NotImplementedError("12.1")
        ''',
        check=check_three_modes,
        probe=run_modes,
        hints=(
            "The backbone never hears of time, so it may see the frames in any portions. The temporal part "
            "may not.",
            "Vectors of the chunks: (4, D), (4, D), (3, D). Joined: (T, D). With a batch axis: (1, T, D).",
            "eval() on both; under torch.no_grad(): one list of backbone outputs over frames.split(chunk), "
            "then torch.cat, then [None].",
        ),
        solution=answers.THREE_MODES["split and join"],
        right_answers=answers.THREE_MODES,
        wrong_answers=(
            WrongAnswer(
                name="training mode",
                answer=answers.MODES_TRAINING,
                says="ran in training mode",
                right_on=lambda answer: run_modes(answer, training=False),
            ),
            WrongAnswer(
                name="rest dropped",
                answer=answers.MODES_REST_DROPPED,
                says="after the last whole chunk are missing",
                right_on=lambda answer: run_modes(answer, chunk=11),
            ),
            WrongAnswer(
                name="chunks averaged",
                answer=answers.MODES_AVERAGED,
                says="that is clip averaging",
                right_on=lambda answer: run_modes(answer, chunk=11),
            ),
            WrongAnswer(
                name="vectors not used", answer=answers.MODES_NOT_KEPT, says="the backbone ran again"
            ),
            WrongAnswer(
                name="nothing in chunks", answer=answers.MODES_NO_CHUNKS, says="the backbone was given [11]"
            ),
            WrongAnswer(name="chunks backwards", answer=answers.MODES_BACKWARDS, says="joined in reverse"),
            WrongAnswer(
                name="gradients kept", answer=answers.MODES_GRADIENTS, says="still hold a graph of gradients"
            ),
        ),
        what_to_see="Three times the same logits.",
    ),
    Exercise(
        id="12.2",
        title="A model of memory",
        core=False,
        difficulty=2,
        importance=3,
        minutes=10,
        why="You can tell before the run whether an hour of video fits.",
        contract=(
            "`frame`, `work`, `vector`: the bytes of one frame, of what the backbone holds while it works on "
            "one frame, and of one vector",
            "returns the bytes held at the most, as three integers: end to end, in chunks of `chunk` frames, "
            "from kept vectors",
            "in chunks, frames are read as they are needed; all vectors are held until the temporal part has "
            "run (set room aside for them at the start); the temporal part itself is left out",
        ),
        stub='''
        def peak_bytes(
            num_frames: int, chunk: int, frame: int, work: int, vector: int
        ) -> tuple[int, int, int]:
            """Bytes held at the most: end to end, in chunks, from kept vectors."""
            raise NotImplementedError("12.2")
        ''',
        check=check_peak_bytes,
        probe=lambda answer: list(answer(5, 16, 11, 107, 2)),
        hints=(
            "Which of the three things grow with the video, and which with the chunk?",
            "Three sums. The table of vectors stands in all of them.",
            "The backbone holds at most min(chunk, num_frames) frames at a time.",
        ),
        solution=answers.PEAK_BYTES["three sums"],
        right_answers=answers.PEAK_BYTES,
        wrong_answers=(
            WrongAnswer(
                name="short video",
                answer=answers.BYTES_SHORT_VIDEO,
                says="never fills it",
                right_on=lambda answer: list(answer(101, 7, 13, 211, 3)),
            ),
            WrongAnswer(
                name="vectors of one chunk",
                answer=answers.BYTES_VECTORS_OF_CHUNK,
                says="not those of one chunk",
                right_on=lambda answer: list(answer(7, 7, 13, 211, 3)),
            ),
            WrongAnswer(
                name="all frames held", answer=answers.BYTES_ALL_FRAMES, says="only one chunk of frames"
            ),
            WrongAnswer(
                name="frames kept", answer=answers.BYTES_FRAMES_KEPT, says="no frame is needed any more"
            ),
            WrongAnswer(
                name="work forgotten",
                answer=answers.BYTES_WORK_FORGOTTEN,
                says="held for every frame",
            ),
        ),
        what_to_see="In chunks, an hour costs hardly more than a minute.",
    ),
    Exercise(
        id="12.3",
        title="The edge of a chunk",
        core=True,
        difficulty=3,
        importance=4,
        minutes=20,
        why="Portions are free for the backbone; for anything that looks at neighbours they are not.",
        contract=(
            "`vectors` is `(T, D)`; `layer` maps `(n, D)` to `(n, D)`, and each of its outputs depends on "
            "the `reach` vectors before it, itself, and the `reach` after it; it takes the ends of what it "
            "is given for the ends of the video",
            "returns what `layer(vectors)` gives, of shape `(T, D)`",
            "the layer gets at most `chunk + 2 · reach` vectors at a time",
        ),
        stub='''
        def in_chunks(vectors: Tensor, layer: nn.Module, chunk: int, reach: int) -> Tensor:
            """What layer(vectors) gives, a chunk at a time."""
            raise NotImplementedError("12.3")
        ''',
        check=check_in_chunks,
        probe=lambda answer: answer(numbers(23, 3, seed=23), Near(2), 5, 2),
        hints=(
            "A vector at the edge of a chunk needs neighbours from the next one. Read them, and throw their "
            "own outputs away.",
            "From start − reach (but not before 0) to end + reach. Keep end − start rows of the result.",
            "first = max(0, start - reach); the own rows begin at row start - first of the layer's output.",
        ),
        solution=answers.IN_CHUNKS["neighbours, then cut"],
        right_answers=answers.IN_CHUNKS,
        wrong_answers=(
            WrongAnswer(
                name="no neighbours",
                answer=answers.EDGE_BARE,
                says="never met their neighbours",
                right_on=lambda answer: answer(numbers(7, 3), Near(2), 11, 2),
            ),
            WrongAnswer(
                name="past only",
                answer=answers.EDGE_PAST_ONLY,
                says="those after it are missing",
                right_on=lambda answer: answer(numbers(7, 3), Near(0), 3, 0),
            ),
            WrongAnswer(
                name="future only", answer=answers.EDGE_FUTURE_ONLY, says="those before it are missing"
            ),
            WrongAnswer(name="not cut", answer=answers.EDGE_NOT_CUT, says="cut off again"),
            WrongAnswer(
                name="cut by reach", answer=answers.EDGE_CUT_BY_REACH, says="as were really put before"
            ),
            WrongAnswer(name="one short", answer=answers.EDGE_ONE_SHORT, says="one neighbour too few"),
            WrongAnswer(
                name="all at once", answer=answers.EDGE_ALL_AT_ONCE, says="the layer was given 23 vectors"
            ),
            WrongAnswer(
                name="rest dropped",
                answer=answers.EDGE_REST_DROPPED,
                says="after the last whole chunk are missing",
            ),
        ),
        what_to_see="With neighbours no vector differs; without, some at each edge do.",
    ),
    Exercise(
        id="12.4",
        title="What the clips cover",
        core=True,
        difficulty=2,
        importance=4,
        minutes=15,
        why="What lies between the clips was never seen, and no average brings it back.",
        contract=(
            "`starts`: the first frame of each clip, in any order; a clip of `num_frames` frames at stride "
            "`stride` covers `num_frames · stride` frames of a video of `length` frames, as the papers count",
            "returns the share of the video that lies in at least one clip (0 to 1), and the longest piece "
            "that lies in none, in frames",
            "clips may overlap, and the last may end after the video",
        ),
        stub='''
        def seen_and_missed(
            starts: list[int], num_frames: int, stride: int, length: int
        ) -> tuple[float, int]:
            """Share of the video that the clips cover, and the longest piece in no clip, in frames."""
            raise NotImplementedError("12.4")
        ''',
        check=check_seen_and_missed,
        probe=lambda answer: [float(x) for x in answer([50, 0, 8], 4, 3, 100)],
        hints=(
            "Mark every frame that lies in a clip. Two marks are one mark.",
            "A list of `length` truth values; the share is its mean, a gap is a run of False.",
            "Or: sort, go from clip to clip, and remember how far the video was covered so far.",
        ),
        solution=answers.COVERAGE["walk over the clips"],
        right_answers=answers.COVERAGE,
        wrong_answers=(
            WrongAnswer(
                name="counted twice",
                answer=answers.COVER_TWICE,
                says="counted twice",
                right_on=lambda answer: list(answer([10, 40], 3, 5, 90)),
            ),
            WrongAnswer(
                name="past the end", answer=answers.COVER_PAST_END, says="behind the end of the video"
            ),
            WrongAnswer(
                name="stride forgotten",
                answer=answers.COVER_FRAMES_ONLY,
                says="the stride is missing",
                right_on=lambda answer: list(answer([10, 40], 3, 1, 90)),
            ),
            WrongAnswer(
                name="end forgotten", answer=answers.COVER_END_FORGOTTEN, says="after the last clip is a gap"
            ),
            WrongAnswer(name="not sorted", answer=answers.COVER_UNSORTED, says="need not come in order"),
            WrongAnswer(
                name="last stride forgotten",
                answer=answers.COVER_ONE_STRIDE_SHORT,
                says="as the papers count",
            ),
        ),
        what_to_see="Ten clips of two seconds see a sixth of two minutes.",
    ),
    Exercise(
        id="12.5",
        title="An action in 5 % of the frames",
        core=False,
        difficulty=3,
        importance=3,
        minutes=15,
        why="How many frames are enough depends on how short the action is, too.",
        contract=(
            "`taken`: the frames that a model sees, all different; the action lasts `action` frames in a row "
            "and lies anywhere inside a video of `length` frames, each place being as likely",
            "returns the share of the action's places (0 to 1) at which at least `at_least` of the taken "
            "frames fall into it",
        ),
        stub='''
        def chance_to_see(taken: list[int], action: int, length: int, at_least: int) -> float:
            """Share of the action's possible places at which enough of the taken frames fall into it."""
            raise NotImplementedError("12.5")
        ''',
        check=check_chance_to_see,
        probe=lambda answer: float(answer([3, 9, 11, 30], 7, 40, 2)),
        hints=(
            "Nothing is drawn here: the action has so many places, and at each you can count.",
            "length − action + 1 places; at the place `first`, frames first … first + action − 1.",
            "For each place: sum(first <= frame < first + action for frame in taken).",
        ),
        solution=answers.CHANCE["try every place"],
        right_answers=answers.CHANCE,
        wrong_answers=(
            WrongAnswer(
                name="one is enough",
                answer=answers.CHANCE_ANY,
                says="one frame inside is not enough",
                right_on=lambda answer: answer([0, 15, 25, 35], 4, 41, 1),
            ),
            WrongAnswer(name="past the end", answer=answers.CHANCE_PAST_END, says="inside the video"),
            WrongAnswer(
                name="last place missing",
                answer=answers.CHANCE_ONE_PLACE_SHORT,
                says="the last place is missing",
            ),
            WrongAnswer(
                name="one frame too long", answer=answers.CHANCE_ONE_TOO_LONG, says="its last frame at"
            ),
            WrongAnswer(name="more than", answer=answers.CHANCE_MORE_THAN, says=">= and not >"),
            WrongAnswer(name="by lot", answer=answers.CHANCE_BY_LOT, says="drawn by lot"),
            WrongAnswer(name="expectation", answer=answers.CHANCE_EXPECTED, says="divides expectations"),
        ),
        what_to_see="The chance of two frames falls long before the chance of one.",
    ),
]
