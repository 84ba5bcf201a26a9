# %% [markdown]
# # 00 · Start here
#
# In this course you build attention from its formula up, then the three video transformers that changed
# the field in early 2021: **VTN**, **TimeSformer** and **ViViT**. You train them, compare them and look inside.
#
# This first lesson checks your environment, shows how exercises work, draws the map of what came before,
# and ends with a small experiment that explains why video needs models of its own.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **However good a model of single frames is: if it averages its answers over the frames, a clip and its reversal get
# the same answer.**
#
# The experiment below computes this, and the lesson stops if it is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - run a lesson, solve an exercise and have it checked;
# - fold and unfold axes by name with einops;
# - place VTN, TimeSformer and ViViT among the ideas they grew from;
# - say what an average over frames throws away, and show it.
#
# **Before this lesson:** Python, and a little PyTorch (tensors, shapes, indexing). **Time:** about 40 minutes.

# %% [markdown]
# ## Is everything there?
#
# Run a cell with **Shift + Enter**. Every lesson begins with the same few imports; `start_lesson` fixes the seed and
# uses one thread, so that you see the numbers that this page shows.

# %% tags=["setup"]
import math
import subprocess
import sys

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from matplotlib.figure import Figure
from torch import Tensor, nn

from vtlearn.course.environment import check_environment
from vtlearn.course.lesson import ProgressBoard, check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_00 import PaperTimeline
from vtlearn.data.decode import open_video
from vtlearn.data.sampling import uniform_indices
from vtlearn.data.synthetic import SampleSet, bundled_samples
from vtlearn.viz.digest import describe
from vtlearn.viz.video import frame_rows, words_of_frame_rows

start_lesson("00")

# %%
check_environment()

# %% [markdown]
# ## A clip is a tensor
#
# The course brings its own short clips: a shape that moves, drawn and encoded as ordinary MP4 files. Each carries two
# labels. Its **appearance** is what the shape is; a single frame tells. Its **motion** is what the shape does; only time
# tells.
#
# A decoder gives frames as `(T, H, W, C)`: frames, rows, columns, colours, as bytes from 0 to 255. Models want
# `(T, C, H, W)`, as floats from 0 to 1.

# %% tags=["claim-part"]
samples = SampleSet.load(bundled_samples())


def load_clip(path, num_frames: int = 8) -> Tensor:
    """Evenly spaced frames of a video file, (T, C, H, W) from 0 to 1."""
    with open_video(path) as video:
        frames = video.frames(uniform_indices(video.num_frames, num_frames), size=(64, 64))
    return rearrange(frames, "t h w c -> t c h w") / 255


def first_of(motion: str) -> dict:
    """The first test clip that shows this motion."""
    return next(row for row in samples.split("test") if row["motion"] == motion)


# %% tags=["picture"]
row = first_of("hop then swell")
clip = load_clip(samples.root / row["path"])
print("appearance:", row["appearance"], "| motion:", row["motion"])
print("shape:", tuple(clip.shape), "| type:", clip.dtype)
figure = frame_rows({row["appearance"]: clip}, [f"frame {k}" for k in range(len(clip))])
show(figure, words_of_frame_rows(figure))

# %% [markdown]
# Read it like a comic strip, from left to right. Cover all frames but one: you can still name the shape. Can you name
# the motion?

# %% [markdown]
# ## How exercises work
#
# Each exercise has a card (what, why, and the exact contract), a cell to fill in, a cell that checks it, and a
# panel with three buttons.
#
# 1. Replace the line with `raise NotImplementedError` by your own code and run the cell.
# 2. Run the check, or press **Check**: it looks at the function as it is right now, and stops at the first thing that is
#    wrong with one sentence about it. Ten seconds is the limit.
# 3. Stuck? **Hint** has three: the concept, the shapes, nearly the code. **Solution** opens once you have passed, or when
#    you ask twice.
#
# Nothing breaks if you skip one: `mine("00.1")` gives *your* function once it has passed, and the library's until then.
# Later lessons build their models through it, so your code is what gets trained.

# %% tags=["exercise"]
# 00.1

# %% [markdown]
# With the mean frame, yours or the library's, the eight frames become one picture.

# %%
blurred = mine("00.1")(clip)
print("from", tuple(clip.shape), "to", tuple(blurred.shape))
figure = frame_rows({row["appearance"]: torch.stack([clip[0], clip[-1], blurred])}, ["first", "last", "mean of all"])
show(figure, words_of_frame_rows(figure))

# %% [markdown]
# ### Axes by name
#
# All of the code in this course moves axes about, and most of the bugs in other people's code come from moving the wrong
# one. einops writes down what happens. On the left stand the axes as they are, on the right as they shall be; brackets
# merge axes, **the last name in a bracket runs fastest**.

# %%
table = torch.arange(6).reshape(2, 3)
print(table)
print("(row column):", rearrange(table, "row column -> (row column)").tolist())
print("(column row):", rearrange(table, "row column -> (column row)").tolist())
print("mean over rows:", reduce(table.float(), "row column -> column", "mean").tolist())
print("repeated:", tuple(repeat(table, "row column -> copy row column", copy=4).shape))

# %% tags=["exercise"]
# 00.2

# %%
sheet = mine("00.2")(clip)
print("contact sheet:", tuple(sheet.shape))
print("columns 128 to 191 are frame 2:", torch.equal(sheet[:, 128:192], rearrange(clip[2], "c h w -> h w c")))
figure = Figure(figsize=(9, 1.5), layout="constrained")
axes = figure.subplots()
axes.imshow(sheet)
axes.set(title="contact sheet", xlabel="column", ylabel="row")
show(figure, describe(figure))

# %% [markdown]
# ## The map
#
# Three words first; a [glossary](../docs/glossary.md) holds them all. A [token](../docs/glossary.md#token) is one vector of the
# row that a transformer reads: a word of a text, a frame, or a piece of a picture. In
# [attention](../docs/glossary.md#attention) each token gathers from the others what it needs. A
# [backbone](../docs/glossary.md#backbone) is a network for pictures that gives a vector instead of an answer.
#
# | model | how it reads a clip | where time is handled |
# |---|---|---|
# | **VTN** (lesson 05) | a 2-D backbone turns every frame into one vector | a Longformer over these vectors: windows, and one global token |
# | **TimeSformer** (lesson 06) | patches of every frame | inside each block: first along time, then over the frame |
# | **ViViT** (lesson 07) | tubelets: little boxes of pixels and time | four ways to share attention between space and time |
#
# **What came before.** *Two-stream* networks add a second network for optical flow, that is, for how far each pixel moves. A
# *2-D CNN with an LSTM* reads frame after frame. *I3D* inflates image filters along time. *Non-local* blocks bring attention into a CNN, and *long-term feature
# banks* let a clip attend to the whole video. *SlowFast* runs two frame rates side by side, and *X3D* grows a tiny network
# axis by axis.
#
# **What came beside.** The *Transformer* reads text by attention alone, and *BERT* gives it a class token, and a limit: 512
# tokens, because cost grows with the square of their number. *RoBERTa* is BERT, trained longer and on more text. *Longformer*
# starts from RoBERTa's weights and lifts the limit. *ViT* reads a picture as patches, and *DeiT* trains it on less data.
# *DETR* finds objects with a transformer, and *VisTR* follows them through a video: there all places of all frames attend to
# each other at once.
#
# Move through the papers with the arrow keys; the arrows show what each one stands on.

# %% tags=["panel"]
PaperTimeline()

# %% [markdown]
# ### How many tokens is a video?
#
# BERT's limit makes the trouble plain. Count the patches of 16 × 16 pixels in frames of 224 × 224.

# %%
patches = (224 // 16) ** 2
for num_frames in (1, 8, 32, 250):
    tokens = num_frames * patches
    verdict = "fits" if tokens <= 512 else "does not fit"
    print(f"frames {num_frames:>3}: {tokens:>6,} tokens, {tokens**2:>13,} pairs; {verdict} into 512")

# %% [markdown]
# ## The experiment
#
# Take a network that looks at one frame at a time. Ours has random weights: the claim is about averaging, not about how
# good the network is. Compare three things on a clip and on the same clip played backwards:
#
# - **the average** of its answers over the frames;
# - a **baseline that keeps order**: the same answers, later frames weighing more;
# - a **negative control**: a still clip, one frame repeated, where forwards and backwards are the same thing.

# %% tags=["claim-part"]
network = nn.Sequential(nn.Conv2d(3, 16, kernel_size=64), nn.GELU(), nn.Conv2d(16, 8, kernel_size=1))
later_counts_more = torch.linspace(0, 2, 8).reshape(8, 1, 1, 1)


@torch.no_grad()
def averaged(clip: Tensor) -> Tensor:  # (T, C, H, W) -> (8, 1, 1)
    return mine("00.1")(network(clip))


@torch.no_grad()
def in_order(clip: Tensor) -> Tensor:  # (T, C, H, W) -> (8, 1, 1)
    return (network(clip) * later_counts_more).mean(dim=0)


def apart(answer, clip: Tensor) -> float:
    """How far the answers to a clip and to its reversal lie apart, as a part of their size."""
    forwards, backwards = answer(clip), answer(clip.flip(0))
    return float((forwards - backwards).norm() / forwards.norm())


# %% tags=["signature", "claim-part"]
motions = ("sliding left", "coming closer", "hop then swell", "sway then blink")
clips = {motion: load_clip(samples.root / first_of(motion)["path"]) for motion in motions}
clips["a still clip"] = clips["sliding left"][:1].repeat(8, 1, 1, 1)
distance = {name: (apart(averaged, one), apart(in_order, one)) for name, one in clips.items()}
print(f"{'forwards against backwards':<28}{'averaged':<12}in order")
for name, distances in distance.items():
    print(f"{name:<28}" + "".join(f"{'the same' if one < 1e-4 else 'different':<12}" for one in distances))

# %% tags=["claim-holds"]
assert all(mean < 1e-4 for mean, _ in distance.values()), "the average told a clip from its reversal"
assert all(distance[motion][1] > 0.01 for motion in motions), "order did not tell a clip from its reversal"
assert distance["a still clip"][1] < 1e-4, "the control moved: something other than order was measured"
print("The claim holds: an average over frames cannot tell a clip from its reversal; an ordered reading can.")

# %% [markdown]
# So a model that averages frames can name the shape, and can at best toss a coin between *hop then swell* and *swell then
# hop*. On the data sets of this field, Kinetics is mostly decided by appearance, and Something-Something by time. The
# comparison of lesson 10 measures both.

# %% [markdown]
# ## Your own clip
#
# Put the path of a video of yours between the quotes and run the cell again. Any common format will do.

# %%
my_video = ""  # for example "../holiday.mp4"

own = load_clip(my_video or samples.root / row["path"])
verdict = "the same" if apart(averaged, own) < 1e-4 else "different"
print("decoded:", tuple(own.shape), "| forwards against backwards, averaged:", verdict)
figure = frame_rows({"your clip": own}, [f"frame {k}" for k in range(len(own))])
show(figure, words_of_frame_rows(figure))

# %% [markdown]
# ## Where you stand
#
# The board remembers what you passed, also after you close the notebook.

# %%
ProgressBoard()

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# - **The wrong kernel.** `No module named 'vtlearn'` means that the notebook runs in another environment. Start from
#   `make lab`, or choose *Kernel → Change Kernel → Python 3 (ipykernel)* there. The cell below shows it.
# - **A check that says "not attempted yet"** although you wrote code: the cell with your function was not run again.
# - **Numbers that differ from the page**: run all cells from the top (*Run → Run All Cells*). Cells run in another order see
#   other random numbers.
# - **Panels that show only a picture**: the kernel is not running; run the cell.
#
# Here is the first one, on purpose: the same Python, told to ignore the packages of this environment.

# %%
other = subprocess.run([sys.executable, "-I", "-S", "-c", "import vtlearn"], capture_output=True, text=True)
print("a bare Python says:", other.stderr.splitlines()[-1])
print("this kernel found: ", check.__module__)

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("00")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A clip is `(T, C, H, W)`; a decoder gives `(T, H, W, C)` bytes.
# - Exercises are checked by one function; your passed answers are used by the lessons that follow.
# - Averaging over frames forgets their order: a clip and its reversal become the same.
# - VTN reads frames, TimeSformer patches, ViViT tubelets; all three let attention handle time.
#
# **Words:** [video](../docs/glossary.md#video) and [clip](../docs/glossary.md#clip), [appearance](../docs/glossary.md#appearance)
# and [motion](../docs/glossary.md#motion), [token](../docs/glossary.md#token), [baseline](../docs/glossary.md#baseline) and
# [negative control](../docs/glossary.md#negative-control). All others stand in the [glossary](../docs/glossary.md).
#
# **Next:** lesson 01, *Video as tensors*: which frames of a video make a clip.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Neimark, Bar, Zohar, Asselmann: *Video Transformer Network* (2021), arXiv 2102.00719
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need for Video Understanding?* (2021), arXiv 2102.05095
# - Arnab and others: *ViViT: A Video Vision Transformer* (2021), arXiv 2103.15691
# - Goyal and others: *The "something something" video database* (2017), arXiv 1706.04261
# - Liu and others: *RoBERTa* (2019), arXiv 1907.11692
# - Wang and others: *End-to-End Video Instance Segmentation with Transformers* (2020), VisTR, arXiv 2011.14503
# - The papers before and beside, with their numbers: the panel above
# - The einops tutorial: einops.rocks
