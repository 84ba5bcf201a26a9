# %% [markdown]
# # 01 · Video as tensors
#
# A video file is not a tensor. Somebody has to decide **which** frames a model sees, in **which layout**, and
# with **which numbers**. None of these decisions raises an error when it is wrong. This lesson makes each of
# them in the open, and ends with a measurement: what is left of a clip when its frames are shuffled?

# %% [markdown] tags=["claim"]
# ## The claim
#
# **Shuffle the frames of a clip: what it shows can still be read, what happens in it cannot.**
#
# The lesson reads shape and motion of 160 clips with a simple least-squares fit, in order and shuffled, and
# stops if the claim is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - open a video file and say what is in it: frames, rate, seconds, pixels;
# - choose frames uniformly or with a stride, also where the video is too short;
# - say how many seconds "8 × 32" is, and what a *view* is;
# - bring bytes into the layout and the range that a model wants;
# - measure whether a clip's frames are in order;
# - load a folder in which some files are broken.
#
# **Before this lesson:** 00 Start here. **Time:** about 90 minutes.

# %% tags=["setup"]
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_01 import FrameSampler
from vtlearn.data.decode import decode_all, open_video
from vtlearn.data.synthetic import LABELLINGS, SampleSet, bundled_samples
from vtlearn.errors import ArgumentError, DataError
from vtlearn.viz.video import frame_choices, frame_rows, words_of_frame_choices, words_of_frame_rows

start_lesson("01")
samples = SampleSet.load(bundled_samples())

# %% [markdown]
# ## What is in a file?
#
# An MP4 file holds a **stream** of compressed pictures. Opening it tells four numbers: how many frames, how
# many of them a second (**fps**), how many rows and columns of pixels.
#
# Decoding turns the stream into bytes: a tensor of shape `(T, H, W, C)` with `T` frames, `H` rows, `W`
# columns and `C = 3` colours, red first. Each number lies from 0 to 255.

# %%
row = next(row for row in samples.split("test") if row["motion"] == "sliding right")
with open_video(samples.root / row["path"]) as video:
    rows, columns = video.size
    print(
        f"{video.num_frames} frames of {rows} × {columns} pixels; {video.fps:g} a second; {video.duration:g} s"
    )
frames = decode_all(samples.root / row["path"])
print("decoded:", tuple(frames.shape), frames.dtype)
compressed, decoded = (samples.root / row["path"]).stat().st_size, frames.numel()
print(f"{compressed:,} bytes in the file, {decoded:,} decoded: {decoded / compressed:.0f} times as many")

# %% [markdown]
# Why so few bytes in the file? Neighbouring frames look alike, so the encoder stores a whole picture now and
# then (a **keyframe**) and only changes in between. This is also why jumping into the middle of a file is not
# simple; more about that at the end.
#
# Here is every third of the 24 frames.

# %% tags=["picture"]
comic = rearrange(frames[::3], "t h w c -> t c h w") / 255
show(
    figure := frame_rows({str(row["motion"]): comic}, [f"{k / 12:.2f} s" for k in range(0, 24, 3)]),
    words_of_frame_rows(figure),
)

# %% [markdown]
# ### Why not simply all frames?
#
# Ten seconds at 30 frames a second are 300 frames. As floats (4 bytes each), with three colours and 224 × 224
# pixels:

# %%
for num_frames in (1, 8, 32, 300):
    tokens, numbers = num_frames * (224 // 16) ** 2, num_frames * 3 * 224 * 224
    print(f"{num_frames:>3} frames: {4 * numbers / 2**20:>6.1f} MiB, {tokens:>6,} patches of 16 × 16")

# %% [markdown]
# Attention compares every patch with every other. So a model takes a fixed, small number of frames: a
# **clip**. Which ones? There are two schools.

# %% [markdown]
# ## Uniform sampling: a little of everything
#
# Cut the video, of $n$ frames, into $k$ equal parts, and take what is on show in the middle of each. Frame
# $j$ is on show from $j$ to $j+1$, so the parts need not be whole numbers long:
#
# $$\text{part } i \text{ reaches from } \frac{i\,n}{k} \text{ to } \frac{(i+1)\,n}{k}, \qquad i = 0, \dots, k-1.$$
#
# The clip has $k$ places whatever $n$ is. Played backwards, the video gives the same frames backwards.

# %% tags=["exercise"]
# 01.1

# %%
spread = [int(frame) for frame in mine("01.1")(24, 8)]
print("24 frames, 8 places:", spread)
print("the reversed video gives the same frames:", spread == [23 - frame for frame in reversed(spread)])
print(" 5 frames, 8 places:", [int(frame) for frame in mine("01.1")(5, 8)])

# %% [markdown]
# ## Strided sampling: a stretch at a steady pace
#
# The other school keeps the pace: begin at `start`, take every $s$-th frame. $s$ is the **stride**, and a
# clip is written "$k \times s$": TimeSformer's usual clip is 8 × 32, that is 8 frames, 32 apart.
#
# $$\text{place } i \text{ shows frame } \text{start} + i \cdot s, \qquad i = 0, \dots, k-1.$$
#
# What if the video ends first? Then the last frame is held, as a player does when the film is over.

# %% tags=["exercise"]
# 01.2

# %%
length = 300  # ten seconds at 30 frames a second
choices = {
    "uniform, 8 frames": [int(frame) for frame in mine("01.1")(length, 8)],
    "strided, 8 × 32 from frame 20": [int(frame) for frame in mine("01.2")(length, 8, 32, 20)],
    "strided, 8 × 4 from frame 280": [int(frame) for frame in mine("01.2")(length, 8, 4, 280)],
}
show(figure := frame_choices(choices, length, 30), words_of_frame_choices(figure))

# %% [markdown]
# Read the picture from below: each square is a place in the clip, its line leads to the frame that it shows.
# The clip at the bottom reaches past the end; the orange square is the frame that is shown more than once.

# %% [markdown]
# ## How much time does a clip see?
#
# A frame of a strided clip stands for itself and the $s-1$ frames after it. So a clip stands for $k \cdot s$
# frames. What is that in seconds? It depends on the video: at 25 frames a second the same clip sees more
# seconds than at 30.

# %% tags=["exercise"]
# 01.3

# %%
print("clip      at 30 fps  at 25 fps   of ten seconds at 30 fps")
for num_frames, stride in ((8, 32), (96, 4), (16, 8), (32, 2)):
    at_30, at_25 = (float(mine("01.3")(num_frames, stride, fps)) for fps in (30.0, 25.0))
    print(f"{num_frames:>2} × {stride:<2} {at_30:>10.2f} s {at_25:>8.2f} s {min(1, at_30 / 10):>12.0%}")

# %% [markdown]
# 8 × 32 is TimeSformer's usual clip and 96 × 4 that of its long variant; 16 × 8 is what VTN trains on; 32 × 2
# is the clip of ViViT. "32 frames" sounds like more than "8 frames", and sees a quarter of the time.
#
# A clip that sees a fifth of the video may miss what matters. At test time one therefore takes several clips,
# spread over the video, and averages the answers. Each such clip, with its crop of the picture, is called a
# **view**. Three views cost three times as much: ask for the number of views whenever you read an accuracy.
#
# Now move the numbers yourself. Try this:
#
# 1. Bring the stride up until the clip reaches past the end. How does the picture show it?
# 2. Switch to the clip of 24 frames. Which sampler still gives 8 different frames?
# 3. Choose *segment* and move the last slider. What stays the same?

# %% tags=["panel"]
FrameSampler()

# %% [markdown]
# ## Layout: who stands where
#
# The decoder gives `(T, H, W, C)` bytes. A batch of `B` clips has one axis more: `(B, T, H, W, C)`. Our
# models want `(B, T, C, H, W)` floats. Two different things happen on the way:
#
# - **axes move**: the channels go before rows and columns;
# - **numbers change**: bytes become 0 … 1, then each channel $c$ is shifted and scaled by a mean and a
#   deviation that were measured once, on the training set:
#
# $$x_{b,t,c,h,w} = \frac{p_{b,t,h,w,c}/255 - \text{mean}_c}{\text{std}_c}.$$
#
# Always use the mean and deviation that a model was trained with: they are part of the model.

# %% tags=["exercise"]
# 01.4

# %%
mean, std = torch.tensor([0.45, 0.45, 0.45]), torch.tensor([0.225, 0.225, 0.225])  # usual for Kinetics
batch = frames[spread][None]
clips = mine("01.4")(batch, mean, std).float()
print("from", tuple(batch.shape), batch.dtype, "to", tuple(clips.shape))
print(f"black becomes {(0 - 0.45) / 0.225:.2f}, white {(1 - 0.45) / 0.225:.2f}")
print(f"the numbers of this clip: {clips.min():.1f} to {clips.max():.1f}")

# %% [markdown]
# What does a wrong layout look like? Undo the normalising and draw. Below the right clip stands one whose
# channels are in reverse order, as OpenCV delivers them, and one that was reshaped where it should have been
# permuted. All three have the same shape. No library complains.

# %%
right = clips[0] * std.view(3, 1, 1) + mean.view(3, 1, 1)
rows = {
    "right": right,
    "BGR": right.flip(1),
    "reshaped": batch[0].reshape(8, 3, 64, 64) / 255,
}
show(figure := frame_rows(rows, [f"frame {k}" for k in spread]), words_of_frame_rows(figure))

# %% [markdown]
# ## Order: what a shuffle destroys
#
# In a film, neighbouring frames look alike. In a shuffled film, neighbours are just any two frames. So
# compare two means. With $d(s, t)$ for the mean absolute difference between frames $s$ and $t$ over all
# pixels:
#
# $$\text{score} = \frac{\text{mean of } d(t, t+1) \text{ over } T-1 \text{ neighbours}}
# {\text{mean of } d(s, t) \text{ over } T(T-1)/2 \text{ pairs } s < t}.$$
#
# Averaged over all orders of the same frames the score is exactly 1: in a random order each pair is as likely
# to be neighbours as any other. A film in order lies below.

# %% tags=["exercise"]
# 01.5

# %%
moving = frames[spread]
order = torch.randperm(8, generator=torch.Generator().manual_seed(2))
kinds = {"in order": moving, "reversed": moving.flip(0), "shuffled": moving[order]}
kinds["still"] = moving[:1].repeat(8, 1, 1, 1)
for name, one in kinds.items():
    print(f"{name:<9} score {float(mine('01.5')(one)):.2f}")
shown = {name: rearrange(one, "t h w c -> t c h w") / 255 for name, one in kinds.items() if name != "still"}
show(figure := frame_rows(shown), words_of_frame_rows(figure))

# %% [markdown]
# The score sees the shuffle, and is blind to reversal: neighbours stay neighbours. A still clip gives 1,
# since there is nothing to tell its order by. So there are steps on a ladder:
#
# | what is looked at | shuffled? | reversed? |
# |---|---|---|
# | a bag of single frames | cannot tell | cannot tell |
# | neighbouring frames | can tell | cannot tell |
# | the whole row, in order | can tell | can tell |

# %% [markdown]
# How good is the detector? Take 64 clips, call a clip shuffled when its score is above 0.75, and count. Do it
# once with all 24 frames of each clip, and once with 8 of them. (Squares of 4 × 4 pixels are averaged first;
# that is quicker.)

# %%
some = [row for place, row in enumerate(samples.split("test")) if place // 8 % 5 == 0]
videos = torch.stack([decode_all(samples.root / row["path"]) for row in some])
videos = reduce(videos.float(), "n t (h y) (w x) c -> n t h w c", "mean", y=4, x=4)
generator = torch.Generator().manual_seed(0)
for taken in (24, 8):
    chosen = videos[:, [int(frame) for frame in mine("01.1")(24, taken)]]
    mixed = torch.stack([clip[torch.randperm(taken, generator=generator)] for clip in chosen])
    for name, several in (("in order", chosen), ("reversed", chosen.flip(1)), ("shuffled", mixed)):
        called = sum(float(mine("01.5")(clip)) > 0.75 for clip in several)
        print(f"{taken:>2} frames, {name:<9} {called:>2} of {len(several)} called shuffled")

# %% [markdown]
# With all frames hardly a mistake is made. With every third one, half of the clips in order are taken for
# shuffled ones: when the shape hops, three frames are long enough for it to be somewhere else. So a larger
# stride sees more of the video and less of its motion. That trade stands behind every "8 × 32" and "32 × 2".

# %% [markdown]
# ## Files: some are always broken
#
# Downloaded data sets have files that are cut off, empty, or no video at all. There are three bad ways to
# deal with them: to crash after six hours; to drop them in silence; to hand out some other clip in their
# place. The good way: go on, and keep a list.

# %% tags=["exercise"]
# 01.6

# %% [markdown]
# Now put it together. The reader below takes one path, chooses frames with **your** 01.1 and is called by
# **your** 01.6; **your** 01.4 turns all clips into one tensor. Among the training files we hide two broken
# ones: half a video, and a shopping list that somebody renamed.


# %% tags=["claim-part"]
def read_clip(path: str) -> Tensor:
    """Eight frames spread over a video file, (T, H, W, C) bytes."""
    with open_video(path) as video:
        return video.frames([int(frame) for frame in mine("01.1")(video.num_frames, 8)])


train = [row for place, row in enumerate(samples.split("train")) if place // 8 % 8 == 0]  # 8 clips a subject
test = [row for place, row in enumerate(samples.split("test")) if place // 8 % 2 == 0]
train_paths, test_paths = ([str(samples.root / row["path"]) for row in rows] for rows in (train, test))

with tempfile.TemporaryDirectory() as folder:
    half, shopping = Path(folder) / "half.mp4", Path(folder) / "shopping.mp4"
    shutil.copyfile(train_paths[0], half)
    half.write_bytes(half.read_bytes()[:-1500])
    shopping.write_text("bread, milk, popcorn")
    found, skipped = mine("01.6")([*train_paths[:7], str(half), *train_paths[7:], str(shopping)], read_clip)
print(f"{len(found)} clips read, {len(skipped)} skipped: {', '.join(Path(path).name for path in skipped)}")

zero, one = torch.zeros(3), torch.ones(3)
train_clips = mine("01.4")(torch.stack(found), zero, one).float()
test_clips = mine("01.4")(torch.stack(mine("01.6")(test_paths, read_clip)[0]), zero, one).float()
print("train:", tuple(train_clips.shape), "| test:", tuple(test_clips.shape))

# %% [markdown]
# ## The experiment
#
# Each frame becomes six numbers. Three say **where and how much**: the column and the row at which the light
# is centred, and how much light there is. Three say **what**: how well the directions of the edges agree when
# a half, a quarter and a sixth of a turn count as the same (parallel bars: a half; a plus: a quarter; a
# triangle: a sixth; a disc: none).


# %% tags=["claim-part"]
def measure(clip: Tensor) -> Tensor:  # (T, C, H, W) -> (T, 6)
    """Six numbers a frame: column, row and amount of light; edges alike after 1/2, 1/4 and 1/6 of a turn."""
    bright = clip.amax(1)
    light, place = (bright - 0.6).clamp(min=0), torch.linspace(-1, 1, 64)
    amount = light.sum((1, 2)) + 1e-3
    numbers = [(light.sum(1) @ place) / amount, (light.sum(2) @ place) / amount, amount / 200]
    across, down = bright[:, 1:-1, 2:] - bright[:, 1:-1, :-2], bright[:, 2:, 1:-1] - bright[:, :-2, 1:-1]
    strength = across**2 + down**2 + 1e-9
    angle = 2 * torch.atan2(down, across)
    for fold in (1, 2, 3):
        even, odd = strength * torch.cos(fold * angle), strength * torch.sin(fold * angle)
        numbers.append(torch.hypot(even.sum((1, 2)), odd.sum((1, 2))) / strength.sum((1, 2)))
    return torch.stack(numbers, dim=1)


train_numbers = torch.stack([measure(clip) for clip in train_clips])  # (160, 8, 6)
test_numbers = torch.stack([measure(clip) for clip in test_clips])

# %% [markdown]
# Two readings of these numbers are compared:
#
# - **the bag** (the baseline): mean and spread over the frames; order cannot matter;
# - **the row**: all 8 × 6 numbers in order.
#
# From a reading to a label we go by least squares: the weights $W$ that make $A W$ come closest to $Y$, where
# row $i$ of $A$ holds the numbers of clip $i$ and row $i$ of $Y$ is 1 at its label and 0 elsewhere. Nothing
# more is learned.


# %% tags=["claim-part"]
def bag(numbers: Tensor) -> Tensor:  # (clips, T, 6) -> (clips, 12)
    return torch.cat([numbers.mean(1), numbers.std(1)], dim=1)


def in_a_row(numbers: Tensor) -> Tensor:  # (clips, T, 6) -> (clips, T * 6)
    return numbers.flatten(1)


def fit(reading: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Least squares from a reading to one column a label (a small pull to zero keeps it stable)."""
    centre, scale = reading.mean(0), reading.std(0)

    def prepared(other: Tensor) -> Tensor:
        return F.pad((other - centre) / scale, (0, 1), value=1.0).double()

    known, wanted = prepared(reading), F.one_hot(labels).double()
    weights = torch.linalg.solve(known.T @ known + 3 * torch.eye(known.shape[1]).double(), known.T @ wanted)
    return lambda other: (prepared(other) @ weights).argmax(1)


def labels_of(rows: list, labelling: str) -> Tensor:
    return torch.tensor([LABELLINGS[labelling].index(row[labelling]) for row in rows])


# %% [markdown]
# The frames of each test clip are shuffled, the training clips are left alone. As a **negative control** the
# row is also trained on labels that were dealt out at random: whatever it reaches then is luck.

# %% tags=["signature", "claim-part"]
generator = torch.Generator().manual_seed(0)
shuffles = torch.stack([torch.randperm(8, generator=generator) for _ in test])
shuffled = torch.stack([numbers[order] for numbers, order in zip(test_numbers, shuffles, strict=True)])
dealt = torch.randperm(len(train), generator=generator)
states = {"in order": test_numbers, "shuffled": shuffled, "reversed": test_numbers.flip(1)}
accuracy = {}
for labelling in ("appearance", "motion"):
    known, truth = labels_of(train, labelling), labels_of(test, labelling)
    readings = (("bag", bag, known), ("row", in_a_row, known), ("control", in_a_row, known[dealt]))
    for name, read, labels in readings:
        answer = fit(read(train_numbers), labels)
        for state, numbers in states.items():
            accuracy[labelling, name, state] = float((answer(read(numbers)) == truth).float().mean())

print("test accuracy            in order  shuffled  reversed   chance")
for labelling, chance in (("appearance", 1 / 4), ("motion", 1 / 8)):
    for name in ("bag", "row", "control"):
        cells = [f"{accuracy[labelling, name, state]:>9.0%}" for state in states]
        print(f"{labelling:<11} {name:<10} ", *cells, f"{chance:>8.0%}")

# %% tags=["claim-holds"]
what = {state: accuracy["appearance", "row", state] for state in ("in order", "shuffled")}
motion = {state: accuracy["motion", "row", state] for state in ("in order", "shuffled")}
assert what["in order"] > 0.9, "appearance is not read even in order"
assert what["shuffled"] > what["in order"] - 0.05, "shuffling destroyed the appearance"
assert motion["in order"] > 0.65, "motion is not read even in order"
assert motion["shuffled"] < 0.4, "motion survived the shuffling"
assert accuracy["motion", "bag", "in order"] <= 0.55, "a bag of frames told clips from their reversals"
luck = [value for (_, name, _), value in accuracy.items() if name == "control"]
assert max(luck) < 0.45, "labels dealt out at random were learned"
print("The claim holds: shuffled frames still show what it is, and no longer what happens.")

# %% [markdown]
# Read the table line by line.
#
# - **Appearance** stays where it was. One frame is enough, so the order is not needed.
# - **Motion, bag**: not even half. Each test clip has its reversal beside it, and the bag gives both the same
#   answer: at most one of the two can be right.
# - **Motion, row**: three of four in order, low when shuffled, and almost nothing when reversed. Reversed is
#   *worse* than shuffled: a reversed clip is a perfectly good clip of the opposite motion, and that is what
#   the row answers.
# - **The control** stays near chance.
#
# Shuffling the test frames is the cheapest question you can put to any video model: *do you use time?*
# Kinetics is mostly decided by appearance, so a model may lose little there; Something-Something is mostly
# decided by time. Lesson 09 puts the question to trained models.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# - **RGB and BGR.** You saw it above: same shape, other colours. OpenCV reads BGR, everything else here RGB.
# - **Off by one at the end.** A video of 24 frames has no frame 24. Some readers answer with the last frame,
#   some with garbage; ours refuses.
# - **Trusting the announced length.** Files announce a number of frames, and cut-off files announce too many.
#   `num_frames` here is counted, not believed.
# - **Seeking.** Players jump to the keyframe before the wanted time. A reader that takes the first picture
#   after a jump gets the keyframe, not the frame.

# %%
with open_video(samples.root / row["path"]) as video:
    try:
        video.frames([22, 23, 24])
    except ArgumentError as refusal:
        print("asked for frame 24 of 24:", refusal)

# %% [markdown]
# The last one deserves a look. Below, the bare decoder library jumps to the time of frame 17 and takes the
# first picture that comes.

# %%
import av

with av.open(str(samples.root / row["path"])) as container:
    stream = container.streams.video[0]
    container.seek(int(17 / stream.average_rate / stream.time_base), stream=stream)
    first = next(container.decode(stream)).to_ndarray(format="rgb24")
distance = (torch.from_numpy(first).float() - frames.float()).abs().mean((1, 2, 3))
print("wanted frame 17, got the picture of frame", int(distance.argmin()))
with open_video(samples.root / row["path"]) as video:
    print("the reader of this course gives frame 17:", torch.equal(video.frames([17])[0], frames[17]))

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("01")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A decoder gives `(T, H, W, C)` bytes; a model takes `(B, T, C, H, W)` floats, normalised as in its
#   training.
# - Uniform sampling sees the whole video, strided sampling a stretch of `num_frames · frame_stride / fps`
#   seconds.
# - A short video repeats frames; the last frame has the number `num_frames - 1`.
# - A clip of test time is a view; several views cost several times as much.
# - Broken files are skipped, counted and named.
# - Appearance survives a shuffle of the frames, motion does not.
#
# **Words:** [sampling](../docs/glossary.md#sampling), uniform or strided; [frame stride](../docs/glossary.md#frame-stride);
# [view](../docs/glossary.md#view); [normalising](../docs/glossary.md#normalising). The others stand in the
# [glossary](../docs/glossary.md), and the names in code in the [table of names](../docs/naming.md).
#
# **Next:** lesson 02, *Attention from scratch*: how tokens look at each other.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Wang and others: *Temporal Segment Networks* (2016), arXiv 1608.00859: one frame of each part of the video
# - Carreira, Zisserman: *Quo Vadis, Action Recognition?* (2017), arXiv 1705.07750: Kinetics, and long clips
# - Feichtenhofer and others: *SlowFast Networks* (2018), arXiv 1812.03982: two strides at once, and 30 views:
#   ten clips, three crops
# - Goyal and others: *The "something something" video database* (2017), arXiv 1706.04261: labels that need
#   time
# - Sevilla-Lara and others: *Only Time Can Tell* (2019), arXiv 1907.08340: which classes need the order of
#   frames
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need?* (2021), arXiv 2102.05095: clips of 8 ×
#   32 and 96 × 4
