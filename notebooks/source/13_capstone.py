# %% [markdown]
# # 13 · Capstone
#
# You can build the models, train them, and read their numbers. What is left is to ask a question of your own, and to answer
# it so that others can believe you.
#
# In this lesson you carry one small experiment through, from a question to a checked report. Its subject is new: not
# *what* happens in a clip, but **when**.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **To say which event a frame is in, a small head that also sees the two frames before and the two after beats one of the
# same size that sees the frame alone: by 10 points of recall at least, in each of three seeds. With the event times of other
# clips for targets it does no better than chance.**
#
# The lesson runs this once, on clips that nobody had looked at when the claim was written down, and stops if it is
# false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - turn a question into a card: three arms, one change, a measure, a goal, all before the run;
# - make targets for every frame, and a head that answers for every frame;
# - tell trying out from judging, and keep clips for each;
# - run every arm with every seed and write each run down;
# - check a report against its records;
# - train `FrameVTN` to say when events happen, and measure it by events;
# - mark the reports of others, and your own.
#
# **Before this lesson:** 05 VTN, 08 Training, 09 Kinetics. **Time:** about 85 minutes.

# %% tags=["setup"]
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_13 import ExperimentBoard
from vtlearn.data.kinetics import match_annotations, read_annotations
from vtlearn.data.memory import decode_clips, evaluation_batches
from vtlearn.data.synthetic import LABELLINGS, bundled_samples
from vtlearn.models.vtn_frames import FrameVTN, FrameVTNConfig
from vtlearn.study.shipped import load_shipped
from vtlearn.viz.timeline import class_strips, words_of_class_strips
from vtlearn.viz.video import frame_rows, words_of_frame_rows

start_lesson("13")
samples = bundled_samples()

# %% [markdown]
# ## When does it happen?
#
# Four of the eight classes of motion are made of two **events**, one after the other: *hop*, *swell*, *sway*, *blink*. The
# samples come with a list, the manifest, that says in which frames each event happens.
#
# Clips have three uses in an experiment, and each use needs clips of its own:
#
# - **training** clips: heads learn from them;
# - **validation** clips: here you look, try out and choose, as often as you like;
# - **test** clips: here you judge. They are looked at **once**, at the end.
#
# So this picture is of a validation clip. Every third frame of it:

# %% tags=["picture", "claim-part"]
manifest = json.loads((samples / "manifest.json").read_text())
events_of = {row["path"]: row["events"] for row in manifest["clips"]}
classes = ["nothing", "hop", "swell", "sway", "blink"]


def clips_with_events(split: str, numbers: list[int]):
    """Some of a split's clips that are made of two events, by their numbers, decoded whole: 24 frames."""
    rows = read_annotations(samples / "annotations" / f"motion_{split}.csv")
    rows = [row for row in rows if row.label in LABELLINGS["motion"][4:]]
    found = match_annotations({"motion": [rows[number] for number in numbers]}, samples)
    memory = decode_clips(found.records, found.class_names, num_frames=24, image_size=32)
    return memory, [events_of["/".join(Path(path).parts[-3:])] for path in memory.paths]


# each subject performs four such motions, one clip after the other; take some subjects, all their clips
val_clips, val_events = clips_with_events("val", [n for n in range(96) if n // 4 % 3 == 0])
light = val_clips.frames[0].permute(0, 3, 1, 2).float() / 255  # (T, C, H, W)
picture = frame_rows({"the clip": light[::3]}, [f"frame {frame}" for frame in range(0, 24, 3)])
show(picture, words_of_frame_rows(picture))
for event in val_events[0]:
    print(f"{event['name']}: frames {event['start_frame']} to {event['end_frame']}")

# %% [markdown]
# Saying when something happens is **temporal localisation**. The simplest way: an answer for **every frame**. Instead of one
# row of logits a clip, `(B, K)`, the head gives one a frame, `(B, T, K)`. Neighbouring frames of one class are then joined
# into an event.

# %% [markdown]
# ## A head for every frame
#
# VTN has what it takes. Its temporal encoder holds a token for every frame, and the class token only gathers them.
# `FrameVTN` is VTN with another end: it puts each frame's token through the head. (A reconstruction: VTN's paper classifies
# whole videos.) Here with a head that has learnt nothing yet:

# %%
frame_vtn = FrameVTN(FrameVTNConfig.of(load_shipped("vtn").trunk.config, num_classes=len(classes))).eval()
with torch.no_grad():
    print("logits:", tuple(frame_vtn(torch.zeros(2, 8, 3, 32, 32)).shape), "(clips, frames, classes)")

# %% [markdown]
# And back, from classes of frames to events: a run of one class is an event. With targets for a clip of 13 frames:


# %% tags=["claim-part"]
def events_in(strip: Tensor) -> list[tuple[int, int, int]]:  # (T,) class numbers
    """Class, first frame and last frame of each event."""
    kinds, lengths = torch.unique_consecutive(strip, return_counts=True)
    ends = lengths.cumsum(0)
    runs = zip(kinds.tolist(), (ends - lengths).tolist(), (ends - 1).tolist(), strict=True)
    return [run for run in runs if run[0] > 0]


# %%
for kind, first, last in events_in(torch.tensor([0, 0, 1, 1, 1, 1, 0, 0, 2, 2, 2, 0, 0])):
    print(f"{classes[kind]}: frames {first} to {last}")

# %% [markdown]
# At the end of this lesson you will train it. Most of its time would go into the backbone, which looks at every pixel. So
# we keep the **backbone** of the shipped VTN as it is (it was trained on the motions of all training clips), compute its
# features of each frame once, and train only what stands behind it.
#
# The first question is smaller, and needs less: heads of two layers on those features.

# %% tags=["claim-part"]
train_clips, train_events = clips_with_events("train", [n for n in range(640) if n // 4 % 8 == 0])
trunk = load_shipped("vtn").trunk


@torch.no_grad()
def backbone_features(clips) -> Tensor:  # (B, T, D)
    """What the backbone makes of each frame."""
    batch = next(evaluation_batches(clips, batch_size=len(clips), num_frames=24))
    return trunk.frame_features(batch["clip"])


plain = {"train": backbone_features(train_clips), "val": backbone_features(val_clips)}
centre, width = plain["train"].mean((0, 1)), plain["train"].std((0, 1))
features = {name: (each - centre) / width for name, each in plain.items()}
print({name: tuple(each.shape) for name, each in features.items()})

# %% [markdown]
# (Mean and deviation are those of the training clips, for all: other clips have no say.)
#
# ## Step 1: the question, on a card
#
# A question for an experiment can be answered by **no** as well. *"Is time important?"* cannot. This one can:
#
# > Does a head name a frame's event better when it also sees the frames around it?
#
# Before anything is judged, write a **card**. It says what is compared with what, what is measured, and what result would
# prove you wrong. This is called **pre-registration**. Afterwards the card is not changed; a new idea gets a new card.
#
# Three **arms**, that is, ways of running:
#
# - **test**, the arm under test: the head sees a frame and its neighbours;
# - **baseline**: everything alike, but for the one thing you ask about;
# - **control**: the cause taken away, and nothing else. Here each training clip gets the event times of **another clip**.
#   What such a head scores, it does not score by having learnt when things happen.

# %% tags=["exercise"]
# 13.1

# %%
card = mine("13.1")
for arm in ("baseline", "control"):
    changed = [key for key in card["test"] if card["test"][key] != card[arm][key]]
    print(f"{arm} differs from test in: {', '.join(changed)}")
print("seeds:", len(set(card["seeds"])), "different ones")

# %% [markdown]
# The *test* arm and the *test* clips share a word and nothing else: all three arms are judged on the test clips.
#
# Why **mean recall**? For each class take the share of its frames that are named right (its *recall*), then average over the
# classes.
#
# $$\text{mean recall} = \frac{1}{K} \sum_{k=1}^{K} \frac{\#\{\text{frames of class } k \text{ named } k\}}{\#\{\text{frames of
# class } k\}}$$
#
# A head that always says *nothing* has recalls 1, 0, 0, 0, 0. Its mean recall is a fifth, which is chance, though it is right
# on four frames in ten.
#
# ## Step 2: what is right for a frame?
#
# The manifest lists events with their first and last frame. A clip may show only some frames of its video; `frame_index`
# says which.

# %% tags=["exercise"]
# 13.2

# %% tags=["claim-part"]
every_frame = torch.arange(24)
targets = {
    name: torch.stack([mine("13.2")(events, every_frame, classes) for events in listed])  # (B, T)
    for name, listed in (("train", train_events), ("val", val_events))
}
print("one clip:", "".join(".HSWB"[number] for number in targets["val"][0].tolist()))
share = (targets["val"] == 0).float().mean()
print(f"{share:.0%} of the validation frames show nothing")

# %% [markdown]
# ## Step 3: the one thing that changes
#
# A frame at the top of a hop looks like a frame of a disc that simply lies higher. The neighbours may tell. So let the head
# see `2 reach + 1` frames at once.

# %% tags=["exercise"]
# 13.3

# %% [markdown]
# The baseline must differ in **what is seen**, not in size. So it sees its own frame `2 reach + 1` times over: as many
# inputs, as many weights, no neighbour.

# %% tags=["claim-part"]
REACH = 2


def seen(frames: Tensor, sees: str) -> Tensor:
    """What the head of each frame gets: (B, T, D) -> (B, T, 5 D)."""
    if sees == "neighbours":
        return mine("13.3")(frames, REACH)
    return frames.repeat(1, 1, 2 * REACH + 1)


print({sees: tuple(seen(features["val"], sees).shape) for sees in ("neighbours", "frame alone")})

# %% [markdown]
# ## Step 4: run
#
# One run, short enough to read: make the head, train it, measure it. The seed decides the start, the batches, and, in the
# control, whose times a clip gets.


# %% tags=["claim-part"]
def make_head(num_inputs: int, hidden: int) -> nn.Module:
    """A perceptron for each frame; without hidden units a linear map."""
    if hidden == 0:
        return nn.Linear(num_inputs, len(classes))
    return nn.Sequential(nn.Linear(num_inputs, hidden), nn.GELU(), nn.Linear(hidden, len(classes)))


def mean_recall(said: Tensor, wanted: Tensor) -> float:
    """Recall of each class, averaged: every class counts alike."""
    recalls = [(said[wanted == k] == k).float().mean() for k in range(len(classes))]
    return float(torch.stack(recalls).mean())


def level(share: float) -> str:
    """A share in words that do not change from machine to machine."""
    return next((f"over {bar} %" for bar in (55, 35) if share > bar / 100), "35 % or less")


def trained_head(settings: dict, seed: int) -> nn.Module:
    """One head, trained on the features of the training clips."""
    torch.manual_seed(seed)
    clips, wanted = seen(features["train"], settings["sees"]), targets["train"]
    if settings["times"] == "another clip's":
        wanted = wanted[torch.randperm(len(wanted))]
    head = make_head(clips.shape[2], settings["hidden"])
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings["rate"])
    rarity = 1 / torch.bincount(wanted.flatten()).float()
    for _ in range(settings["steps"]):
        drawn = torch.randint(len(clips), (16,))
        logits = head(clips[drawn])  # (16, T, K)
        loss = F.cross_entropy(logits.flatten(0, 1), wanted[drawn].flatten(), weight=rarity)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    return head


# %% [markdown]
# `rarity` weighs the classes so that each counts alike in the loss, as it does in the measure. Now the whole card. Nothing is
# run that is not written down, and nothing that was run is left out.


# %% tags=["exercise"]
# 13.4


# %% tags=["claim-part"]
def score_on(split: str, settings: dict, seed: int) -> float:
    """Train one head, and its mean recall on the clips of a split."""
    head = trained_head(settings, seed)
    with torch.no_grad():
        logits = head(seen(features[split], settings["sees"]))
    return mean_recall(logits.argmax(dim=2), targets[split])


arms = ("baseline", "test", "control")
sizes = {"hidden": 32, "rate": 0.003, "steps": 150}
plan = {arm: {**mine("13.1")[arm], **sizes} for arm in arms}

# %% [markdown]
# What each arm sees and learns from is on your card. Sizes are set here, so that the numbers are the same for everybody.
#
# ## The rehearsal
#
# Does the machine run? Is 150 a sensible number of steps? Try it **on the validation clips**, with one seed. Change what you
# like here, as often as you like: nothing is proven by it.

# %%
for arm in arms:
    print(f"{arm:<9} {level(score_on('val', plan[arm], seed=0))}")
print(f"chance    {1 / len(classes):.0%}")


# %% [markdown]
# ## The experiment
#
# Now the lesson's own card, as its authors filed it. It was written down, and stored under the project's version control,
# **before** anything was computed on the clips that it names.
#
# Which clips are those? The list has 160 test clips with events. The first 96 had been looked at while the lesson was
# made, and so were the seeds 0 to 2. What has been looked at cannot judge. Hence the **last 64** and the seeds **13 to 15**.
# The list runs by shape, so these 64 show two of the four shapes, the plus and the bars: the verdict is about those.

# %% tags=["claim-part"]
plan |= {"seeds": [13, 14, 15], "least_gain": 0.1}
judged_on, judged_clips = "test", range(96, 160)
filed = {
    "hypothesis": "a head that sees two frames before and two after names a frame's event better than one that sees it alone",
    "measure": "mean recall over the five classes",
    "judged on": f"{judged_on} clips {judged_clips[0]} to {judged_clips[-1]} of those with events, read once",
    "seeds": plan["seeds"],
    "supported if": "in EVERY seed the test arm gains 0.10 or more over the baseline",
    "void if": "in ANY seed the control reaches 0.35, or the baseline stays below 0.25",
    "otherwise": "not supported; no second run",
}
for entry, says in filed.items():
    print(f"{entry:<13} {says}")

# %% [markdown]
# *Void* means: then something else is wrong, and the result says nothing. A control above chance would show that the score can
# come from elsewhere. A baseline that learnt nothing would be easy to beat.
#
# Nine runs: the arm under test, its **baseline**, its **negative control**, three seeds each. The test clips are decoded here, and
# not before.

# %% tags=["signature", "claim-part"]
test_clips, test_events = clips_with_events(judged_on, judged_clips)
features["test"] = (backbone_features(test_clips) - centre) / width
targets["test"] = torch.stack([mine("13.2")(events, every_frame, classes) for events in test_events])
records = mine("13.4")(plan, lambda settings, seed: score_on("test", settings, seed))
scores = {(record["arm"], record["seed"]): record["score"] for record in records}
print(f"{len(records)} runs; mean recall, chance is {1 / len(classes):.0%}")
for arm in arms:
    each = [scores[arm, seed] for seed in plan["seeds"]]
    print(f"{arm:<9} {level(sum(each) / len(each)):<12} seeds less than 12 points apart: {max(each) - min(each) < 0.12}")
gains = [scores["test", seed] - scores["baseline", seed] for seed in plan["seeds"]]
print("gain in every seed as asked:", min(gains) >= plan["least_gain"])

# %% tags=["claim-holds"]
assert len({(record["arm"], record["seed"]) for record in records}) == 9, (
    "not every arm was run with every seed"
)
assert min(gains) >= 0.1, "the neighbours did not gain ten points in every seed"
assert all(scores["control", seed] < 0.35 for seed in plan["seeds"]), "the control did better than chance"
assert all(scores["baseline", seed] > 0.25 for seed in plan["seeds"]), "the baseline learnt nothing"
print(
    "The claim holds: the frames around tell when an event happens, in every seed, and false times teach nothing."
)

# %% [markdown]
# **Supported.** The gains were 0.18, 0.16 and 0.17; on the average of three seeds the arm under test had 0.58, the baseline
# 0.41, the control 0.19. In the rehearsals on validation clips the gains had been larger, 0.22 to 0.28. That is the rule
# rather than the exception: what you have tried things out on flatters you. It is why the last clips are kept back.
#
# The baseline is above chance: a single frame does show something, such as a disc that is half transparent. The frames
# around add the rest. And the control shows that the score comes from the **times**: false ones leave nothing.
#
# (Whenever you run this notebook, the same runs are made again. That repeats the experiment's arithmetic; it is not a second
# experiment.)
#
# What this does *not* show: that two frames before and after are the best number, that attention would do better or worse,
# or that it is so on real videos. Each of these is another card.

# %% [markdown]
# ## Step 5: the report
#
# A report is short: the question, the card, every run, the verdict by the rule that was written down, and what is still
# open. Each number in it has a **provenance**: records, from which anybody can compute it again.

# %% tags=["exercise"]
# 13.5

# %%
means = {arm: round(sum(scores[arm, seed] for seed in plan["seeds"]) / len(plan["seeds"]), 3) for arm in arms}
verdict = "supported" if min(gains) >= plan["least_gain"] else "not supported"
report = {**means, "seeds": list(plan["seeds"]), "verdict": verdict}
polished = {
    **report,
    "test": round(max(scores["test", seed] for seed in plan["seeds"]) + 0.002, 3),
    "seeds": [0],
}
for name, told in (("as it was", report), ("polished", polished)):
    print(f"{name:<10} does not follow: {sorted(mine('13.5')(told, plan, records)) or 'nothing'}")

# %% [markdown]
# The second tells of the best seed only. Its number was truly measured, or nearly. It is no answer to the question on the
# card.
#
# Real records hold more: versions, hardware, the commit, checksums of the data. The library's `vtlearn compare` writes them
# beside every table (lesson 08 says what a run must keep).

# %% [markdown]
# ## Step 6: the rubric
#
# | row | a report fails it if |
# |---|---|
# | **two changes** | its arms differ in more than what it asks about |
# | **best seed** | it tells of some of its runs only |
# | **no control** | nothing shows what its method scores where there is nothing to learn |
# | **moved goal** | it is judged by another measure or goal than its card's |
# | **wrong split** | its number is from clips on which something was chosen or learnt |
#
# Five reports. Each fails one row, and is sound in the others.
#
# - **A.** *Our head with a window of nine frames, trained for 300 steps, beats the head of one frame, trained for 100, by 11
#   points in each of three seeds. With shuffled times both are at chance.*
# - **B.** *Windows help: seed 4 gained 9 points over the baseline with the same seed, and shuffled times are at chance. (The
#   card lists seeds 0 to 4.)*
# - **C.** *A head on all frames names the event in 71 % of frames, the head of one frame in 64 %, in each of five seeds at least
#   6 points less, as asked for. Only the window differs.*
# - **D.** *The card asked for 5 points of mean recall. We gained 1, 2 and 1; but 6, 7 and 6 points in the share of frames, so the
#   hypothesis holds. The control is at chance.*
# - **E.** *Of windows from 1 to 15 we chose 7, which is best on the test clips. There it gains 8, 9 and 8 points, more than the 5 of
#   the card; the control is at chance.*

# %% tags=["exercise"]
# 13.6

# %%
print("rows of the rubric that some report fails:", len(set(mine("13.6").values())))

# %% [markdown]
# ## Localisation with all of VTN
#
# Two frames on each side are little, and what comes after says what came before. In `FrameVTN` each frame attends to those near it and, through the class token, to the whole clip. Train it: the temporal
# encoder begins with the weights of the shipped VTN, the head is new, the backbone stays as it is.
#
# For this there is **no card**. So it is *exploration*, and stays on the validation clips. Whatever it shows is a reason to
# write a card, and no more. It has its baseline and its control all the same:
#
# - **each frame alone**: the same network, but each frame comes as a video of its own, `(B·T, 1, D)`. It still knows where in
#   the video it stands, and hears no other frame;
# - **another clip's times**, as before.


# %%
def frame_logits(model: FrameVTN, vectors: Tensor, alone: bool) -> Tensor:  # (B, T, D) -> (B, T, K)
    """Logits for every frame, from the whole clip or from each frame by itself."""
    if not alone:
        return model.classify_features(vectors)
    index = every_frame.repeat(len(vectors))[:, None]  # (B T, 1): where each one stands
    return model.classify_features(vectors.flatten(0, 1)[:, None], index).reshape(*vectors.shape[:2], -1)


def train_frame_vtn(wanted: Tensor, alone: bool) -> FrameVTN:
    """60 steps of 16 clips."""
    model = FrameVTN(FrameVTNConfig.of(trunk.config, num_classes=len(classes), tune_backbone=False))
    model.load_state_dict(trunk.state_dict(), strict=False)  # all but the head
    rarity = 1 / torch.bincount(wanted.flatten()).float()
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, 60, pct_start=0.1)
    for _ in range(60):
        drawn = torch.randint(len(wanted), (16,))
        logits = frame_logits(model, plain["train"][drawn], alone)
        loss = F.cross_entropy(logits.flatten(0, 1), wanted[drawn].flatten(), weight=rarity)
        optimizer.zero_grad(), loss.backward(), nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step(), schedule.step()
    return model


# %% [markdown]
# How good is a localisation? By **events**, not by frames: nobody wants a hop in five pieces. The usual measure is how far
# the told event and the true one overlap, their **intersection over union**:
#
# $$\text{IoU} = \frac{\#\{\text{frames in both}\}}{\#\{\text{frames in either}\}}.$$
#
# A true event counts as *found* if some told event of its class has an IoU of at least one half. And a told event is
# *true* if it finds one. The first alone would praise whoever tells of events everywhere.


# %%
def iou(one: tuple, other: tuple) -> float:
    """Intersection over union of two events; 0 if their classes differ."""
    both = min(one[2], other[2]) - max(one[1], other[1]) + 1
    either = max(one[2], other[2]) - min(one[1], other[1]) + 1  # where they meet; else `both` is below 1
    return max(0, both) / either if one[0] == other[0] else 0.0


def found_and_true(said: Tensor, wanted: Tensor) -> tuple[float, float]:  # (B, T) each
    """The share of true events that were found, and the share of told events that are true."""
    found = told = events = 0
    for heard, real in zip(map(events_in, said), map(events_in, wanted), strict=True):
        found += sum(max((iou(event, other) for other in heard), default=0) >= 0.5 for event in real)
        told, events = told + len(heard), events + len(real)
    return found / events, found / max(1, told)


torch.manual_seed(0)
others = targets["train"][torch.randperm(len(targets["train"]))]
ways = {
    "FrameVTN": (targets["train"], False),
    "each frame alone": (targets["train"], True),
    "another's times": (others, False),
}
said = {}
print(f"{'':<17} {'mean recall':<13} {'events found':<13} told and true")
for name, (wanted, alone) in ways.items():
    model = train_frame_vtn(wanted, alone)
    with torch.no_grad():
        said[name] = frame_logits(model, plain["val"], alone).argmax(dim=2)
    numbers = (mean_recall(said[name], targets["val"]), *found_and_true(said[name], targets["val"]))
    print(f"{name:<17} {level(numbers[0]):<13} {level(numbers[1]):<13} {level(numbers[2])}")

# %%
strips = class_strips(
    {
        f"clip {number}": {"true": targets["val"][number].tolist()}
        | {name: said[name][number].tolist() for name in ("FrameVTN", "each frame alone")}
        for number in (24, 11)
    },
    classes,
    letters=".HSWB",
)
show(strips, words_of_class_strips(strips))

# %% [markdown]
# When these outputs were made, `FrameVTN` had a mean recall of 0.75. It found 75 % of the events, and 76 % of what it told
# was true. Frames alone came to 0.46, found 41 %, and of what they told 19 % was true: they tell of many short events that are
# none. With another clip's times it was 0.22, 8 % and 5 %.
#
# The picture shows what is still wrong. The events are the right ones, in the right order, and too long: `rarity` makes it
# cheap to call *nothing* an event. And 80 clips are few. Both could be cured; each cure is a question for a card.
#
# ## Your own capstone
#
# Take a question from below or another, and put it on a card:
#
# - Does the head gain from a backbone that was trained on motion, against one of single images (`image_start`)?
# - Half of the training clips: how much of the gain is left?
# - Does `FrameVTN` find more events than the head that sees five frames? By how much, on which clips, with which seeds?
#
# The test clips of this lesson have been read. For your question draw new ones (`vtlearn samples make` with another seed), or
# use clips of your own. Mark the report by the rubric before you show it, and let somebody else mark it after.

# %% [markdown]
# ## Try it: the experiment board
#
# Made-up experiments, as many as you like. Three things to find out:
#
# 1. True gain 0, spread 6: how often does **one** seed support the hypothesis? How often do three?
# 2. True gain 8: which spread makes the rule miss it half of the time?
# 3. Change **two things**, with a true gain of 0 and a spread of 1. Do more seeds show the mistake?

# %% tags=["panel"]
ExperimentBoard()

# %% [markdown]
# (3: no. Seeds measure chance. A second cause is no chance: it is there in every run.)

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **Changing two things at once.** Suppose your first head was linear and saw one frame. You give it hidden units *and*
# neighbours, and gain a lot. Which of the two was it? Here are all four heads.

# %%
first = {**plan["test"], "sees": "frame alone", "hidden": 0}
changes = {
    "hidden units": {"hidden": 32},
    "neighbours": {"sees": "neighbours"},
    "both": {"hidden": 32, "sees": "neighbours"},
}
start = score_on("val", first, seed=0)
for name, change in changes.items():
    gained = score_on("val", {**first, **change}, seed=0) - start
    print(f"{name:<13} gain 12 points or more: {gained >= 0.12}")

# %% [markdown]
# Neither alone! Five frames show a hop as a difference that is large, up **or** down; a linear head can only add and subtract,
# and has no "or". Hidden units have it, but with one frame there is no difference to see. The two make the gain **together**.
# Who changes both at once praises whichever they had in mind. Hence one change a card, or all four cells. (One seed, on
# validation clips: a rehearsal, not a proof.)
#
# **A goal found afterwards.** Try ten measures, and one will look good. The card names one.
#
# **Peeking.** Run, look at the test score, change the rate, run again: after ten rounds the test clips have been learnt
# from, by you. Choose on the validation clips; read the test clips once.
#
# **A control that is no control.** Shuffling the *frames* here would take away more than the times. Take away the cause and
# nothing else.
#
# **Seeds that are not paired.** Compare arm with arm at the **same** seed, so that start and batches do not add to the difference.

# %% [markdown]
# ## Captioning and question answering
#
# The same tokens can feed heads that speak. For **captioning**, a decoder writes a sentence word by word; in each step it
# attends to the words so far (causally) and to the video's tokens (cross attention: queries from the words, keys and values
# from the video). It is trained with cross entropy on the next word. For **question answering** the question's words are
# encoded too, and attend to the video's tokens; where answers come from a fixed list, the head is a classifier as in this
# course. Both need pairs of video and text, such as HowTo100M's narrations. And both need the controls of this lesson: a
# model that answers well **without seeing the video** has learnt the habits of questions, so always run it on a black clip.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("13")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A question that can be answered by no; a card before the run.
# - Baseline: one thing less. Control: the cause taken away, nothing else. Seeds: three at least, the same for all arms.
# - Localisation: a target and an answer for every frame; runs of one class are events.
# - Every run is written down; every number in a report follows from records.
# - Two changes at once can make a gain that neither makes alone.
#
# **Words:** *pre-registration* the card before the run; *arm* one way of running; *provenance* where a number comes from. All
# words and symbols of the course stand in [the table of names](../docs/naming.md).
#
# **Next:** your own question.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Neimark, Bar, Zohar, Asselmann: *Video Transformer Network* (2021), arXiv 2102.00719
# - Bouthillier and others: *Accounting for Variance in Machine Learning Benchmarks* (2021), arXiv 2103.03098
# - Pineau and others: *Improving Reproducibility in Machine Learning Research* (2020), arXiv 2003.12206
# - Vaswani and others: *Attention Is All You Need* (2017), arXiv 1706.03762, for the decoder with cross attention
