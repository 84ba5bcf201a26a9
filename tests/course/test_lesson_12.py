"""Lesson 12 beyond its listed answers: other right ways pass, other mistakes are named."""

import pytest
import torch

from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_12 import (
    CLIPS,
    EVERY,
    SPREAD,
    CoverageAgainstCost,
    covered,
    longest_gap,
    pieces_of,
)
from vtlearn.models import VTN, VTNConfig


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "a helper inside": ("12.1", """
def three_modes(frames, backbone, temporal, chunk, kept):
    backbone.eval(); temporal.eval()
    answer = lambda rows: temporal(rows[None]).detach()
    rows = torch.vstack([backbone(frames[i : i + chunk]).detach() for i in range(0, frames.shape[0], chunk)])
    return answer(backbone(frames).detach()), answer(rows), answer(kept)
"""),
    "frame by frame": ("12.1", """
@torch.inference_mode()
def three_modes(frames, backbone, temporal, chunk, kept):
    backbone.eval()
    temporal.eval()
    one_by_one = torch.cat([backbone(frame[None]) for frame in frames])
    return temporal(backbone(frames)[None]), temporal(one_by_one[None]), temporal(kept[None])
"""),
    "numbers as an array": ("12.2", """
def peak_bytes(num_frames, chunk, frame, work, vector):
    inside = np.array([num_frames, min(chunk, num_frames), 0])
    return tuple(inside * (frame + work) + num_frames * vector)
"""),
    "a tensor of three": ("12.2", """
def peak_bytes(num_frames, chunk, frame, work, vector):
    inside = torch.tensor([num_frames, min(chunk, num_frames), 0])
    return inside * (frame + work) + num_frames * vector
"""),
    "one after the other": ("12.2", """
def peak_bytes(num_frames, chunk, frame, work, vector):
    for inside in (num_frames, min(chunk, num_frames), 0):
        yield inside * (frame + work) + num_frames * vector
"""),
    "a fraction": ("12.5", """
def chance_to_see(taken, action, length, at_least):
    from fractions import Fraction
    places = length - action + 1
    return Fraction(sum(sum(a <= f < a + action for f in taken) >= at_least for a in range(places)), places)
"""),
    "negative slice": ("12.3", """
def in_chunks(vectors, layer, chunk, reach):
    out = []
    for part in torch.arange(len(vectors)).split(chunk):
        a, b = int(part[0]), int(part[-1]) + 1
        lo, hi = max(a - reach, 0), min(b + reach, len(vectors))
        seen = layer(vectors[lo:hi])
        out += [seen[a - lo : len(seen) - (hi - b)]]
    return torch.vstack(out)
"""),
    "share as a tensor, gap as a tensor": ("12.4", """
def seen_and_missed(starts, num_frames, stride, length):
    seen = torch.zeros(length)
    for start in starts:
        seen[start : min(length, start + num_frames * stride)] = 1
    fences = torch.cat([torch.tensor([-1]), seen.nonzero()[:, 0], torch.tensor([length])])
    return seen.mean(), (fences.diff() - 1).max()
"""),
    "two loops": ("12.5", """
def chance_to_see(taken, action, length, at_least):
    good = total = 0
    first = 0
    while first + action <= length:
        inside = [f for f in taken if f in range(first, first + action)]
        good += len(inside) >= at_least
        total += 1
        first += 1
    return good / total
"""),
    "bisection": ("12.5", """
def chance_to_see(taken, action, length, at_least):
    frames, first = np.sort(taken), np.arange(length - action + 1)
    inside = np.searchsorted(frames, first + action) - np.searchsorted(frames, first)
    return np.mean(inside >= at_least)
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "no batch axis": ("12.1", """
def three_modes(frames, backbone, temporal, chunk, kept):
    backbone.eval()
    with torch.no_grad():
        return tuple(temporal(rows[None])[0] for rows in (backbone(frames), backbone(frames), kept))
""", "keep the batch axis"),
    "two of three": ("12.1", """
def three_modes(frames, backbone, temporal, chunk, kept):
    backbone.eval()
    with torch.no_grad():
        return temporal(backbone(frames)[None]), temporal(kept[None])
""", "expected three things"),
    "chunks summed": ("12.1", """
def three_modes(frames, backbone, temporal, chunk, kept):
    backbone.eval()
    with torch.no_grad():
        parts = sum(temporal(backbone(part)[None]) for part in frames.split(chunk))
        return temporal(backbone(frames)[None]), parts, temporal(kept[None])
""", "answers summed"),
    "last chunk only": ("12.1", """
def three_modes(frames, backbone, temporal, chunk, kept):
    backbone.eval()
    with torch.no_grad():
        for part in frames.split(chunk):
            rows = backbone(part)
        return temporal(backbone(frames)[None]), temporal(rows[None]), temporal(kept[None])
""", "only the last chunk"),
    "floats": ("12.2", """
def peak_bytes(num_frames, chunk, frame, work, vector):
    table = num_frames * vector / 1
    return num_frames * (frame + work) + table, min(chunk, num_frames) * (frame + work) + table, table
""", "expected an integer"),
    "one vector": ("12.2", """
def peak_bytes(num_frames, chunk, frame, work, vector):
    inside = min(chunk, num_frames) * (frame + work) + num_frames * vector
    return num_frames * (frame + work + vector), inside, vector
""", "one vector is kept for every frame"),
    "a list of chunks": ("12.3", """
def in_chunks(vectors, layer, chunk, reach):
    return [layer(part) for part in vectors.split(chunk)]
""", "expected a torch.Tensor"),
    "percent": ("12.4", """
def seen_and_missed(starts, num_frames, stride, length):
    seen = {f for s in starts for f in range(s, min(length, s + num_frames * stride))}
    return 100 * len(seen) / length, 35
""", "not in percent"),
    "no gap": ("12.4", """
def seen_and_missed(starts, num_frames, stride, length):
    return len({f for s in starts for f in range(s, min(length, s + num_frames * stride))}) / length
""", "expected two things"),
    "exactly so many": ("12.5", """
def chance_to_see(taken, action, length, at_least):
    places = length - action + 1
    return sum(sum(a <= f < a + action for f in taken) == at_least for a in range(places)) / places
""", ">= and not =="),
    "the number of chunks": ("12.2", """
def peak_bytes(num_frames, chunk, frame, work, vector):
    table = num_frames * vector
    return num_frames * (frame + work) + table, math.ceil(num_frames / chunk) * (frame + work) + table, table
""", "not how many chunks"),
    "a count": ("12.5", """
def chance_to_see(taken, action, length, at_least):
    return sum(
        sum(a <= f < a + action for f in taken) >= at_least for a in range(length - action + 1)
    )
""", "is off by"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_solutions_agree_with_the_library():
    modes = exercise("12.1").compile()
    model = VTN(VTNConfig.samples()).eval()
    clip = torch.randn(1, 11, 3, 32, 32)
    with torch.no_grad():
        want, kept = model(clip), model.frame_features(clip, chunk=3)[0]

    class Temporal(torch.nn.Module):
        def forward(self, vectors):
            return model.classify_features(vectors)

    for logits in modes(clip[0], model.backbone, Temporal(), 4, kept):
        torch.testing.assert_close(logits, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("change", [{}, {"minutes": 0.5}, {"stride": 32, "frames": 96}, {"clips": 1}])
def test_the_panel_counts_as_the_exercise_does(change):
    state = CoverageAgainstCost().state | {"way": CLIPS} | change
    length = round(state["minutes"] * 1800)
    pieces = pieces_of(state, length)
    counted = exercise("12.4").compile()
    share, gap = counted([first for first, _ in pieces], state["frames"], state["stride"], length)
    assert covered(pieces, length) == pytest.approx(share)
    assert longest_gap(pieces, length) == gap


def test_the_ways_differ_in_what_they_miss_and_in_their_cost():
    state = CoverageAgainstCost().state
    words = {way: CoverageAgainstCost.render(state | {"way": way}).text for way in (CLIPS, SPREAD, EVERY)}
    assert "80 frames computed" in words[CLIPS]
    assert "80 frames computed" in words[SPREAD]
    assert "3,600 frames computed" in words[EVERY]
    assert "in no clip 11.0 s" in words[CLIPS]
    assert "in no clip 0.0 s" in words[EVERY]
    assert "1.50 s apart" in words[SPREAD]
