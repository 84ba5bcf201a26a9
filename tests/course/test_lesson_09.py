"""Lesson 09 beyond its listed answers: other right ways pass, other mistakes are named."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_09 import DatasetBrowser, order_of, rows_of
from vtlearn.data.kinetics import class_names, read_annotations
from vtlearn.data.synthetic import LABELLINGS, bundled_samples
from vtlearn.study.controls import shuffled

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "annotations" / "kinetics-400_val.csv"


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "regular expressions": ("09.1", r'''
def read_rows(text, class_names):
    import csv, re
    rows = list(csv.reader(text.splitlines()))
    at = {name: rows[0].index(name) for name in rows[0]}
    clips, refused = {}, set()
    for i in range(1, len(rows)):
        label, video, a, b = (rows[i][at[k]] for k in ("label", "youtube_id", "time_start", "time_end"))
        ok = label in class_names and re.fullmatch(r"\d+", a) and re.fullmatch(r"\d+", b) and int(a) < int(b)
        name = "{}_{:0>6}_{:0>6}".format(video, a, b)
        if not ok or name in clips:
            refused.add(i + 1)
        else:
            clips[name] = class_names.index(label)
    return [list(pair) for pair in clips.items()], refused
'''),
    "pandas-like columns": ("09.1", '''
def read_rows(text, class_names):
    import csv
    table = list(csv.DictReader(text.strip().splitlines()))
    order = dict(zip(class_names, range(len(class_names))))
    clips, refused, names = [], [], []
    for line, row in zip(range(2, len(table) + 2), table):
        try:
            s, e = map(int, (row["time_start"], row["time_end"]))
            name = row["youtube_id"] + "_" + str(s).rjust(6, "0") + "_" + str(e).rjust(6, "0")
            if s >= e or name in names:
                raise ValueError
            clips.append((name, order[row["label"]]))
            names.append(name)
        except (ValueError, KeyError):
            refused.append(line)
    return (clips, tuple(refused))
'''),
    "float64": ("09.2", '''
def with_missing(right, there):
    r, t = right.double() * there.double(), there.double()
    return r.sum() / t.sum(), r.mean(), (r + 1 - t).mean()
'''),
    "numpy": ("09.2", '''
def with_missing(right, there):
    right, there = right.numpy(), there.numpy()
    return np.array([right[there].mean(), (right & there).mean(), (right | ~there).mean()])
'''),
    "a choice without replacement": ("09.3", '''
def split_by_source(sources, test_share, generator):
    names = np.unique(sources)
    count = max(1, round(test_share * len(names)))
    chosen = torch.multinomial(torch.ones(len(names)), count, generator=generator)
    return np.isin(sources, names[chosen.numpy()])
'''),
    "shuffled list": ("09.3", '''
def split_by_source(sources, test_share, generator):
    import random
    rng = random.Random(int(torch.randint(2**40, (), generator=generator)))
    names = sorted({*sources})
    rng.shuffle(names)
    for_test = names[: max(round(len(names) * test_share), 1)]
    return [name in for_test for name in sources]
'''),
    "python's random": ("09.4", '''
def balanced_order(classes, per_class, generator):
    import random
    rng = random.Random(int(torch.randint(2**40, (), generator=generator)))
    result = []
    for number in set(classes):
        pool = []
        for _ in range(per_class):
            if not pool:
                pool = [i for i, c in enumerate(classes) if c == number]
                rng.shuffle(pool)
            result.append(pool.pop())
    rng.shuffle(result)
    return tuple(result)
'''),
    "sorted by turn": ("09.4", '''
def balanced_order(classes, per_class, generator):
    labels = torch.tensor(classes)
    chosen = []
    for number in labels.unique().tolist():
        clips = torch.where(labels == number)[0]
        clips = clips[torch.randperm(len(clips), generator=generator)]
        chosen.append(clips.repeat(per_class // len(clips) + 1)[:per_class])
    chosen = torch.cat(chosen)
    return chosen[torch.randperm(chosen.numel(), generator=generator)].numpy()
'''),
    "seeded by a string": ("09.5", '''
def clip_generator(seed, epoch, clip):
    import random
    g = torch.Generator(device="cpu")
    g.manual_seed(random.Random(f"{seed}/{epoch}/{clip}").getrandbits(48))
    return g
'''),
    "rng of numpy": ("09.5", '''
def clip_generator(seed, epoch, clip):
    return torch.Generator().manual_seed(int(np.random.default_rng([seed, epoch, clip]).integers(2**62)))
'''),
    "batches": ("09.6", '''
def order_effect(model, clips, labels, generator):
    model.eval()
    right = [0, 0]
    for x, y in zip(clips.split(5), labels.split(5)):
        z = x.clone()
        for b in range(len(z)):
            z[b] = x[b, torch.randperm(x.shape[1], generator=generator)]
        with torch.inference_mode():
            right[0] += (model(x).softmax(-1).argmax(-1) == y).sum()
            right[1] += (model(z).softmax(-1).argmax(-1) == y).sum()
    return right[0] / len(clips), right[1] / len(clips)
'''),
    "einsum with permutation matrices": ("09.6", '''
def order_effect(model, clips, labels, generator):
    B, T = clips.shape[:2]
    orders = torch.stack([torch.eye(T)[torch.randperm(T, generator=generator)] for _ in range(B)])
    moved = torch.einsum("bst,btchw->bschw", orders, clips)
    top = lambda x: model(x).topk(1).indices.flatten()
    return [np.mean((top(x) == labels).numpy()) for x in (clips, moved)]
'''),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


READ = """
import csv, io

def read_rows(text, class_names):
    clips, refused = [], []
    for line, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        good = row["label"] in class_names and row["time_start"].isdigit() and row["time_end"].isdigit()
        if good:
            a, b = int(row["time_start"]), int(row["time_end"])
            pair = "%s_%06d_%06d" % (row["youtube_id"], a, b), class_names.index(row["label"])
            good = b > a and pair not in clips
        clips.append(pair) if good else refused.append(line)
    return clips, refused
"""
OTHER_WRONG = {
    "an end that is the start": ("09.1", READ.replace("b > a", "b >= a"), "ends in the second in which"),
    "sorted clips": ("09.1", READ.replace("return clips", "return sorted(clips)"), "the clips come sorted"),
    "rounded up": ("09.3", '''
def split_by_source(sources, test_share, generator):
    names = sorted(set(sources))
    drawn = torch.randperm(len(names), generator=generator)[: math.ceil(test_share * len(names))]
    return torch.tensor([source in {names[i] for i in drawn} for source in sources])
''', "rounded up to 6"),
    "numpy seeded": ("09.5", '''
def clip_generator(seed, epoch, clip):
    np.random.seed(seed)
    return torch.Generator().manual_seed(seed * 10**9 + epoch * 10**6 + clip)
''', "changes the global state of chance"),
    "pushed round": ("09.6", '''
def order_effect(model, clips, labels, generator):
    moved = torch.stack([c.roll(int(torch.randint(1, len(c), (), generator=generator)), 0) for c in clips])
    return [(model(x).argmax(-1) == labels).float().mean().item() for x in (clips, moved)]
''', "only pushed round"),
    "labels shuffled": ("09.6", '''
def order_effect(model, clips, labels, generator):
    labels = labels[torch.randperm(len(labels), generator=generator)]
    moved = torch.stack([c[torch.randperm(len(c), generator=generator)] for c in clips])
    return [(model(x).argmax(-1) == labels).float().mean().item() for x in (clips, moved)]
''', "with another seed"),
    "in order of occurrence": ("09.1", '''
def read_rows(text, class_names):
    import csv
    clips, refused, names, seen = [], [], [], []
    for line, row in enumerate(csv.DictReader(text.splitlines()), 2):
        try:
            s, e = int(row["time_start"]), int(row["time_end"])
        except ValueError:
            refused.append(line); continue
        name = f"{row['youtube_id']}_{s:06d}_{e:06d}"
        if row["label"] not in class_names or s >= e or name in names:
            refused.append(line); continue
        if row["label"] not in seen: seen.append(row["label"])
        names.append(name); clips.append((name, seen.index(row["label"])))
    return clips, refused
''', "in which they occur in this file"),
    "stops": ("09.1", '''
def read_rows(text, class_names):
    import csv
    return [(r["youtube_id"], class_names.index(r["label"])) for r in csv.DictReader(text.splitlines())], []
''', "ValueError"),
    "names only": ("09.1", '''
def read_rows(text, class_names):
    return ["a"], []
''', "pair (clip name, class number)"),
    "percent": ("09.2", '''
def with_missing(right, there):
    g, m, n = int((right & there).sum()), int(there.sum()), len(there)
    return 100 * g / m, 100 * g / n, 100 * (g + n - m) / n
''', "in percent"),
    "only the first": ("09.2", '''
def with_missing(right, there):
    return right[there].float().mean()
''', "expected three numbers"),
    "same bounds": ("09.2", '''
def with_missing(right, there):
    a = right[there].float().mean().item()
    return a, a, a
''', "it would be lower"),
    "as many as sources": ("09.3", '''
def split_by_source(sources, test_share, generator):
    names = sorted(set(sources))
    return torch.rand(len(names), generator=generator) < test_share
''', "there are"),
    "a coin a source": ("09.3", '''
def split_by_source(sources, test_share, generator):
    names = sorted(set(sources))
    flag = dict(zip(names, (torch.rand(len(names), generator=generator) < test_share).tolist()))
    return torch.tensor([flag[s] for s in sources])
''', "do not toss a coin"),
    "names returned": ("09.3", '''
def split_by_source(sources, test_share, generator):
    names = sorted(set(sources))
    return set(names[:2])
''', "one True or False a clip"),
    "until the share of clips": ("09.3", '''
def split_by_source(sources, test_share, generator):
    names = sorted(set(sources))
    tested = set()
    for i in torch.randperm(len(names), generator=generator).tolist():
        if sum(s in tested for s in sources) >= 0.5 * len(sources): break
        tested.add(names[i])
    return torch.tensor([s in tested for s in sources])
''', "count different sources, not clips"),
    "classes, not clips": ("09.4", '''
def balanced_order(classes, per_class, generator):
    return [c for c in sorted(set(classes)) for _ in range(per_class)]
''', "these are class numbers"),
    "fixed seed": ("09.4", '''
def balanced_order(classes, per_class, generator):
    generator = torch.Generator().manual_seed(0)
    order = []
    for n in sorted(set(classes)):
        clips = [i for i, c in enumerate(classes) if c == n]
        own = []
        while len(own) < per_class:
            own += [clips[i] for i in torch.randperm(len(clips), generator=generator)]
        order += own[:per_class]
    return [order[i] for i in torch.randperm(len(order), generator=generator)]
''', "every seed gives the same order"),
    "a number": ("09.5", '''
def clip_generator(seed, epoch, clip):
    return hash((seed, epoch, clip))
''', "expected a torch.Generator"),
    "not seeded": ("09.5", '''
def clip_generator(seed, epoch, clip):
    return torch.Generator()
''', "every clip draws the same"),
    "a product": ("09.5", '''
def clip_generator(seed, epoch, clip):
    return torch.Generator().manual_seed((seed + 1) * (epoch + 1) * (clip + 1))
''', "a sum gives"),
    "global seeded on the way": ("09.5", '''
def clip_generator(seed, epoch, clip):
    torch.manual_seed(hash((seed, epoch, clip)))
    return torch.Generator().manual_seed(int(torch.randint(2**60, ())))
''', "changes the global state"),
    "pixels": ("09.6", '''
def order_effect(model, clips, labels, generator):
    noise = torch.rand(clips.shape, generator=generator).argsort(1)
    a, b = ((model(x).argmax(1) == labels).float().mean() for x in (clips, clips.gather(1, noise)))
    return a, b
''', "pixels of different frames"),
    "frames of the batch": ("09.6", '''
def order_effect(model, clips, labels, generator):
    B, T = clips.shape[:2]
    moved = clips.flatten(0, 1)[torch.randperm(B * T, generator=generator)].unflatten(0, (B, T))
    a, b = ((model(x).argmax(1) == labels).float().mean() for x in (clips, moved))
    return a, b
''', "different clips are mixed"),
    "exchanged": ("09.6", '''
def order_effect(model, clips, labels, generator):
    order = torch.rand(clips.shape[:2], generator=generator).argsort(dim=1)
    moved = clips[torch.arange(len(clips))[:, None], order]
    a, b = ((model(x).argmax(1) == labels).float().mean() for x in (clips, moved))
    return b, a
''', "exchanged"),
    "counts": ("09.6", '''
def order_effect(model, clips, labels, generator):
    order = torch.rand(clips.shape[:2], generator=generator).argsort(dim=1)
    moved = clips[torch.arange(len(clips))[:, None], order]
    a, b = ((model(x).argmax(1) == labels).sum() for x in (clips, moved))
    return a, b
''', "number of clips"),
    "library": ("09.6", '''
def order_effect(model, clips, labels, generator):
    from vtlearn.study.controls import shuffled
    (moved,) = shuffled([{"clip": clips}], seed=int(torch.randint(99, (), generator=generator)))
    a, b = ((model(x).argmax(1) == labels).float().mean() for x in (clips, moved["clip"]))
    return a, b
''', "forwards the work"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_reading_agrees_with_the_library():
    path = bundled_samples() / "annotations" / "motion_val.csv"
    clips, refused = exercise("09.1").compile()(path.read_text(), LABELLINGS["motion"])
    rows = read_annotations(path)
    assert [name for name, _ in clips] == [row.clip_name for row in rows]
    assert [LABELLINGS["motion"][number] for _, number in clips] == [row.label for row in rows]
    assert refused == []


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published annotation files are not on this machine")
def test_reading_takes_the_published_list_whole():
    rows = read_annotations(PUBLISHED)
    clips, refused = exercise("09.1").compile()(PUBLISHED.read_text(), class_names(rows))
    assert len(clips) + len(refused) == 19_906
    assert [name for name, _ in clips] == list(dict.fromkeys(row.clip_name for row in rows))


def test_a_balanced_order_has_every_class_equally_often_and_shuffling_agrees_with_the_library():
    classes = [0] * 7 + [1] * 2
    own = exercise("09.4").compile()(classes, 7, torch.Generator().manual_seed(0))
    assert Counter(classes[clip] for clip in own) == {0: 7, 1: 7}
    uses = Counter(own)
    assert {uses[clip] for clip in range(7)} == {1}, "each clip of the large class once"
    assert {uses[clip] for clip in (7, 8)} <= {3, 4}, "those of the small one in turn"
    clips, labels = torch.rand(5, 3, 1, 2, 2), torch.zeros(5, dtype=torch.long)
    seen = []

    def model(shown):
        seen.append(shown)
        return torch.ones(len(shown), 2)

    exercise("09.6").compile()(model, clips, labels, torch.Generator().manual_seed(4))
    (want,) = shuffled([{"clip": clips}], seed=4)
    assert torch.equal(seen[0], clips)
    assert torch.equal(seen[1], want["clip"])


def test_the_browser_tells_the_row_it_shows():
    row = rows_of("test", "hop then swell")[3]
    state = {"split": "test", "motion": "hop then swell", "number": 3, "order": "one frame"}
    words = DatasetBrowser.render(state)
    assert f"Line {row.row} of motion_test.csv: hop then swell, {row.youtube_id}" in words.text
    assert "40 of this class" in words.text
    assert "One frame tells the shape" in words.caption
    assert sorted(order_of("shuffled").tolist()) == list(range(8))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_clip_number_on_offer_exists(split):
    largest = DatasetBrowser().controls_by_name["number"].max
    assert all(len(rows_of(split, motion)) > largest for motion in LABELLINGS["motion"])
