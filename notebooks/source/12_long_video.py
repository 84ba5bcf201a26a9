# %% [markdown]
# # 12 · Long video
#
# Every model of this course was trained on clips of a few seconds. A video lasts minutes. You can cut it into clips and
# average their answers. You can show all of it at once. Both can fail, and for different reasons.
#
# In this lesson you run one VTN in three ways with one answer, say before the run what fits in memory, and find out what a
# model trained on clips makes of a whole video.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **A VTN trained on clips collapses when it is shown a longer video in one pass. The average over short clips does not
# replace it: what no clip holds, no average knows. The same weights read the whole video well, once its frame indices mean
# what they meant in training. Shuffle the frames, and that fails again.**
#
# The lesson measures all four on videos four times as long as the training clips, and stops if this is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - run VTN in three modes, and show that their answers are equal;
# - say what each mode holds in memory;
# - find the mistake at the edge of a chunk;
# - compute what clips cover of a video, and what they miss;
# - say why a model trained on clips fails on a whole video, and what helps;
# - tell offline from online, and name the state that a stream needs.
#
# **Before this lesson:** lessons 03 (Longformer) and 05 (VTN). **Time:** about 65 minutes for the three core exercises, 30
# more for the two extras.

# %% tags=["setup"]
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_12 import CoverageAgainstCost, recorded_ablations
from vtlearn.data.memory import PIXELS
from vtlearn.data.synthetic import MOTIONS, SampleSpec, draw_sample, plan_samples
from vtlearn.models.vtn_frames import CausalVTN, CausalVTNConfig, FrameVTN, FrameVTNConfig, OnlineState
from vtlearn.runs.long_video import positions_rule
from vtlearn.study.shipped import load_shipped, read_shipped
from vtlearn.viz.video import frame_rows, words_of_frame_rows

start_lesson("12")

# %% [markdown]
# ## Longer videos
#
# The shipped VTN learned from clips of 24 frames, and saw eight of them. Here are videos of 96 frames, drawn by the same
# rules: the same shapes, the same eight motions, everything four times as slow.

# %% tags=["claim-part"]
LENGTH, TRAINED_LENGTH = 96, 24
spec = SampleSpec(num_frames=LENGTH, image_size=32, subjects_per_appearance={"train": 1, "val": 1, "test": 2})
videos = [clip for clip in plan_samples(spec, seed=1) if clip.split == "test"]
pictures = torch.stack([torch.from_numpy(draw_sample(clip, spec)) for clip in videos])  # (B, T, H, W, C)
motion = torch.tensor([MOTIONS.index(clip.motion) for clip in videos])
print(f"{len(videos)} videos: {tuple(pictures.shape)}, {len(motion.unique())} motions")

# %% tags=["picture"]
order_pair = {name: [clip.motion for clip in videos].index(name) for name in ("hop then swell", "swell then hop")}
spread_out = list(range(6, LENGTH, 12))
picture = frame_rows(
    {name: pictures[i, spread_out].movedim(-1, 1) / 255 for name, i in order_pair.items()},
    [f"frame {i}" for i in spread_out],
)
show(picture, words_of_frame_rows(picture))

# %% [markdown]
# Cover all but three neighbouring pictures of a row. Can you still name the class? A clip of 24 frames sees a quarter of a
# row.

# %% [markdown]
# ## Three modes of VTN
#
# VTN thinks about time after the backbone, on one vector a frame. So the dear part can run in any portions:
#
# 1. **end to end**: all frames through the backbone together, `(T, C, H, W) → (T, D)`, then the temporal part;
# 2. **in chunks**: a few frames at a time; their vectors are joined, then the temporal part, once;
# 3. **from kept vectors**: somebody computed them earlier; the backbone does not run at all.
#
# The three must agree. They do, if the backbone treats each frame alone.

# %% tags=["exercise"]
# 12.1

# %% tags=["claim-part"]
both = load_shipped("vtn")
vtn = both.trunk


def pixels(frames: Tensor) -> Tensor:  # bytes (T, H, W, C) -> (T, C, H, W)
    """Frames as the backbone takes them."""
    return PIXELS(frames[None].movedim(-1, 2))[0]


with torch.no_grad():
    kept = torch.stack([vtn.backbone(pixels(frames)) for frames in pictures])  # (B, T, D)
print("kept vectors:", tuple(kept.shape))


# %%
class Temporal(nn.Module):
    """Everything behind the backbone: vectors (1, T, D) to logits (1, 8)."""

    def forward(self, vectors: Tensor) -> Tensor:
        return both.heads["motion"](vtn.encode_features(vectors)[:, 0])


ways = mine("12.1")(pixels(pictures[0]), vtn.backbone, Temporal(), 16, kept[0])
for name, logits in zip(("end to end", "in chunks", "from kept vectors"), ways, strict=True):
    print(f"{name:<18} equal to the first: {torch.allclose(logits, ways[0], atol=1e-4)}")

# %% [markdown]
# ## What it holds in memory
#
# End to end, the backbone's work stands in memory for every frame. In chunks, it stands there for one chunk:
#
# $$\text{peak} = \min(\text{chunk}, T) \cdot (\text{frame} + \text{work}) + T \cdot \text{vector}.$$

# %% tags=["exercise"]
# 12.2

# %%
frame, work, vector = 4 * 3 * 224**2, 12_000_000, 4 * 768  # bytes; the work is a round number for a ViT-B/16
print(f"{'video':>10} {'frames':>8} {'end to end':>11} {'chunks of 16':>13} {'kept vectors':>13}")
for words, seconds in (("10 s", 10), ("2 minutes", 120), ("1 hour", 3600)):
    held = [f"{float(size) / 1e9:,.2f} GB" for size in mine("12.2")(seconds * 25, 16, frame, work, vector)]
    print(f"{words:>10} {seconds * 25:>8,} {held[0]:>11} {held[1]:>13} {held[2]:>13}")

# %% [markdown]
# The vectors of an hour take less than the pixels of twenty seconds. What chunks do **not** save is time: each frame still goes
# through the backbone once. Vectors that are kept on disk save that as well, from the second question on.
#
# ## The edge of a chunk
#
# The backbone may work in chunks because it looks at each frame alone. The temporal part looks at neighbours. Run it in
# chunks as well, and the frames at each edge miss theirs. Every shape is right; some numbers are wrong.

# %% tags=["exercise"]
# 12.3


# %%
def mean_of_neighbours(vectors: Tensor) -> Tensor:  # (n, D) -> (n, D)
    """Each vector becomes the mean of those up to two places away."""
    place = torch.arange(len(vectors))
    near = ((place[:, None] - place).abs() <= 2).float()
    return near / near.sum(1, keepdim=True) @ vectors


whole = mean_of_neighbours(kept[0])
for name, parts in (
    ("chunks by themselves", torch.cat([mean_of_neighbours(part) for part in kept[0].split(16)])),
    ("with neighbours", mine("12.3")(kept[0], mean_of_neighbours, 16, 2)),
):
    wrong = (~torch.isclose(parts, whole, atol=1e-4).all(dim=1)).nonzero().flatten().tolist()
    print(f"{name:<21} wrong frames: {wrong}")

# %% [markdown]
# A stack of `depth` layers with windows of `window_size` reaches `depth · (window_size // 2)` frames on each side. A global
# class token reaches everywhere, and no number of neighbours is enough. That is why VTN joins the vectors first.

# %% [markdown]
# ## What clips cover
#
# The usual way with long videos: a few clips, spread evenly, and the mean of their answers. A clip of `num_frames` frames
# at stride `stride` covers `num_frames · stride` frames. What lies between the clips is not seen.

# %% tags=["exercise"]
# 12.4

# %%
two_minutes = 120 * 30
print("two minutes at 30 frames a second")
print(f"{'clips':>5} {'frames':>7} {'stride':>7} {'computed':>9} {'covered':>8} {'longest gap':>12}")
for clips, frames, stride in ((10, 8, 8), (10, 32, 2), (10, 16, 16), (4, 96, 8), (4, 96, 32)):
    span = min(frames * stride, two_minutes)
    starts = [round(i * (two_minutes - span) / (clips - 1)) for i in range(clips)]
    share, gap = mine("12.4")(starts, frames, stride, two_minutes)
    print(f"{clips:>5} {frames:>7} {stride:>7} {clips * frames:>9} {float(share):>8.0%} {int(gap) / 30:>10.1f} s")

# %% [markdown]
# ### HowTo100M
#
# TimeSformer was also tried on videos of several minutes: a part of HowTo100M with 1,059 tasks. It takes one frame in 32.
# A clip is still shorter than the video, so several are tested and their answers averaged (arXiv 2102.05095, table 8):

# %%
published = ((8, 48, 56.8, 48.2), (32, 12, 61.2, 50.8), (64, 6, 62.2, 51.5), (96, 4, 62.6, 51.2))
print("a clip:                all clips:                        right, in percent:")
print(f"{'frames':>6} {'seconds':>8} {'clips':>12} {'seconds':>8} {'frames':>7} {'TimeSformer':>21} {'SlowFast':>9}")
for frames, clips, timesformer, slowfast in published:
    span = frames * 32 / 30
    print(
        f"{frames:>6} {span:>8.1f} {clips:>12} {clips * span:>8.0f} {clips * frames:>7} {timesformer:>21} {slowfast:>9}"
    )

# %% [markdown]
# All four rows cover the same seven minutes with the same 384 frames. What changes is how much **one clip** sees: from 8.5
# to 102 seconds. Longer clips win by nearly six points, though nothing more was looked at.
#
# Clips of two seconds cover little of such a video. Minutes and hours need a model that sees far, or frames that lie far
# apart.

# %% [markdown]
# ### An action in 5 % of the frames
#
# Now let the action be short: six seconds of two minutes. How likely does a plan see it, wherever it lies? And twice, so
# that one can see a change?

# %% tags=["exercise"]
# 12.5

# %%
action = two_minutes // 20
print(f"{'frames spread over 2 minutes':>28} {'seen once':>10} {'seen twice':>11}")
for number in (8, 16, 32, 64):
    taken = [int((i + 0.5) * two_minutes / number) for i in range(number)]
    once, twice = (float(mine("12.5")(taken, action, two_minutes, need)) for need in (1, 2))
    print(f"{number:>28} {once:>10.0%} {twice:>11.0%}")

# %% [markdown]
# And if it is seen, the mean may still drown it. Suppose one clip of twenty sees the action with probability 0.9, and the
# others, which see nothing of it, call something else with 0.3 each:

# %%
answers = torch.full((20, 2), 0.05)
answers[:, 1], answers[7] = 0.3, torch.tensor([0.9, 0.05])
print("mean of the clips: ", [round(x, 2) for x in answers.mean(0).tolist()], "- the action loses")
print("highest of the clips:", [round(x, 2) for x in answers.amax(0).tolist()], "- the action wins")

# %% [markdown]
# The highest answer is no cure for everything: one confident mistake wins as well. A model that sees the whole video can
# learn where to look. That is what attention is for.

# %% [markdown]
# ## Try it: coverage against cost
#
# 1. Two minutes: make ten clips cover everything without computing one frame more.
# 2. Take seven minutes and the four rows of the table above. What stays the same?
# 3. Take sixty minutes. Which way would you pay for?

# %% tags=["panel"]
CoverageAgainstCost()

# %% [markdown]
# ## The experiment: clips or the whole
#
# The shipped VTN, unchanged, on the longer videos, in four ways:
#
# - **clips**: four clips of 24 frames side by side, eight frames of each, answers averaged. Together they cover everything;
# - **whole, as it comes**: all 96 frames in one pass, with indices 0 … 95;
# - **whole, indices fitted**: the same pass, but index `i` stands at `i · 23 / 95`, so that the last frame stands where
#   the last frame of a clip stood;
# - **shuffled**, the negative control: the same with the frames in another order.
#
# Which indices did training reach? A checkpoint should say. Ours does: `trained_positions`. The library's
# `positions_rule` fits a video's indices into them while its block runs. Most places then lie *between* two rows of the
# table, and the two are mixed. So no row that was never trained is read, and no two frames share a position.

# %% tags=["claim-part"]
everywhere = torch.arange(LENGTH)
in_a_clip = torch.arange(1, TRAINED_LENGTH, 3)  # eight of 24 frames, as in training
trained_positions = read_shipped("vtn").settings["trained_positions"]
print("frame indices that training reached: 0 to", trained_positions - 1)


@torch.no_grad()
def probabilities(vectors: Tensor, index: Tensor) -> Tensor:  # (B, T, D), (T,) -> (B, 8)
    """What VTN says of videos whose frames have these vectors and indices."""
    tokens = vtn.encode_features(vectors, index.expand(len(vectors), -1))
    return both.heads["motion"](tokens[:, 0]).softmax(-1)


def fitted(vectors: Tensor, index: Tensor, last: int = LENGTH - 1) -> Tensor:
    """The same, with the indices of a video that ends at frame `last` fitted into the trained ones."""
    with positions_rule(vtn, "interpolate", last, trained_positions):
        return probabilities(vectors, index)


def share_right(answers: Tensor) -> float:
    return float((answers.argmax(-1) == motion).float().mean())


# %% tags=["signature", "claim-part"]
starts = range(0, LENGTH, TRAINED_LENGTH)
of_clips = torch.stack([probabilities(kept[:, in_a_clip + start], in_a_clip) for start in starts])
shuffle = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(12))
right = {
    "clips, averaged": share_right(of_clips.mean(0)),
    "whole, as it comes": share_right(probabilities(kept, everywhere)),
    "whole, indices fitted": share_right(fitted(kept, everywhere)),
    "whole, fitted, frames shuffled": share_right(fitted(kept[:, shuffle], everywhere)),
}


def level(share: float) -> str:
    """A share in words that do not change from machine to machine."""
    return next((f"over {bar} %" for bar in (85, 60) if share > bar / 100), "less than half")


for name, share in right.items():
    print(f"{name:<32} {level(share)}")

# %% tags=["claim-holds"]
assert right["whole, indices fitted"] > 0.85, "the whole video was not read"
assert right["whole, as it comes"] < 0.5, "the clip-trained model did not collapse on the whole video"
assert right["clips, averaged"] < 0.5, "the average over clips was as good as the whole video"
assert right["whole, fitted, frames shuffled"] < 0.6, "the order of the frames did not matter"
print("The claim holds: clips miss the whole, and the whole collapses, until its indices mean what they meant.")

# %% [markdown]
# When these outputs were made, the shares were 0.14 (clips), 0.33 (as it comes), 1.00 (fitted) and 0.38 (shuffled); guessing
# gives 0.125. On twice as many videos they were 0.17, 0.28, 0.99 and 0.41. Read them with care:
#
# - **As it comes** the model looked at more than ever, and fell. The vectors are the same in both passes; only the indices
#   differ. Rows of the position table for frames beyond 23 were never trained, and from 64 on there are none (the model
#   then squeezes all indices to fit).
# - **Squeezing is not enough.** By itself this VTN fits indices to its *table*, 64 rows, not to the 24 that were *trained*.
# - **Clips** see every frame. But each sees a quarter of a motion, slowly, and answers alone. Averaging cannot put the
#   pieces together. It works where each clip shows the class, as on Kinetics.
# - Fitting indices works **here**: these videos are the same motions, slower. It says "four times slower is the same class".
#   Where speed matters, or a video holds many actions, the model has to be trained on long videos.
# - Models with other causes to collapse exist: joint attention over many more tokens than in training, or a mean over a
#   video that is mostly empty. One remedy does not cure all.

# %% [markdown]
# ### Fewer frames of the whole
#
# Does one need all 96? The number of frames and their rate, at a fixed length of video, and the other way round:

# %%
print("frames spread over the whole video:")
for number in (2, 4, 8, 16, 48):
    some = ((torch.arange(number) + 0.5) * LENGTH / number).long()
    print(f"{number:>4}  {level(share_right(fitted(kept[:, some], some)))}")
print("eight frames over the first part of the video (footprint):")
for part in (24, 96):
    some = ((torch.arange(8) + 0.5) * part / 8).long()
    print(f"{part:>4}  {level(share_right(fitted(kept[:, some], some, part - 1)))}")

# %% [markdown]
# The **temporal footprint** (how much time the frames span) decides; their **rate** hardly matters once there are enough.
#
# ### Trained for it
#
# But that was one model, which had learned from eight frames over a whole clip. Would one that is *trained* on two frames,
# or on a third of the clip, do better? And does the **depth** of the Longformer matter? An ablation answers by training anew,
# with one thing changed. That takes minutes, so it was done once and recorded, with the script `benchmarks/long_video.py`:
# the shipped backbone stays fixed, the temporal part is trained for 600 steps of 32 clips, with three seeds. The usual row
# has depth 2 and eight frames over all 24. Depth 0 is the mean of the frames' vectors.

# %%
record = recorded_ablations()
machine, seeds = record["machine"], record["settings"]["seeds"]
print(f"recorded on {machine['cpu']}, torch {machine['torch']}, commit {record['commit']}, seeds {seeds}")
print(f"{'depth':>5} {'frames':>7} {'footprint':>10}   {'unseen clips':>15} {'4 times as long':>17}")
for row in record["rows"]:
    shares = [f"{min(row[of]):.2f} to {max(row[of]):.2f}" for of in ("clips", "long")]
    print(f"{row['depth']:>5} {row['frames']:>7} {row['footprint']:>10}   {shares[0]:>15} {shares[1]:>17}")

# %% [markdown]
# Each cell tells the worst and the best of three seeds. Read it row by row against the usual one:
#
# - **Depth.** None at all knows no order. One layer is nearly as good as two; three or six bring nothing that the seeds would
#   not bring. So the step that matters is from none to one.
# - **Frames.** Two are far too few for two events, and four still miss some. From eight on, more change little.
# - **Footprint.** A third of the clip costs a quarter of the answers, also when trained for it. What was not seen cannot be
#   learned from. Two thirds nearly suffice, since the events seldom reach the ends.
# - Videos four times as long, with fitted indices, do as well as clips, in every row.
#
# VTN's authors saw depth, footprint and rate matter little on Kinetics: clips of ten seconds, which one frame often decides,
# do not ask for more. Here depth and rate agree, and footprint does not. An ablation tells about the data as much as about
# the model. (And the backbone was tuned inside a VTN of depth 2; it may suit that one best.)

# %% [markdown]
# ## While the video runs
#
# **Offline** means: the whole video is there. **Online**: an answer is due after every frame. VTN's windows are two-sided
# and its class token reads everything, so it is **not for real time**. Take logits for each frame, and let more video
# arrive: the old answers change.

# %%
torch.manual_seed(12)
per_frame = FrameVTN(FrameVTNConfig.of(vtn.config, num_classes=3)).eval()
causal = CausalVTN(CausalVTNConfig.of(vtn.config, num_classes=3, past_table="modulo")).eval()
stream = pixels(pictures[0])[None]  # (1, 96, 3, 32, 32)


def unchanged(logits_of) -> bool:
    """Are the answers to the first 20 frames the same when 12 more have come?"""
    with torch.no_grad():
        return torch.allclose(logits_of(stream[:, :20]), logits_of(stream[:, :32])[:, :20], atol=1e-5)


print("two-sided windows, old answers stay:", unchanged(per_frame))
print("causal windows, old answers stay:   ", unchanged(causal.logits_after_each))

# %% [markdown]
# With a **causal** window each frame reads only those before it (lesson 03). Then a stream needs a **state**: for each
# layer the keys and values of the last `window_size // 2` frames. Its size does not grow.

# %%
state, sizes, given = OnlineState(), [], []
with torch.no_grad():
    for number in range(48):
        logits, state = causal.step(stream[:, number : number + 1], state)
        given.append(logits)
        sizes.append(state.num_bytes())
    at_once = causal.logits_after_each(stream[:, :48])
print("frame by frame as all at once:", torch.allclose(torch.cat(given, 1), at_once, atol=1e-4))
print("the state still grows after frame:", 1 + max(i for i in range(1, 48) if sizes[i] > sizes[i - 1]))

# %% [markdown]
# (These weights are random, only the shapes of time are shown. And a causal VTN is a reconstruction: the paper has none.)
#
# **Latency to the first decision** has two parts: waiting and computing. What must have happened in the world before the
# model may answer, at 25 frames a second?

# %%
waits = {
    "two-sided, a video of 2 minutes": 3000,
    "a clip of 8 frames at stride 8": 7 * 8 + 1,
    "3 layers, each 9 frames ahead": 3 * 9 + 1,
    "causal": 1,
}
for name, frames in waits.items():
    print(f"{name:<34} {frames:>5} frames, {frames / 25:>6.2f} s")

# %% [markdown]
# A causal model may answer after one frame; whether it *knows* anything yet is another question.
#
# On the command line: `vtlearn predict --help` names the ways over a long video.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **A norm in training mode breaks equality.** A batch norm in training mode takes mean and deviation from whatever is in
# the batch. Then a frame's vector depends on the chunk it came in, and the three modes differ:

# %%
normed = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.BatchNorm2d(4), nn.Flatten())
some = pixels(pictures[0])[:32]
with torch.no_grad():
    for mode in (True, False):
        normed.train(mode)
        same = torch.allclose(normed(some), torch.cat([normed(part) for part in some.split(5)]), atol=1e-4)
        print(f"training mode {mode!s:<5}: chunks equal the whole: {same}")

# %% [markdown]
# A layer norm looks at one token and has no modes; dropout has. `eval()` before you compare.
#
# **The rest after the last chunk.** `T // chunk` chunks forget it. 250 frames in chunks of 16 lose ten.
#
# **Indices that start again in each chunk.** The temporal part must get indices in the video, not in the chunk.
#
# **Positions used twice.** The released VTN takes indices modulo its table: in a long video, frames minutes apart share a
# position (lesson 05).
#
# **"It covers the video".** Twelve clips side by side cover everything and still see no two things together that lie in two
# clips. Coverage is about frames, not about what is compared.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("12")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - VTN runs end to end, in chunks, or from kept vectors, with one answer. The backbone's memory depends on the chunk; one
#   vector a frame stays.
# - Whatever looks at neighbours needs them at the edge of a chunk as well.
# - An average over clips knows what single clips know. Coverage tells what was seen, not what was seen together.
# - A model trained on clips can collapse on a whole video although it sees more: here because of positions that were never
#   trained. Record which indices training reached, and fit a longer video into them.
# - Two-sided attention is for offline use. A causal window with a small state answers online.
#
# **Words:** *frame_index*, *view*, *causal*, *reader* stand in [the table of names](../docs/naming.md).
#
# **Next:** lesson 13, the capstone.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Neimark, Bar, Zohar, Asselmann: *Video Transformer Network* (2021), arXiv 2102.00719
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need for Video Understanding?* (2021), arXiv 2102.05095
# - Miech and others: *HowTo100M* (2019), arXiv 1906.03327
# - Wu and others: *Long-Term Feature Banks for Detailed Video Understanding* (2018), arXiv 1812.05038
# - Beltagy, Peters, Cohan: *Longformer: The Long-Document Transformer* (2020), arXiv 2004.05150
