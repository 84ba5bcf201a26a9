# %% [markdown]
# # 09 · Kinetics
#
# A model sees what its list of clips lets it see. Lists lose clips, name some twice, number their classes in two ways, and
# cut one video into many clips. None of this raises an error. It changes the accuracy.
#
# In this lesson you read such lists, split and balance them, and ask a data set whether it is about time at all.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **Split clips of the same videos at random, and a reader that only recognises the video scores high, even on labels drawn
# by lot, where there is nothing to learn. Split by source video, and it falls to chance. The careless split even picks the
# worse of two readers.**
#
# The lesson measures this on 572 clips cut from 143 videos, and stops if the claim is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - say what Kinetics, Something-Something, Diving-48, Moments in Time and HowTo100M test;
# - read an annotation file and account for every row of it;
# - check a folder of clips, and say what the missing ones can hide;
# - split by source video, draw a subset, balance its classes;
# - load with workers so that a run can be repeated;
# - tell with one experiment whether a model needs the order of frames.
#
# **Before this lesson:** 01 Video as tensors. **Time:** about 75 minutes.

# %% tags=["setup"]
import csv
import io
import math
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_09 import DatasetBrowser
from vtlearn.data.batches import Batches, Epochs
from vtlearn.data.kinetics import Annotation, match_annotations, read_annotations
from vtlearn.data.loader import ClipDataset
from vtlearn.data.manifest import check_folder, coverage
from vtlearn.data.memory import decode_clips, evaluation_batches
from vtlearn.data.sampling import StridedSampler
from vtlearn.data.subset import SubsetRule, draw_subset
from vtlearn.data.synthetic import LABELLINGS, bundled_samples
from vtlearn.data.throughput import Throughput
from vtlearn.study.shipped import load_shipped
from vtlearn.viz.video import frame_rows, words_of_frame_rows

start_lesson("09")
samples = bundled_samples()
lists = samples / "annotations"

# %% [markdown]
# ## Two clips, one video
#
# The first two rows are cut from the same video, a second apart. The third is from another video, of the same class.

# %% tags=["picture"]
first_rows = match_annotations({"motion": read_annotations(lists / "motion_train.csv")[:17:16]}, samples)
two = decode_clips(first_rows.records, first_rows.class_names, num_frames=24, image_size=64)
light = two.frames.permute(0, 1, 4, 2, 3).float() / 255  # (clips, T, C, H, W)
pieces = {
    "for training": light[0, :6],
    "for testing": light[0, 12:18],
    "another video": light[1, :6],
}
picture = frame_rows(pieces)
show(picture, words_of_frame_rows(picture))

# %% [markdown]
# Suppose the first row is in the training set and the second in the test set. To get the second right, a model need not
# know what happens. It need only notice that it has seen this place before.

# %% [markdown]
# ## What each data set tests
#
# | data set | clips | classes | what it tests |
# |---|---|---|---|
# | **Kinetics-400** | about 306,000, of 10 s, from YouTube | 400 human actions | mostly appearance: a swimming pool gives *swimming* away |
# | **Kinetics-600** | about 496,000 | 600 | the same, with more classes |
# | **Something-Something v2** | 220,847, of 2 to 6 s, acted | 174 templates | time: *pulling something from left to right* against *from right to left* |
# | **Diving-48** | about 18,000 | 48 dives | fine motion: everything is a dive in a pool |
# | **Moments in Time** | about a million, of 3 s | 339 | broad events, by people, animals, things |
# | **HowTo100M** | 1.2 million videos, minutes long | narrated tasks | long time: what is being made shows only over minutes |
#
# Kinetics comes as a list of YouTube addresses with seconds; the others as files. For HowTo100M, TimeSformer's authors took
# a part with 1,059 tasks.
#
# One pair of numbers tells the difference. TimeSformer with attention over **space only**, which averages its frames,
# reaches 76.9 % on Kinetics-400; with divided attention 78.0 %. On Something-Something v2 it is 36.6 % against 59.5 %
# (arXiv 2102.05095, table 1). The bundled clips hold both kinds: **appearance** is the Kinetics-like labelling, **motion**
# the other.

# %% [markdown]
# ## Step 1: read the list
#
# Here is a list in the columns that Kinetics publishes. The video has an address (`youtube_id`), and the clip lies between
# two seconds. Its file is named after all three.

# %%
published = """label,youtube_id,time_start,time_end,split,is_cc
"playing harp",x-9_aaQQ,12,22,train,0
juggling,x-9_bbQQ,0,10,train,0
jugling,x-9_ccQQ,4,14,train,0
juggling,x-9_bbQQ,0,10,train,0
"catching, then throwing",x-9_ddQQ,130,140,train,1
juggling,x-9_eeQQ,50,4O,train,0
"""
map_of_classes = ["catching, then throwing", "juggling", "playing harp"]

# %% [markdown]
# Four things want care. A label may stand **in quotes**. Its **class number** comes from a label map, the same for
# everybody. A row may be **wrong**: look for three here. And whoever leaves a row out must **say so**.

# %% tags=["exercise"]
# 09.1

# %%
clips, refused = mine("09.1")(published, map_of_classes)
for name, number in clips:
    print(f"class {number}  {name}")
print("refused lines:", list(refused))
clips, refused = mine("09.1")((lists / "motion_val.csv").read_text(), LABELLINGS["motion"])
print(f"the bundled list: {len(clips)} clips, {len(refused)} lines refused")

# %% [markdown]
# Line 4 has a spelling mistake, line 5 names a clip again, line 7 has a letter O in its number. Nobody sees that in a list
# of 240,000 rows.

# %% [markdown]
# ## Step 2: what is really there?
#
# The list is not the folder. Videos are deleted and downloads break off. A broken file may open, and fail in the middle of
# an epoch. So **check once**: decode every file, and keep what was found in a manifest. Let us break a folder.

# %%
rows = read_annotations(lists / "motion_val.csv")[:6]
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    for row in rows[:5]:  # the sixth is never downloaded
        shutil.copy(samples / "val" / row.label / f"{row.clip_name}.mp4", folder)
    (folder / f"{rows[0].clip_name}.mp4").write_bytes(b"")
    cut = folder / f"{rows[1].clip_name}.mp4"
    cut.write_bytes(cut.read_bytes()[:1500])
    shutil.copy(folder / f"{rows[2].clip_name}.mp4", folder / f"{rows[3].clip_name}.mp4")
    (folder / "notes.txt").write_text("not a clip")
    found = check_folder(folder, annotations=rows)
    usable, listed = coverage(rows, found)
print(found.counts())
print(f"{usable} of {listed} listed clips can be used")

# %% [markdown]
# On the command line: `vtlearn kinetics check FOLDER --annotations LIST.csv`. It can be stopped and goes on, and it ends
# with exit code 1 if anything cannot be used.
#
# ### What the missing clips hide
#
# You test on what is there. Let n clips be listed, m of them there, and k of those right. You report k / m. On the whole
# list the accuracy could be anything between
#
# $$\frac{k}{n} \quad\text{and}\quad \frac{k + (n - m)}{n} .$$

# %% tags=["exercise"]
# 09.2

# %%
right = torch.arange(1000) < 780  # a model that is right on 780 of 1,000 clips
lost = {"every 14th clip": torch.arange(1000) % 14 == 0, "70 hard clips": torch.arange(1000) >= 930,
        "70 easy clips": torch.arange(1000) < 70}  # fmt: skip
print(f"{'what is lost':<17} {'lost':>4} {'measured':>9} {'at least':>9} {'at most':>8}")
for name, gone in lost.items():
    measured, lowest, highest = (float(share) for share in mine("09.2")(right & ~gone, ~gone))
    print(f"{name:<17} {int(gone.sum()):>4} {measured:>9.1%} {lowest:>9.1%} {highest:>8.1%}")

# %% [markdown]
# The same model, the same list: 76 % or 84 %. Clips are not lost by lot: some classes, and old videos, go first. Two papers
# with copies of different size do not report the same test. **State how many clips you had.** Kinetics-400's validation
# list has 19,906.

# %% [markdown]
# ## Step 3: split by source
#
# Most lists come with a split. Your own folder does not, nor does a list that somebody cut into shorter clips. Then draw
# **videos**, not clips.

# %% tags=["exercise"]
# 09.3

# %%
videos = [f"video {number:02d}" for number in range(20) for _ in range(1 + number % 4)]
tested = torch.as_tensor(mine("09.3")(videos, 0.25, torch.Generator().manual_seed(0)))
sides = [{video for video, side in zip(videos, tested.tolist(), strict=True) if side is here} for here in (True, False)]
print(f"{len(videos)} clips of {len(set(videos))} videos: {len(sides[0])} videos for testing, {len(sides[1])} for training")
print("videos on both sides:", len(sides[0] & sides[1]))

# %% [markdown]
# The share is of videos, so the share of clips is only about a quarter. The signature result below shows what this costs
# and saves.
#
# **Is the video the right source?** Not always. The same person, room or camera in two videos leaks as well, only less. In
# the bundled samples no subject is in two splits.

# %% [markdown]
# ### A subset without leakage
#
# Nobody starts with 240,000 clips. A **subset** has a rule and a seed, so that others can draw the same: so many classes,
# so many clips of each, from the published lists, one clip a source, no source in two splits.

# %%
labels = ["archery", "juggling", "playing harp", "pushing cart", "reading book", "yoga"]
made_up = {
    split: [
        Annotation(label, f"{label[:3]}{video:03d}", 10, 20, split)
        for label in labels
        for video in range(first, first + 12)
    ]
    for split, first in (("train", 0), ("val", 6))  # half of the videos are in both lists
}
rule = SubsetRule(num_classes=4, clips_per_class={"train": 5, "val": 2}, motion_share=0.5, seed=0)
subset = draw_subset(made_up, rule)
for split, rows in subset.items():
    print(f"{split:<6} {dict(sorted(Counter(row.label for row in rows).items()))}")
sources = [{row.youtube_id for row in rows} for rows in subset.values()]
print("sources in both splits:", len(sources[0] & sources[1]))

# %% [markdown]
# Half of the classes are named with a word of motion (*juggling*, *pushing*), as far as a name can tell. Two subsets have a
# name, `mini10` and `mini40`. This fetches the first from the public mirror, as its archives stream by, and keeps only its
# clips:
#
#     vtlearn kinetics download --subset mini10 --out kinetics
#     vtlearn kinetics check kinetics
#
# An archive holds about 1,000 clips in one or two gigabytes, and the wanted ones lie in all of them. So nearly the whole
# training set streams by, though little stays on disk: begin with `--split val`. Kinetics-400 also has a set of replacements for about 1,400
# corrupted clips. The clips belong to those who filmed them: mind their terms.

# %% [markdown]
# ## Step 4: balance
#
# Real lists have a **long tail**: a few classes with many clips, many with few. A plain shuffle shows the model what there
# is most of.

# %% tags=["exercise"]
# 09.4

# %%
tail = [0] * 400 + [1] * 40 + [2] * 4  # clips of three classes
order = mine("09.4")(tail, 148, torch.Generator().manual_seed(0))
for name, epoch in (("each clip once", range(444)), ("balanced", order)):
    count = Counter(tail[int(clip)] for clip in epoch)
    most = max(Counter(int(clip) for clip in epoch).values())
    print(f"{name:<15} clips of each class: {[count[label] for label in (0, 1, 2)]}; the same clip: {most} ×")

# %% [markdown]
# Balance has a price. Each of the four rare clips comes 37 times an epoch, and the model will know them by heart; of the
# large class only 148 of 400 were shown, others in the next epoch. And **only training is balanced**: a test list stays as it is, or the accuracy is that
# of another list.

# %% [markdown]
# ## Step 5: workers
#
# Decoding is slow, so **worker** processes read ahead. Each takes every other batch. But a random start frame comes from
# the *worker's* state of chance. With another number of workers, another worker reads the clip, and the clip begins
# elsewhere. Here are the starts of 12 clips, with workers that draw one after another:


# %%
def starts(num_workers: int) -> list[int]:
    """Start frames of 12 clips that the workers take in turn, each with a state of its own."""
    workers = [torch.Generator().manual_seed(worker) for worker in range(num_workers)]
    return [int(torch.randint(17, (), generator=workers[clip % num_workers])) for clip in range(12)]


print("as with one worker:", {number: starts(number) == starts(1) for number in (1, 2, 3)})

# %% [markdown]
# So let the draw depend on **which clip in which epoch**, and on nothing else. Then it does not matter who draws.

# %% tags=["exercise"]
# 09.5


# %%
def starts_by_clip(num_workers: int, epoch: int = 0) -> list[int]:
    """The same 12 clips; who reads a clip no longer counts."""
    shares = [range(worker, 12, num_workers) for worker in range(num_workers)]
    read = {clip: mine("09.5")(0, epoch, clip) for share in shares for clip in share}
    return [int(torch.randint(17, (), generator=read[clip])) for clip in range(12)]


print("as with one worker:", {number: starts_by_clip(number) == starts_by_clip(1) for number in (1, 2, 3)})
print("the next epoch as this one:", starts_by_clip(1, epoch=1) == starts_by_clip(1))

# %% [markdown]
# The library's loader does so. Here it reads real clips, first in this process, then with two workers. It also skips what
# cannot be read, and **names** it.

# %%
val_rows = read_annotations(lists / "motion_val.csv")[:16]
records = match_annotations({"motion": val_rows}, samples).records
dataset = ClipDataset(records, StridedSampler(4, 2), short_side=32, random=True, seed=0)
read = {}
for num_workers in (0, 2):
    order = Epochs(len(records), batch_size=8, seed=0)
    batches = Batches(dataset, order, num_workers=num_workers)
    read[num_workers] = torch.cat([batch["frame_index"] for batch in batches(0, order.steps_per_epoch)])
    print(f"{num_workers} workers: {len(read[num_workers])} clips read, {len(batches.skipped)} skipped")
print("the same frames of the same clips:", torch.equal(read[0], read[2]))

# %% [markdown]
# ### How many workers?
#
# A GPU that waits for clips is wasted. Each stage of loading has a **limit**: workers share all stages but the last, which
# brings the batch to the device.
#
# $$\text{limit of a stage} = \frac{1000 \cdot \text{workers}}{\text{milliseconds a clip}} \ \text{clips a second}.$$
#
# The slowest stage limits the whole. `vtlearn data bench FOLDER` measures them. Here are made-up times.

# %%
spent = {"decode": 40.0, "transform": 6.0, "collate": 1.0, "transfer": 2.0}  # ms a clip
for num_workers in (1, 8, 32):
    bench = Throughput(256, spent, num_workers, clips_per_second=0.0, device="cuda")
    limit = bench.limits[bench.bottleneck]
    print(f"{num_workers:>2} workers: at most {limit:.0f} clips a second, held up by {bench.bottleneck}")

# %% [markdown]
# More workers help until another stage is the slowest. For decoding there are other ways: smaller files (resize the short
# side **once**, on disk), fewer frames, a cache of decoded frames.

# %% [markdown]
# ## Step 6: is it about time?
#
# You have a data set and a trained model. Does the model use the order of frames? **Shuffle each clip's frames, and ask
# again.** If the accuracy stays, order was not needed. The control is a model that cannot see order: the mean of frame
# features.

# %% tags=["exercise"]
# 09.6

# %% [markdown]
# Two models that come with the course, trained on the bundled clips, each with a head for either labelling.

# %%
both = {name: read_annotations(lists / f"{name}_test.csv")[:96] for name in LABELLINGS}
test_set = match_annotations(both, samples, LABELLINGS)
memory = decode_clips(test_set.records, test_set.class_names, num_frames=8, image_size=32)
batch = next(evaluation_batches(memory, batch_size=96, num_frames=8))
print(f"{'right answers':<24} {'in order':>8} {'shuffled':>9}")
for name in ("timesformer", "frame_average"):
    trained = load_shipped(name)
    for labelling, wanted in batch["labels"].items():
        head = lambda clips, model=trained, key=labelling: model(clips)[key]  # noqa: E731
        with torch.no_grad():
            pair = mine("09.6")(head, batch["clip"], wanted, torch.Generator().manual_seed(0))
        print(f"{name + ', ' + labelling:<26} {float(pair[0]):>6.0%} {float(pair[1]):>9.0%}")

# %% [markdown]
# Appearance does not care. Motion falls by half, but not to one in eight: shuffled frames still show *which places* were
# visited, so the pair of classes can often be told. And the mean of frames gets the same share both times, not far from
# where the other falls to: it never had the order.
#
# The test speaks of **this model on these clips**. That it keeps its accuracy does not prove that the clips hold no motion.
# A model trained on shuffled frames is a stronger test, and dearer.

# %% [markdown]
# ## Try it: the dataset browser
#
# Pick a list, a class and a clip. Three things to find out:
#
# 1. Show the second row **backwards** and cover the first. Which class do you see?
# 2. **Shuffled**: which pairs of classes can you still tell apart?
# 3. In the lists val and test each clip has its own reversal in the list. Why is a split by source still honest there?

# %% tags=["panel"]
DatasetBrowser()

# %% [markdown]
# (3: clip and reversal are on the same side. On different sides they would leak like two clips of one video.)

# %% [markdown]
# ## The experiment
#
# From 143 bundled videos, each with another background, we cut four clips of six frames. The labels are the eight classes
# of motion. Two simple readers answer with the label of the **nearest** training clip:
#
# - **look** compares the mean picture. It cannot know any motion;
# - **change** compares the last picture minus the first, in grey and coarse. The background is gone; what moved is left.

# %% tags=["claim-part"]
chosen = read_annotations(lists / "motion_train.csv")[::9]
listed = match_annotations({"motion": chosen}, samples, LABELLINGS)
whole = decode_clips(listed.records, listed.class_names, num_frames=24, image_size=32)
cut = whole.frames.float().div(255).unflatten(1, (4, 6)).flatten(0, 1)  # (clips, 6 frames, H, W, C)
change = (cut[:, -1] - cut[:, 0]).mean(dim=-1)  # (clips, H, W), grey
readers = {"look": cut.mean(dim=1), "change": F.avg_pool2d(change, 4)}
distances = {name: torch.cdist(seen.flatten(1), seen.flatten(1)) for name, seen in readers.items()}
source = [path for path in whole.paths for _ in range(4)]
motion = whole.labels["motion"].repeat_interleave(4)  # (clips,)
print(f"{len(source)} clips of {len(set(source))} videos")

# %% [markdown]
# - **Under test:** a split that draws clips, and yours, which draws sources.
# - **Baseline:** chance, one in eight.
# - **Negative control:** the labels of the videos are drawn **by lot**. There is nothing to learn. Whatever is
#   scored above chance is leakage.

# %% tags=["claim-part"]
by_lot = torch.randint(8, (len(whole),), generator=torch.Generator().manual_seed(0)).repeat_interleave(4)


def draw_clips(sources: list[str], share: float, generator: torch.Generator) -> Tensor:
    """The careless split: a share of the clips, wherever they come from."""
    drawn = torch.randperm(len(sources), generator=generator)[: round(share * len(sources))]
    return torch.zeros(len(sources), dtype=torch.bool).index_fill(0, drawn, True)


def accuracy(reader: str, labels: Tensor, split) -> float:
    """Mean accuracy over five draws of a split."""
    right = []
    for seed in range(5):
        test = torch.as_tensor(split(source, 0.25, torch.Generator().manual_seed(seed)))
        nearest = distances[reader][test][:, ~test].argmin(dim=1)
        right.append((labels[~test][nearest] == labels[test]).float().mean())
    return float(torch.stack(right).mean())


# %% tags=["signature", "claim-part"]
splits = {"clips drawn": draw_clips, "sources drawn": mine("09.3")}
questions = {"look": ("look", motion), "look, labels by lot": ("look", by_lot), "change": ("change", motion)}
scores = {
    (asked, name): accuracy(reader, labels, split)
    for asked, (reader, labels) in questions.items()
    for name, split in splits.items()
}
print(f"{'':<22}" + "".join(f"{name:>15}" for name in splits))
for asked in questions:
    print(f"{asked:<22}" + "".join(f"{scores[asked, name]:>15.0%}" for name in splits))
print(f"{'chance':<22}{1 / 8:>15.0%}{1 / 8:>15.0%}")

# %% tags=["claim-holds"]
assert scores["look", "clips drawn"] > 0.7, "the careless split did not reward recognising the video"
assert scores["look, labels by lot", "clips drawn"] > 0.7, "labels by lot were not recognised with the video"
assert abs(scores["look", "sources drawn"] - 1 / 8) < 0.1, "split by source, the look of a clip still told its motion"
assert abs(scores["look, labels by lot", "sources drawn"] - 1 / 8) < 0.1, "labels by lot were predicted without a leak"
assert scores["change", "sources drawn"] > 0.3, "split by source, a reader of change was no better than chance"
assert scores["look", "clips drawn"] > scores["change", "clips drawn"], "the careless split picked the better reader"
assert scores["look", "sources drawn"] < scores["change", "sources drawn"], "the honest split picked the worse reader"
print("The claim holds: split by clip, recognising the video passes for knowing what happens in it.")

# %% [markdown]
# More than 80 % on labels that came out of a lottery. Nothing would have looked wrong: no error, and a good number. The
# honest split says that *look* knows nothing, and that *change* is the better reader. Who had chosen by the careless split
# would have thrown it away.
#
# A large network leaks more easily than these readers: it can recognise a video by less.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **Silent drops.** A loader that catches every error and takes the next clip never stops, even where a whole class is gone.
# A decoder that is missing a codec drops exactly the clips of one camera. Count what you skip, by class.

# %%
listed_labels = [row.label for row in read_annotations(lists / "motion_val.csv")]
unreadable = {place for place, label in enumerate(listed_labels) if label == "moving away"} | {3, 50, 77}
kept = Counter(label for place, label in enumerate(listed_labels) if place not in unreadable)
print(f"read {sum(kept.values())} of {len(listed_labels)} clips: {sum(kept.values()) / len(listed_labels):.0%}, it seems fine")
print("classes without a clip:", [label for label in LABELLINGS["motion"] if kept[label] == 0])

# %% [markdown]
# **Label order.** A model puts out numbers. Which number is which class is in the label map. Published Kinetics maps are
# alphabetical; others follow the order of a file or of folders. Here a model is always right, and its numbers are read with
# another map.

# %%
names = LABELLINGS["motion"]
truth = [names.index(label) for label in listed_labels]
read_as = [sorted(names).index(label) for label in listed_labels]
same = sum(a == b for a, b in zip(truth, read_as, strict=True)) / len(truth)
print(f"a model that is always right, read with the sorted map: {same:.1%}")

# %% [markdown]
# A quarter, because two of the eight classes happen to have the same number in both maps. And no error. If a published
# model scores next to nothing on your list, look at the map first. Keep the map with the checkpoint.
#
# **Decoders and fork.** A worker made by *fork* is a copy of your process, and shares what was open in it. An open file has
# **one position** for all copies. Here are two handles on one open file, as after a fork:

# %%
with tempfile.TemporaryFile() as file:
    file.write(b"frame 0 frame 1 frame 2 frame 3 ")
    file.flush()
    mother, worker = file.fileno(), os.dup(file.fileno())  # shares the position, as a forked worker would
    os.lseek(mother, 0, os.SEEK_SET)
    print("mother reads:", os.read(mother, 8).decode().strip())
    print("worker reads:", os.read(worker, 8).decode().strip(), "(it wanted frame 0)")
    os.close(worker)

# %% [markdown]
# Frames of the wrong place, and no error. Decoders hold threads and locks as well, which do not survive a fork: then a
# worker waits for ever. So **open the video in the process that reads it**, inside `__getitem__`, and close it there. The
# library does so, and keeps a decoder with threads in a process of its own. Starting workers by *spawn* avoids the
# question, and is slower.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("09")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Kinetics is mostly about appearance, Something-Something and Diving-48 about time, HowTo100M about long time.
# - Account for every row: taken, or refused with its line. Class numbers come from a label map.
# - Check the folder once. Missing clips widen what an accuracy can mean.
# - Draw sources, not clips. Balance training only.
# - Chance belongs to seed, epoch and clip, not to a worker. Open videos where they are read.
# - Shuffled frames show whether a model needs order.
#
# **Words:** *source* the video a clip was cut from; *leakage* knowledge of the test set in the training; *label map* class
# names in class order; *manifest* what a check found in a folder. All words and symbols of the course stand in [the table
# of names](../docs/naming.md).
#
# **Next:** lesson 10, *The comparison*.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Kay and others: *The Kinetics Human Action Video Dataset* (2017), arXiv 1705.06950
# - Carreira and others: *A Short Note about Kinetics-600* (2018), arXiv 1808.01340
# - Goyal and others: *The "something something" video database for learning and evaluating visual common sense* (2017), arXiv
#   1706.04261
# - Li, Li, Vasconcelos: *RESOUND: Towards Action Recognition without Representation Bias* (2018), ECCV, with Diving-48
# - Monfort and others: *Moments in Time Dataset: one million videos for event understanding* (2018), arXiv 1801.03150
# - Miech and others: *HowTo100M: Learning a Text-Video Embedding by Watching Hundred Million Narrated Video Clips* (2019), arXiv
#   1906.03327
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need for Video Understanding?* (2021), arXiv 2102.05095
