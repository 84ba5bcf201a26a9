"""Answers to the exercises of lesson 12, as source: right ones in several styles, and the usual mistakes."""

# ------------------------------------------------------------------------------------------ 12.1 three modes

THREE_MODES = {
    "split and join": '''
def three_modes(frames: Tensor, backbone: nn.Module, temporal: nn.Module, chunk: int, kept: Tensor) -> tuple:
    """Logits end to end, with the backbone in chunks, and from kept vectors."""
    backbone.eval()
    temporal.eval()
    with torch.no_grad():
        end_to_end = temporal(backbone(frames).unsqueeze(0))
        vectors = [backbone(part) for part in frames.split(chunk)]
        chunked = temporal(torch.cat(vectors).unsqueeze(0))
        from_kept = temporal(kept.unsqueeze(0))
    return end_to_end, chunked, from_kept
''',
    "filled in": """
@torch.no_grad()
def three_modes(frames, backbone, temporal, chunk, kept):
    for module in (backbone, temporal):
        module.train(False)
    first = temporal(backbone(frames)[None])
    table = torch.empty(len(frames), kept.shape[1])
    for start in range(0, len(frames), chunk):
        table[start : start + chunk] = backbone(frames[start : start + chunk])
    return first, temporal(table[None]), temporal(kept[None])
""",
    "inference mode, a list": """
def three_modes(frames, backbone, temporal, chunk, kept):
    backbone, temporal = backbone.eval(), temporal.eval()
    with torch.inference_mode():
        vectors, start = [], 0
        while start < len(frames):
            vectors.extend(backbone(frames[start : start + chunk]))
            start += chunk
        sequences = [backbone(frames), torch.stack(vectors), kept]
        return [temporal(rearrange(one, "t d -> 1 t d")) for one in sequences]
""",
}

_MODES = """
def three_modes(frames, backbone, temporal, chunk, kept):
    {mode}
    with {context}:
        end_to_end = temporal(backbone(frames)[None])
        {chunked}
        from_kept = {kept}
    return end_to_end, chunked, from_kept
"""
_MODES_RIGHT = {
    "mode": "backbone.eval(), temporal.eval()",
    "context": "torch.no_grad()",
    "chunked": "chunked = temporal(torch.cat([backbone(part) for part in frames.split(chunk)])[None])",
    "kept": "temporal(kept[None])",
}
MODES_TRAINING = _MODES.format(**_MODES_RIGHT | {"mode": "pass"})
MODES_GRADIENTS = _MODES.format(**_MODES_RIGHT | {"context": "torch.enable_grad()"})
MODES_REST_DROPPED = _MODES.format(
    **_MODES_RIGHT
    | {
        "chunked": "chunked = temporal(torch.cat([backbone(frames[i * chunk : (i + 1) * chunk]) "
        "for i in range(len(frames) // chunk)])[None])"
    }
)
MODES_AVERAGED = _MODES.format(
    **_MODES_RIGHT
    | {
        "chunked": "chunked = torch.stack([temporal(backbone(part)[None]) for part in frames.split(chunk)])"
        ".mean(0)"
    }
)
MODES_NOT_KEPT = _MODES.format(**_MODES_RIGHT | {"kept": "temporal(backbone(frames)[None])"})
MODES_NO_CHUNKS = _MODES.format(**_MODES_RIGHT | {"chunked": "chunked = end_to_end.clone()"})
MODES_BACKWARDS = _MODES.format(
    **_MODES_RIGHT
    | {
        "chunked": "parts = [backbone(part) for part in frames.split(chunk)][::-1]\n"
        "        chunked = temporal(torch.cat(parts)[None])"
    }
)

# ------------------------------------------------------------------------------------------ 12.2 memory model

PEAK_BYTES = {
    "three sums": '''
def peak_bytes(num_frames: int, chunk: int, frame: int, work: int, vector: int) -> tuple[int, int, int]:
    """Bytes held at the most: end to end, chunked, from kept vectors."""
    table = num_frames * vector
    at_once = min(chunk, num_frames)
    return num_frames * (frame + work) + table, at_once * (frame + work) + table, table
''',
    "one rule": """
def peak_bytes(num_frames, chunk, frame, work, vector):
    return tuple(n * (frame + work) + num_frames * vector for n in (num_frames, min(num_frames, chunk), 0))
""",
    "counted chunk by chunk": """
def peak_bytes(num_frames, chunk, frame, work, vector):
    def peak(size):
        most = 0
        for start in range(0, num_frames, size):
            inside = len(range(start, min(start + size, num_frames)))
            most = max(most, inside * (frame + work) + num_frames * vector)
        return most

    return [peak(num_frames), peak(chunk), num_frames * vector]
""",
}
_BYTES = """
def peak_bytes(num_frames, chunk, frame, work, vector):
    at_once = {at_once}
    return {whole}, {chunked}, {kept}
"""
_BYTES_RIGHT = {
    "at_once": "min(chunk, num_frames)",
    "whole": "num_frames * (frame + work + vector)",
    "chunked": "at_once * (frame + work) + num_frames * vector",
    "kept": "num_frames * vector",
}
BYTES_SHORT_VIDEO = _BYTES.format(**_BYTES_RIGHT | {"at_once": "chunk"})
BYTES_VECTORS_OF_CHUNK = _BYTES.format(**_BYTES_RIGHT | {"chunked": "at_once * (frame + work + vector)"})
BYTES_ALL_FRAMES = _BYTES.format(
    **_BYTES_RIGHT | {"chunked": "num_frames * (frame + vector) + at_once * work"}
)
BYTES_FRAMES_KEPT = _BYTES.format(**_BYTES_RIGHT | {"kept": "num_frames * (frame + vector)"})
BYTES_WORK_FORGOTTEN = _BYTES.format(
    **_BYTES_RIGHT
    | {"whole": "num_frames * (frame + vector)", "chunked": "at_once * frame + num_frames * vector"}
)

# ----------------------------------------------------------------------------------- 12.3 the chunk's edge

IN_CHUNKS = {
    "neighbours, then cut": '''
def in_chunks(vectors: Tensor, layer: nn.Module, chunk: int, reach: int) -> Tensor:
    """What layer(vectors) gives, with at most chunk + 2 · reach vectors in the layer at a time."""
    parts = []
    for start in range(0, len(vectors), chunk):
        end = min(start + chunk, len(vectors))
        first = max(0, start - reach)
        seen = layer(vectors[first : end + reach])
        parts.append(seen[start - first : end - first])
    return torch.cat(parts)
''',
    "filled in": """
def in_chunks(vectors, layer, chunk, reach):
    out = torch.empty_like(vectors)
    n = vectors.shape[0]
    for a in range(0, n, chunk):
        b = a + chunk
        left = min(reach, a)
        out[a:b] = layer(vectors[a - left : b + reach])[left : left + min(chunk, n - a)]
    return out
""",
    "frame by frame": """
def in_chunks(vectors, layer, chunk, reach):
    rows = []
    for place in range(len(vectors)):
        low = max(place - reach, 0)
        rows.append(layer(vectors[low : place + reach + 1])[place - low])
    return torch.stack(rows)
""",
    "by index": """
def in_chunks(vectors, layer, chunk, reach):
    everyone = torch.arange(len(vectors))
    parts = []
    for own in everyone.split(chunk):
        near = everyone[(everyone >= own[0] - reach) & (everyone <= own[-1] + reach)]
        parts.append(layer(vectors[near])[torch.isin(near, own)])
    return torch.cat(parts)
""",
}
_EDGE = """
def in_chunks(vectors, layer, chunk, reach):
    parts = []
    for start in range(0, len(vectors), chunk):
        end = min(start + chunk, len(vectors))
        first, last = {first}, {last}
        parts.append(layer(vectors[first:last]){cut})
    return torch.cat(parts)
"""
_EDGE_RIGHT = {
    "first": "max(0, start - reach)",
    "last": "end + reach",
    "cut": "[start - first : end - first]",
}
EDGE_BARE = _EDGE.format(**_EDGE_RIGHT | {"first": "start", "last": "end"})
EDGE_PAST_ONLY = _EDGE.format(**_EDGE_RIGHT | {"last": "end"})
EDGE_FUTURE_ONLY = _EDGE.format(**_EDGE_RIGHT | {"first": "start"})
EDGE_NOT_CUT = _EDGE.format(**_EDGE_RIGHT | {"cut": ""})
EDGE_CUT_BY_REACH = _EDGE.format(**_EDGE_RIGHT | {"cut": "[reach : reach + end - start]"})
EDGE_ONE_SHORT = _EDGE.format(**_EDGE_RIGHT | {"last": "end + reach - 1"})
EDGE_ALL_AT_ONCE = """
def in_chunks(vectors, layer, chunk, reach):
    return layer(vectors)
"""
EDGE_REST_DROPPED = """
def in_chunks(vectors, layer, chunk, reach):
    parts = []
    for i in range(len(vectors) // chunk):
        start, end = i * chunk, (i + 1) * chunk
        first = max(0, start - reach)
        parts.append(layer(vectors[first : end + reach])[start - first : end - first])
    return torch.cat(parts)
"""

# -------------------------------------------------------------------------------- 12.4 what the clips cover

COVERAGE = {
    "walk over the clips": '''
def seen_and_missed(starts: list[int], num_frames: int, stride: int, length: int) -> tuple[float, int]:
    """Share of the video that the clips cover, and the longest piece in no clip, in frames."""
    seen = reached = longest = 0
    for start in sorted(starts):
        end = min(start + num_frames * stride, length)
        longest = max(longest, start - reached)
        seen += max(0, end - max(start, reached))
        reached = max(reached, end)
    return seen / length, max(longest, length - reached)
''',
    "mark every frame": """
def seen_and_missed(starts, num_frames, stride, length):
    seen = torch.zeros(length, dtype=torch.bool)
    for start in starts:
        seen[start : start + num_frames * stride] = True
    run = longest = 0
    for is_seen in seen.tolist():
        run = 0 if is_seen else run + 1
        longest = max(longest, run)
    return seen.float().mean(), longest
""",
    "a set, and text": """
def seen_and_missed(starts, num_frames, stride, length):
    inside = {f for start in starts for f in range(start, start + num_frames * stride) if f < length}
    line = "".join("x" if f in inside else "." for f in range(length))
    return len(inside) / length, max(len(gap) for gap in line.split("x"))
""",
    "numpy": """
def seen_and_missed(starts, num_frames, stride, length):
    place = np.arange(length)[:, None]
    first = np.array(starts)[None, :]
    seen = ((place >= first) & (place < first + num_frames * stride)).any(axis=1)
    fences = np.flatnonzero(np.concatenate([[True], seen, [True]]))
    return seen.mean(), np.diff(fences).max() - 1
""",
}
_COVER = """
def seen_and_missed(starts, num_frames, stride, length):
    seen = reached = longest = 0
    for start in {starts}:
        end = {end}
        longest = max(longest, start - reached)
        seen += {more}
        reached = max(reached, end)
    return seen / length, {longest}
"""
_COVER_RIGHT = {
    "starts": "sorted(starts)",
    "end": "min(start + num_frames * stride, length)",
    "more": "max(0, end - max(start, reached))",
    "longest": "max(longest, length - reached)",
}
COVER_TWICE = _COVER.format(**_COVER_RIGHT | {"more": "end - start"})
COVER_PAST_END = _COVER.format(
    **_COVER_RIGHT | {"end": "start + num_frames * stride", "longest": "max(longest, length - reached, 0)"}
)
COVER_FRAMES_ONLY = _COVER.format(**_COVER_RIGHT | {"end": "min(start + num_frames, length)"})
COVER_END_FORGOTTEN = _COVER.format(**_COVER_RIGHT | {"longest": "longest"})
COVER_UNSORTED = _COVER.format(**_COVER_RIGHT | {"starts": "starts"})
COVER_ONE_STRIDE_SHORT = _COVER.format(
    **_COVER_RIGHT | {"end": "min(start + (num_frames - 1) * stride + 1, length)"}
)

# ------------------------------------------------------------------------- 12.5 a short action, a long video

CHANCE = {
    "try every place": '''
def chance_to_see(taken: list[int], action: int, length: int, at_least: int) -> float:
    """Share of the action's possible places at which enough of the taken frames fall into it."""
    places = range(length - action + 1)
    hits = [sum(first <= frame < first + action for frame in taken) >= at_least for first in places]
    return sum(hits) / len(hits)
''',
    "running sums": """
def chance_to_see(taken, action, length, at_least):
    marks = np.zeros(length + 1)
    for frame in taken:
        marks[frame + 1] += 1
    before = marks.cumsum()
    inside = before[action:] - before[:-action]
    return float((inside >= at_least).mean())
""",
    "one table": """
def chance_to_see(taken, action, length, at_least):
    first = torch.arange(length - action + 1)[:, None]
    frames = torch.tensor(taken)[None, :]
    count = ((frames >= first) & (frames < first + action)).sum(1)
    return (count >= at_least).float().mean()
""",
    "unfold": """
def chance_to_see(taken, action, length, at_least):
    marks = torch.zeros(length, dtype=torch.long)
    marks[taken] = 1
    return float((marks.unfold(0, action, 1).sum(-1) >= at_least).double().mean())
""",
}
_CHANCE = """
def chance_to_see(taken, action, length, at_least):
    places = range({places})
    hits = [{hit} for first in places]
    return sum(hits) / len(hits)
"""
_CHANCE_RIGHT = {
    "places": "length - action + 1",
    "hit": "sum(first <= frame < first + action for frame in taken) >= at_least",
}
CHANCE_ANY = _CHANCE.format(
    **_CHANCE_RIGHT | {"hit": "any(first <= frame < first + action for frame in taken)"}
)
CHANCE_PAST_END = _CHANCE.format(**_CHANCE_RIGHT | {"places": "length"})
CHANCE_ONE_PLACE_SHORT = _CHANCE.format(**_CHANCE_RIGHT | {"places": "length - action"})
CHANCE_ONE_TOO_LONG = _CHANCE.format(
    **_CHANCE_RIGHT | {"hit": "sum(first <= frame <= first + action for frame in taken) >= at_least"}
)
CHANCE_MORE_THAN = _CHANCE.format(
    **_CHANCE_RIGHT | {"hit": "sum(first <= frame < first + action for frame in taken) > at_least"}
)
CHANCE_BY_LOT = """
def chance_to_see(taken, action, length, at_least):
    share, n = action / length, len(taken)
    return sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(at_least, n + 1))
"""
CHANCE_EXPECTED = """
def chance_to_see(taken, action, length, at_least):
    return min(1.0, len(taken) * action / length / at_least)
"""
