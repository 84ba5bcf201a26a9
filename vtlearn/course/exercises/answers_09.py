"""Answers to the exercises of lesson 09, as source: right ones in several styles, and the usual mistakes."""

# ------------------------------------------------------------------------------------------- 09.1 read a li

READ_ROWS = {
    "dict reader": '''
def read_rows(text: str, class_names: list[str]) -> tuple[list[tuple[str, int]], list[int]]:
    """Clips with their class numbers, and the lines that cannot be used."""
    import csv

    clips, refused, taken = [], [], set()
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            number = class_names.index(row["label"])
            start, end = int(row["time_start"]), int(row["time_end"])
        except ValueError:
            refused.append(line)
            continue
        name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        if end <= start or name in taken:
            refused.append(line)
            continue
        taken.add(name)
        clips.append((name, number))
    return clips, refused
''',
    "reader and a lookup": """
def read_rows(text, class_names):
    import csv
    import io

    numbers = {name: number for number, name in enumerate(class_names)}
    rows = csv.reader(io.StringIO(text))
    heading = next(rows)
    found, refused = {}, []
    for row in rows:
        cell = dict(zip(heading, row))
        start, end = cell["time_start"], cell["time_end"]
        good = start.isdigit() and end.isdigit() and int(end) > int(start) and cell["label"] in numbers
        name = "_".join([cell["youtube_id"], start.zfill(6), end.zfill(6)])
        if good and name not in found:
            found[name] = numbers[cell["label"]]
        else:
            refused.append(rows.line_num)
    return list(found.items()), refused
""",
    "a function that judges a row": """
def read_rows(text, class_names):
    import csv

    def clip_of(row):
        if row["label"] not in class_names:
            return None
        try:
            start, end = (int(row[column]) for column in ("time_start", "time_end"))
        except ValueError:
            return None
        if not start < end:
            return None
        return "%s_%06d_%06d" % (row["youtube_id"], start, end), class_names.index(row["label"])

    clips, refused = [], []
    for number, row in enumerate(csv.DictReader(text.strip().split("\\n"))):
        clip = clip_of(row)
        if clip is None or clip in clips:
            refused.append(number + 2)
        else:
            clips.append(clip)
    return clips, refused
""",
}

_READER = """
def read_rows(text, class_names):
    import csv

    clips, refused, taken = [], [], set()
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            number = class_names.index(row["label"])
            start, end = int(row["time_start"]), int(row["time_end"])
        except ValueError:
            refused.append(line)
            continue
        name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        if end <= start or name in taken:
            refused.append(line)
            continue
        taken.add(name)
        clips.append((name, number))
    return clips, refused
"""
_CUTTER = """
def read_rows(text, class_names):
    heading, *lines = text.splitlines()
    columns = heading.split(",")
    clips, refused, taken = [], [], set()
    for line, cells in enumerate(lines, start=2):
        row = dict(zip(columns, [cell for cell in cells.split(",")]))
        try:
            number = class_names.index(row["label"])
            start, end = int(row["time_start"]), int(row["time_end"])
        except ValueError:
            refused.append(line)
            continue
        name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        if end <= start or name in taken:
            refused.append(line)
            continue
        taken.add(name)
        clips.append((name, number))
    return clips, refused
"""

ROWS_SPLIT = _CUTTER
ROWS_STRIPPED = _CUTTER.replace("[cell for", "[cell.strip('\"') for")
ROWS_OWN_CLASSES = _READER.replace(
    "clips, refused, taken =", "class_names = sorted(class_names)\n    clips, refused, taken ="
)
ROWS_NOT_PADDED = _READER.replace("{start:06d}_{end:06d}", "{start}_{end}")
ROWS_SILENT = _READER.replace("return clips, refused", "return clips, []")
ROWS_OFF_BY_ONE = _READER.replace("start=2", "start=1")
ROWS_TWICE = _READER.replace(" or name in taken", "")
ROWS_BACKWARDS = _READER.replace("end <= start or ", "")
ROWS_BY_PLACE = """
def read_rows(text, class_names):
    import csv

    clips, refused, taken = [], [], set()
    for line, row in enumerate(list(csv.reader(text.splitlines()))[1:], start=2):
        label, source, start, end = row[:4]
        if label not in class_names or not start.isdigit() or not end.isdigit() or int(end) <= int(start):
            refused.append(line)
            continue
        name = f"{source}_{int(start):06d}_{int(end):06d}"
        if name in taken:
            refused.append(line)
            continue
        taken.add(name)
        clips.append((name, class_names.index(label)))
    return clips, refused
"""

# ----------------------------------------------------------------------------------- 09.2 missing clips

MISSING = {
    "counts": '''
def with_missing(right: Tensor, there: Tensor) -> tuple[float, float, float]:
    """Accuracy on what is there, and its bounds on the whole list."""
    good, present, total = int((right & there).sum()), int(there.sum()), len(there)
    return good / present, good / total, (good + total - present) / total
''',
    "a mean of what is there": """
def with_missing(right, there):
    measured = right[there].float().mean().item()
    share = there.float().mean().item()
    return measured, measured * share, measured * share + 1 - share
""",
    "filled in": """
def with_missing(right, there):
    worst = torch.where(there, right, torch.zeros_like(right))
    best = torch.where(there, right, torch.ones_like(right))
    return torch.stack([right[there].double().mean(), worst.double().mean(), best.double().mean()])
""",
    "a loop": """
def with_missing(right, there):
    good = present = 0
    for r, t in zip(right.tolist(), there.tolist()):
        present += t
        good += r and t
    gone = len(there) - present
    return [good / present, good / (present + gone), (good + gone) / (present + gone)]
""",
}
MISSING_AS_WRONG = """
def with_missing(right, there):
    good, present, total = int((right & there).sum()), int(there.sum()), len(there)
    return good / total, good / total, (good + total - present) / total
"""
MISSING_READ = """
def with_missing(right, there):
    good, present, total = int((right & there).sum()), int(there.sum()), len(there)
    return float(right.float().mean()), good / total, (good + total - present) / total
"""
MISSING_RATE = """
def with_missing(right, there):
    measured, rate = float(right[there].float().mean()), float((~there).float().mean())
    return measured, measured - rate, measured + rate
"""
MISSING_EXCHANGED = """
def with_missing(right, there):
    good, present, total = int((right & there).sum()), int(there.sum()), len(there)
    return good / present, (good + total - present) / total, good / total
"""
MISSING_ONE = """
def with_missing(right, there):
    good, present, total = int((right & there).sum()), int(there.sum()), len(there)
    return good / present, good / total, 1.0
"""

# --------------------------------------------------------------------------------------- 09.3 split by sour

SPLIT = {
    "sorted names": '''
def split_by_source(sources: list[str], test_share: float, generator: torch.Generator) -> Tensor:
    """Which clips are for testing, no source on both sides: (clips,) bool."""
    names = sorted(set(sources))
    count = max(1, round(test_share * len(names)))
    drawn = torch.randperm(len(names), generator=generator)[:count].tolist()
    tested = {names[i] for i in drawn}
    return torch.tensor([source in tested for source in sources])
''',
    "numbers by unique": """
def split_by_source(sources, test_share, generator):
    names, number = np.unique(sources, return_inverse=True)
    count = max(1, round(test_share * len(names)))
    tested = torch.zeros(len(names), dtype=torch.bool)
    tested[torch.randperm(len(names), generator=generator)[:count]] = True
    return tested[torch.from_numpy(number)]
""",
    "random numbers ranked": """
def split_by_source(sources, test_share, generator):
    names = sorted(dict.fromkeys(sources))
    scores = torch.rand(len(names), generator=generator)
    count = max(round(test_share * len(names)), 1)
    limit = scores.sort().values[count - 1]
    score_of = {name: float(score) for name, score in zip(names, scores)}
    return [score_of[source] <= float(limit) for source in sources]
""",
}

_SPLIT = SPLIT["sorted names"]
SPLIT_CLIPS = """
def split_by_source(sources, test_share, generator):
    test = torch.zeros(len(sources), dtype=torch.bool)
    count = max(1, round(test_share * len(sources)))
    test[torch.randperm(len(sources), generator=generator)[:count]] = True
    return test
"""
SPLIT_LISTED = _SPLIT.replace("sorted(set(sources))", "list(dict.fromkeys(sources))")
SPLIT_SET = _SPLIT.replace("sorted(set(sources))", "list(set(sources))")
SPLIT_FIRST = _SPLIT.replace("torch.randperm(len(names), generator=generator)", "torch.arange(len(names))")
SPLIT_FLOOR = _SPLIT.replace("round(test_share", "int(test_share")
SPLIT_EXCHANGED = _SPLIT.replace("source in tested", "source not in tested")
SPLIT_GLOBAL = _SPLIT.replace("len(names), generator=generator", "len(names)")

# ---------------------------------------------------------------------------------------- 09.4 balanced ord

BALANCED = {
    "rounds": '''
def balanced_order(classes: list[int], per_class: int, generator: torch.Generator) -> list[int]:
    """Clip numbers of one epoch, every class equally often."""
    order = []
    for number in sorted(set(classes)):
        clips = [clip for clip, label in enumerate(classes) if label == number]
        own = []
        while len(own) < per_class:
            own += [clips[i] for i in torch.randperm(len(clips), generator=generator).tolist()]
        order += own[:per_class]
    return [order[i] for i in torch.randperm(len(order), generator=generator).tolist()]
''',
    "tensors": """
def balanced_order(classes, per_class, generator):
    labels = torch.tensor(classes)
    parts = []
    for number in labels.unique():
        clips = (labels == number).nonzero().flatten()
        rounds = -(-per_class // len(clips))
        turns = [clips[torch.randperm(len(clips), generator=generator)] for _ in range(rounds)]
        parts.append(torch.cat(turns)[:per_class])
    order = torch.cat(parts)
    return order[torch.randperm(len(order), generator=generator)]
""",
    "whole rounds and a rest": """
def balanced_order(classes, per_class, generator):
    members = {}
    for clip, number in enumerate(classes):
        members.setdefault(number, []).append(clip)
    order = []
    for clips in members.values():
        times, rest = divmod(per_class, len(clips))
        order.extend(clips * times)
        order.extend(clips[i] for i in torch.randperm(len(clips), generator=generator)[:rest])
    keys = torch.rand(len(order), generator=generator)
    return [order[i] for i in keys.argsort().tolist()]
""",
}

_BALANCED = BALANCED["rounds"]
BALANCED_REPLACED = """
def balanced_order(classes, per_class, generator):
    order = []
    for number in sorted(set(classes)):
        clips = [clip for clip, label in enumerate(classes) if label == number]
        order += [clips[i] for i in torch.randint(len(clips), (per_class,), generator=generator).tolist()]
    return [order[i] for i in torch.randperm(len(order), generator=generator).tolist()]
"""
BALANCED_WEIGHTS = """
def balanced_order(classes, per_class, generator):
    labels = torch.tensor(classes)
    weights = 1 / torch.bincount(labels)[labels].float()
    count = per_class * len(labels.unique())
    return torch.multinomial(weights, count, replacement=True, generator=generator).tolist()
"""
BALANCED_BLOCKS = _BALANCED.replace(
    "return [order[i] for i in torch.randperm(len(order), generator=generator).tolist()]", "return order"
)
BALANCED_FIRST = _BALANCED.replace(
    "own += [clips[i] for i in torch.randperm(len(clips), generator=generator).tolist()]", "own += clips"
)
BALANCED_SHORT = """
def balanced_order(classes, per_class, generator):
    order = []
    for number in sorted(set(classes)):
        clips = [clip for clip, label in enumerate(classes) if label == number]
        order += [clips[i] for i in torch.randperm(len(clips), generator=generator)[:per_class].tolist()]
    return [order[i] for i in torch.randperm(len(order), generator=generator).tolist()]
"""
BALANCED_GAPS = _BALANCED.replace("sorted(set(classes))", "range(len(set(classes)))").replace(
    "own = []", "own = []\n        if not clips:\n            continue"
)

# ---------------------------------------------------------------------------------- 09.5 worker seeding

GENERATOR = {
    "seed sequence": '''
def clip_generator(seed: int, epoch: int, clip: int) -> torch.Generator:
    """The generator of one clip in one epoch."""
    mixed = np.random.SeedSequence((seed, epoch, clip)).generate_state(1)[0]
    return torch.Generator().manual_seed(int(mixed))
''',
    "a digest": """
def clip_generator(seed, epoch, clip):
    import hashlib

    digest = hashlib.sha256(f"{seed} {epoch} {clip}".encode()).digest()
    generator = torch.Generator()
    generator.manual_seed(int.from_bytes(digest[:6], "big"))
    return generator
""",
    "places of a number": """
def clip_generator(seed, epoch, clip):
    return torch.Generator().manual_seed((seed * 1000 + epoch) * 1_000_000 + clip)
""",
    "the hash of three numbers": """
def clip_generator(seed, epoch, clip):
    g = torch.Generator()
    g.manual_seed(hash((seed, epoch, clip)))
    return g
""",
}
GENERATOR_GLOBAL = """
def clip_generator(seed, epoch, clip):
    return torch.manual_seed(hash((seed, epoch, clip)))
"""
GENERATOR_SUM = """
def clip_generator(seed, epoch, clip):
    return torch.Generator().manual_seed(seed + epoch + clip)
"""
GENERATOR_SMALL = """
def clip_generator(seed, epoch, clip):
    return torch.Generator().manual_seed(seed * 10_000 + epoch * 100 + clip)
"""
GENERATOR_NO_EPOCH = """
def clip_generator(seed, epoch, clip):
    return torch.Generator().manual_seed(seed * 1_000_000 + clip)
"""
GENERATOR_ENTROPY = """
def clip_generator(seed, epoch, clip):
    generator = torch.Generator()
    generator.seed()
    return generator
"""
GENERATOR_DRAWN = """
def clip_generator(seed, epoch, clip):
    return torch.Generator().manual_seed(int(torch.randint(2**31, ())))
"""

# --------------------------------------------------------------------------------- 09.6 shuffled frames

ORDER = {
    "argsort": '''
def order_effect(
    model: nn.Module, clips: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[float, float]:
    """Accuracy with frames in order, and with each clip's frames shuffled."""
    order = torch.rand(clips.shape[:2], generator=generator).argsort(dim=1)
    moved = clips[torch.arange(len(clips))[:, None], order]
    with torch.no_grad():
        right = [(model(each).argmax(dim=1) == labels).float().mean().item() for each in (clips, moved)]
    return right[0], right[1]
''',
    "a permutation a clip": """
def order_effect(model, clips, labels, generator):
    moved = torch.stack([clip[torch.randperm(len(clip), generator=generator)] for clip in clips])

    def accuracy(shown):
        with torch.no_grad():
            return float((model(shown).argmax(-1) == labels).double().mean())

    return accuracy(clips), accuracy(moved)
""",
    "clip by clip": """
def order_effect(model, clips, labels, generator):
    right, still = 0, 0
    for clip, label in zip(clips, labels):
        order = torch.randperm(clip.shape[0], generator=generator)
        right += int(model(clip[None])[0].argmax() == label)
        still += int(model(clip[order][None])[0].argmax() == label)
    return right / len(clips), still / len(clips)
""",
    "gathered, in one go": """
def order_effect(model, clips, labels, generator):
    order = torch.rand(clips.shape[:2], generator=generator).argsort(dim=1)
    moved = torch.gather(clips, 1, order.view(*order.shape, 1, 1, 1).expand_as(clips))
    said = model(torch.cat([clips, moved])).argmax(dim=1).view(2, -1)
    return (said == labels).float().mean(dim=1)
""",
}

ORDER_ONE = """
def order_effect(model, clips, labels, generator):
    moved = clips[:, torch.randperm(clips.shape[1], generator=generator)]
    a, b = ((model(each).argmax(1) == labels).float().mean().item() for each in (clips, moved))
    return a, b
"""
ORDER_CLIPS = """
def order_effect(model, clips, labels, generator):
    moved = clips[torch.randperm(len(clips), generator=generator)]
    a, b = ((model(each).argmax(1) == labels).float().mean().item() for each in (clips, moved))
    return a, b
"""
ORDER_BACKWARDS = """
def order_effect(model, clips, labels, generator):
    a, b = ((model(each).argmax(1) == labels).float().mean().item() for each in (clips, clips.flip(1)))
    return a, b
"""
ORDER_COLOURS = """
def order_effect(model, clips, labels, generator):
    moved = torch.stack([clip[:, torch.randperm(clip.shape[1], generator=generator)] for clip in clips])
    a, b = ((model(each).argmax(1) == labels).float().mean().item() for each in (clips, moved))
    return a, b
"""
ORDER_REPLACED = """
def order_effect(model, clips, labels, generator):
    order = torch.randint(clips.shape[1], clips.shape[:2], generator=generator)
    moved = clips[torch.arange(len(clips))[:, None], order]
    a, b = ((model(each).argmax(1) == labels).float().mean().item() for each in (clips, moved))
    return a, b
"""
ORDER_DIFFERENCE = """
def order_effect(model, clips, labels, generator):
    order = torch.rand(clips.shape[:2], generator=generator).argsort(dim=1)
    moved = clips[torch.arange(len(clips))[:, None], order]
    a, b = ((model(each).argmax(1) == labels).float().mean().item() for each in (clips, moved))
    return a, a - b
"""
