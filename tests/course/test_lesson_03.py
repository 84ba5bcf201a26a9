"""Lesson 03 beyond its listed answers: other right ways pass, other mistakes are named."""

import pytest
import torch

from vtlearn import attention
from vtlearn.attention import CausalWindow, Dilated, GlobalTokens, SlidingWindow, StagedSchedule
from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_03 import NUM_TOKENS, QUERY, PatternPainter, seen_by_layer


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "float mask by distances": ("03.1", """
def band_mask(n, w, causal=False):
    i = np.arange(n)
    d = i[:, None] - i[None, :]
    return torch.from_numpy(((d <= w // 2) & (d >= (0 if causal else -(w // 2)))).astype(np.float32))
"""),
    "integer mask": ("03.1", """
def band_mask(num_tokens, window_size, causal=False):
    i = torch.arange(num_tokens)
    d = torch.cdist(i[:, None].double(), i[:, None].double()).round().long()
    mask = (d <= (window_size - 1) // 2).to(torch.uint8)
    return mask.tril() if causal else mask
"""),
    "by convolution of an identity": ("03.2", """
def dilated_masks(num_tokens, window_size, dilations):
    eye = torch.eye(num_tokens)[:, None]
    kernel = torch.ones(1, 1, window_size)
    heads = [F.conv1d(eye, kernel, padding=r * (window_size // 2), dilation=r)[:, 0] for r in dilations]
    return torch.stack(heads) > 0
"""),
    "matrix of either": ("03.3", """
def with_global(mask, global_mask):
    n = len(global_mask)
    g = repeat(global_mask, "n -> m n", m=n)
    return torch.logical_or(mask, torch.logical_or(g, g.T))
"""),
    "blocks of 128": ("03.4", """
def banded_attention(q, k, v, window_size):
    r, n, out = window_size // 2, q.shape[1], torch.empty_like(q)
    for a in range(0, n, 128):
        b, lo, hi = min(n, a + 128), max(0, a - r), min(n, min(n, a + 128) + r)
        s = torch.einsum("hid,hjd->hij", q[:, a:b], k[:, lo:hi]) * q.shape[-1] ** -0.5
        far = (torch.arange(a, b)[:, None] - torch.arange(lo, hi)).abs() > r
        out[:, a:b] = torch.einsum("hij,hjd->hid", s.masked_fill(far, float("-inf")).softmax(2), v[:, lo:hi])
    return out
"""),
    "double precision, own softmax": ("03.4", """
def banded_attention(q, k, v, window_size):
    heads, n, d = q.shape
    r = window_size // 2
    q, k, v = q.double(), k.double(), v.double()
    top, bottom = torch.zeros_like(q), torch.zeros(heads, n, 1, dtype=q.dtype)
    for s in range(-r, r + 1):
        lo, hi = max(0, -s), min(n, n - s)
        if lo >= hi:
            continue
        e = torch.exp((q[:, lo:hi] * k[:, lo + s : hi + s]).sum(-1, keepdim=True) / d**0.5)
        top[:, lo:hi] += e * v[:, lo + s : hi + s]
        bottom[:, lo:hi] += e
    return top / bottom
"""),
    "rows of numbers": ("03.6", """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23_040):
    p = np.arange(phases)
    return list(zip(np.minimum(length * 2**p, longest), (window_size - 1) * 2**p + 1, learning_rate / 2**p))
"""),
    "by masks multiplied": ("03.5", """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    span = 2 * sum(w * d for w, d in zip(window_sizes, dilations)) + 1
    seen = torch.zeros(span)
    seen[span // 2] = 1
    for w, d in zip(window_sizes, dilations):
        wider = F.conv1d(seen[None, None], torch.ones(1, 1, w), padding=d * (w // 2), dilation=d)
        seen = (wider[0, 0] > 0).float()
    where = seen.nonzero()
    field = int(where.max() - where.min()) + 1
    if has_global:
        return num_tokens if len(window_sizes) > 1 else min(num_tokens, field + 1)
    return min(num_tokens, field)
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "slice stops early": ("03.1", """
def band_mask(n, w, causal=False):
    mask, r = torch.zeros(n, n, dtype=torch.bool), w // 2
    for i in range(n):
        mask[i, max(0, i - r) : (i + 1 if causal else i + r)] = True
    return mask
""", "a slice stops before its end"),
    "past half without causal": ("03.1", """
def band_mask(n, w, causal=False):
    return torch.ones(n, n, dtype=torch.bool).tril().triu(-(w // 2))
""", "without causal both sides count"),
    "causal without window": ("03.1", """
def band_mask(n, w, causal=False):
    ones = torch.ones(n, n, dtype=torch.bool)
    return ones.tril() if causal else ones.triu(-(w // 2)).tril(w // 2)
""", "the window is forgotten"),
    "counts doubled": ("03.1", """
def band_mask(n, w, causal=False):
    r = w // 2
    ones = torch.ones(n, n).int()
    below = ones.tril().triu(-r)
    return below if causal else below + below.T
""", "numbers above 1"),
    "list of lists": ("03.1", """
def band_mask(n, w, causal=False):
    return [[abs(i - j) <= w // 2 for j in range(n)] for i in range(n)]
""", "expected a torch.Tensor"),
    "reversed heads": ("03.2", """
def dilated_masks(n, w, dilations):
    d = torch.arange(n)[None] - torch.arange(n)[:, None]
    return torch.stack([(d % r == 0) & (d.abs() <= w // 2 * r) for r in reversed(dilations)])
""", "reverse order"),
    "causal by accident": ("03.2", """
def dilated_masks(n, w, dilations):
    d = torch.arange(n)[None] - torch.arange(n)[:, None]
    return torch.stack([(d % r == 0) & (d <= 0) & (d >= -(w // 2) * r) for r in dilations])
""", "causal window"),
    "intersection": ("03.3", """
def with_global(mask, g):
    return mask & (g[:, None] | g[None, :])
""", "join the rules with or"),
    "unchanged": ("03.3", """
def with_global(mask, g):
    return mask.clone()
""", "nothing was added"),
    "clamped index": ("03.4", """
def banded_attention(q, k, v, w):
    n = q.shape[1]
    near = (torch.arange(n)[:, None] + torch.arange(w) - w // 2).clamp(0, n - 1)
    s = (k[:, near] * q[:, :, None]).sum(-1) / q.shape[-1] ** 0.5
    return (s.softmax(-1)[..., None] * v[:, near]).sum(2)
""", "clamped index"),
    "uniform": ("03.4", """
def banded_attention(q, k, v, w):
    r = w // 2
    return torch.stack([v[:, max(0, i - r) : i + r + 1].mean(1) for i in range(q.shape[1])], 1)
""", "plain mean over the window"),
    "scaled by the window": ("03.4", """
def banded_attention(q, k, v, w):
    r = w // 2
    rows = []
    for i in range(q.shape[1]):
        near = slice(max(0, i - r), i + r + 1)
        rows.append((q[:, i : i + 1] @ k[:, near].mT / w**0.5).softmax(-1) @ v[:, near])
    return torch.cat(rows, 1)
""", "the width of a head, d, belongs there"),
    "dense by fused attention": ("03.4", """
def banded_attention(q, k, v, w):
    i = torch.arange(q.shape[1])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=(i[:, None] - i).abs() <= w // 2)
""", "stores the whole n × n table"),
    "the library's": ("03.4", """
def banded_attention(q, k, v, w):
    from vtlearn.attention import sliding_window_attention
    return sliding_window_attention(q[None], k[None], v[None], window_size=w)[0]
""", "forwards the work"),
    "no padding, short output": ("03.4", """
def banded_attention(q, k, v, w):
    r = w // 2
    keys, values = k.unfold(1, w, 1), v.unfold(1, w, 1)
    s = torch.einsum("hnd,hndw->hnw", q[:, r : q.shape[1] - r], keys) / q.shape[-1] ** 0.5
    return torch.einsum("hnw,hndw->hnd", s.softmax(-1), values)
""", "the ends are missing"),
    "whole without global": ("03.5", """
def receptive_field(sizes, steps, n, has_global):
    return n
""", "not seen whole at once"),
    "global adds itself for ever": ("03.5", """
def receptive_field(sizes, steps, n, has_global):
    return min(n, 1 + sum((w - 1) * r for w, r in zip(sizes, steps)) + has_global)
""", "by then it has read everything"),
    "a float": ("03.5", """
def receptive_field(sizes, steps, n, has_global):
    return 1 + sum((w - 1) / 2 * r * 2 for w, r in zip(sizes, steps))
""", "expected an integer"),
    "length and window exchanged": ("03.6", """
def staged_schedule(w, phases=5, length=2048, rate=2.5e-4, longest=23_040):
    return [((w - 1) * 2**p + 1, min(length * 2**p, longest), rate / 2**p) for p in range(phases)]
""", "exchanged"),
    "window plus one": ("03.6", """
def staged_schedule(w, phases=5, length=2048, rate=2.5e-4, longest=23_040):
    plan = []
    for _ in range(phases):
        plan.append((length, w, rate))
        length, w, rate = min(2 * length, longest), 2 * w + 1, rate / 2
    return plan
""", "one is added after doubling"),
    "dictionaries": ("03.6", """
def staged_schedule(w, phases=5, length=2048, rate=2.5e-4, longest=23_040):
    return [{"length": length} for p in range(phases)]
""", "is not (length, window_size, learning_rate)"),
    "rate follows the length": ("03.6", """
def staged_schedule(w, phases=5, length=2048, rate=2.5e-4, longest=23_040):
    lengths = [min(length * 2**p, longest) for p in range(phases)]
    return [(n, (w - 1) * 2**p + 1, rate * length / n) for p, n in enumerate(lengths)]
""", "halves all the same"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_solutions_agree_with_the_library():
    band, dilated, joined, banded, field, plan = (exercise(f"03.{n}").compile() for n in range(1, 7))
    assert torch.equal(band(13, 5), SlidingWindow(5).mask(13))
    assert torch.equal(band(13, 5, True), CausalWindow(5).mask(13))
    assert torch.equal(dilated(13, 5, [1, 3]), Dilated(5, (1, 3)).mask(13))
    everyone = torch.zeros(13, dtype=torch.bool)
    everyone[[0, 7]] = True
    pattern = SlidingWindow(5) | GlobalTokens((0, 7))
    assert torch.equal(joined(band(13, 5), everyone), pattern.mask(13))
    q, k, v = torch.randn(3, 2, 13, 3, dtype=torch.float64).unbind()
    library = attention.sliding_window_attention(q[None], k[None], v[None], window_size=5)[0]
    torch.testing.assert_close(banded(q, k, v, 5), library)
    for sizes, steps, has_global in (([5], [1], True), ([3, 5, 9], [1, 1, 2], False), ([3, 3], [1, 1], True)):
        assert field(sizes, steps, 101, has_global) == attention.receptive_field(
            len(sizes), sizes, steps, num_tokens=101, global_tokens=int(has_global)
        )
    published = [(p.length, p.window_sizes[0], p.learning_rate) for p in StagedSchedule(window_sizes=(33,))]
    assert plan(33) == published


def test_the_panel_counts_what_the_formula_says():
    rows = seen_by_layer(Dilated(7, 1), 3)
    assert [int(row.sum()) for row in rows.values()] == [7, 13, 19]
    whole = seen_by_layer(Dilated(3, 1) | GlobalTokens(0), 2)
    assert [int(row.sum()) for row in whole.values()] == [4, NUM_TOKENS]
    assert all(bool(row[QUERY]) for row in rows.values())


@pytest.mark.parametrize(
    ("window_size", "dilation", "global_tokens", "depth", "caption"),
    [
        (7, 1, 0, 3, "1 + 3 · 6 · 1 = 19 of 60 positions"),
        (7, 3, 0, 2, "37 positions, and 13 of them count"),
        (7, 1, 1, 2, "depends on all 60 inputs"),
        (7, 1, 1, 1, "Add a second layer"),
        (1, 1, 0, 6, "A window of 1 sees itself alone"),
        (31, 1, 0, 6, "all 60 inputs count"),
    ],
)
def test_the_panel_says_what_to_notice(window_size, dilation, global_tokens, depth, caption):
    state = {
        "window_size": window_size,
        "dilation": dilation,
        "global_tokens": global_tokens,
        "depth": depth,
    }
    assert caption in PatternPainter.render(state).caption
