# %% [markdown]
# # 05 · VTN
#
# VTN, the *Video Transformer Network*, is built of three parts that you could buy separately: an image network, a
# Longformer over time, and a small head. The image network looks at each frame alone. All thinking about time happens
# afterwards, on one vector a frame.
#
# In this lesson you build it, part by part, and train its temporal part on vectors that were computed once and kept.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **On the vectors of a tuned image network, a small Longformer reads from 8 frames what happens in a clip. On unseen clips
# it beats the same network on the vectors of a weaker, frozen backbone, and the mean of the vectors. With uniform attention
# the same network learns later: after 120 of 300 steps it is far behind. Shuffle the frames, and the first one fails.**
#
# The lesson trains all four, and stops if this is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - turn any image network into the first part of a video network;
# - prepare a sequence for a Longformer: class token, padding, masks, positions;
# - say what a position means, and what happens past the end of the table;
# - freeze a backbone so that it really stands still;
# - test by an ablation whether attention earns its place;
# - say where VTN saves operations, and where it does not.
#
# **Before this lesson:** lessons 03 (Longformer) and 04 (ViT). **Time:** about 75 minutes for the four core exercises, 25
# more for the two extras.

# %% tags=["setup"]
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.attention import SlidingWindow, window_pairs
from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_05 import ClassTokenWeights
from vtlearn.data.memory import PIXELS, decode_clips
from vtlearn.data.sources import find_records
from vtlearn.layers.longformer import LongformerEncoder
from vtlearn.layers.position import sincos_line
from vtlearn.models.small_start import start_weights
from vtlearn.study.shipped import load_shipped
from vtlearn.viz.curves import small_multiples
from vtlearn.viz.patterns import describe_masks, draw_masks
from vtlearn.viz.video import frame_rows, words_of_frame_rows

start_lesson("05")

# %% [markdown]
# ## The task
#
# The bundled clips show eight motions, in four pairs. Each motion is its partner played backwards. We decode eight frames
# of each clip, spread evenly over it: 640 clips to learn from (every other performer) and 320 to test.

# %% tags=["claim-part"]
clips = find_records({"samples_seed": 0}, seed=0)
records = {
    "train": [record for i, record in enumerate(clips.split("train")) if i // 8 % 2 == 0],
    "test": list(clips.split("test")),
}
memory = {
    split: decode_clips(some, clips.class_names, num_frames=8, image_size=32) for split, some in records.items()
}
motions = clips.class_names["motion"]
for split, some in memory.items():
    print(f"{split:>5}: {tuple(some.frames.shape)}, motions {sorted(set(some.labels['motion'].tolist()))}")

# %% tags=["picture"]
pair = ("hop then swell", "swell then hop")
first = {name: memory["test"].labels["motion"].tolist().index(motions.index(name)) for name in pair}
rows = {name: memory["test"].frames[i].movedim(-1, 1) / 255 for name, i in first.items()}
titles = [f"frame {i}" for i in memory["test"].frame_index[0].tolist()]
picture = frame_rows(rows, titles)
show(picture, words_of_frame_rows(picture))

# %% [markdown]
# The same performer, the same two events, in another order. No single frame tells which of the two motions it is from. A
# network that looks at frames one by one and then forgets their order can at best tell the pair, and guess: one half right.

# %% [markdown]
# ## The plan
#
# ```
# clips (B, T, C, H, W)
#   │  image backbone f(x), frame by frame            (05.1, 05.2)
# vectors (B, T, D)
#   │  class token in front, padding behind, masks    (05.3)
#   │  plus a position for each token                 (05.4)
# tokens (B, n, D)
#   │  Longformer: windows, class token global
# class token (B, D)
#   │  norm, linear, GELU, dropout, linear            (05.5)
# logits (B, K)
# ```
#
# The published model has a ViT-B/16 as backbone (D = 768), three Longformer layers and 113.5 million parameters, of which
# the Longformer has 26.8. Each part can be exchanged: the authors also used ResNet-50 and -101 and three sizes of DeiT.

# %% [markdown]
# ## Step 1: the backbone f(x)
#
# The backbone is a **2-D** network: pictures in, one vector each out. It never hears of time. So time has to hide in the
# batch:
#
# $$(B, T, C, H, W) \to (B \cdot T, C, H, W) \xrightarrow{\ f\ } (B \cdot T, D) \to (B, T, D).$$
#
# Fold and unfold must use the same order. If they do not, every shape is right, and frames of different clips are mixed.

# %% tags=["exercise"]
# 05.1

# %% [markdown]
# ## Frozen or tuned, weaker or stronger
#
# A backbone can stay as it is (**frozen**) or learn along (**tuned**). The paper reports two things: a stronger image
# network gives a better video network (on Kinetics-400, ViT-B pretrained on ImageNet-21K 78.6 %, on ImageNet-1K 75.6 %, as later
# papers quote it), and tuning beats freezing.
#
# Two small ones come with the repository:
#
# - the **weaker**: an image ViT that learned to name the *shape* in single frames, and stays frozen;
# - the **tuned** one: the same ViT after it learned along inside a whole VTN, on appearance and motion.
#
# Freezing has two halves. **Gradients** move weights: `requires_grad_(False)` stops them. The **mode** moves statistics: a
# batch norm in training mode updates its running mean with every batch, gradients or not. `eval()` stops that, until
# somebody calls `train()` on the model around it.

# %% tags=["exercise"]
# 05.2

# %% [markdown]
# A frozen backbone gives the same vector for the same frame for ever. So compute the vectors **once** and keep them. It
# makes everything that follows cheap: training on kept vectors never touches a pixel.

# %% tags=["claim-part"]
weaker = mine("05.2")(load_shipped("image_start"), False)
tuned = mine("05.2")(load_shipped("vtn").trunk.backbone, False)  # it was tuned; from now on it stands still


@torch.no_grad()
def kept_vectors(frames: Tensor, backbone: nn.Module) -> Tensor:  # bytes (B, T, H, W, C) -> (B, T, D)
    """All frames through a backbone, 64 clips at a time."""
    pixels = [PIXELS(part.movedim(-1, 2)) for part in frames.split(64)]
    return torch.cat([mine("05.1")(part, backbone) for part in pixels])


kept = {
    (name, split): kept_vectors(some.frames, backbone)
    for name, backbone in (("weaker", weaker), ("tuned", tuned))
    for split, some in memory.items()
}
for key, vectors in kept.items():
    print(*key, tuple(vectors.shape))

# %% [markdown]
# ## Step 2: class token, padding, masks
#
# As in BERT and ViT, a learned **class token** goes in front. What it holds after the last layer stands for the whole video.
# In a window it would see its neighbours only, so Longformer makes it **global**: it reads every frame, and every frame
# reads it.
#
# Fast windowed attention often wants a length that is a multiple of some block. So **padding** goes behind: tokens that stand
# for nothing. The released code fills with −1 up to a multiple of 36, twice its window of 18 (its Longformer would be
# content with 18). What stands in the padding does not matter, as long as a mask keeps it out.
#
# Two masks say what is what:
#
# - `valid_mask`, True = real: class token and frames;
# - `global_mask`, True = global: the class token.
#
# (The released code packs both into one: 0 padding, 1 frame, 2 class token.)

# %% tags=["exercise"]
# 05.3

# %%
tokens, real, is_global = mine("05.3")(kept["tuned", "test"][:1], torch.zeros(1, 1, 64), 5)
real, is_global = real.bool()[0], is_global.bool()[0]
print("tokens:", tuple(tokens.shape), "real:", real.int().tolist(), "global:", is_global.int().tolist())


def allowed_pairs(window: int) -> Tensor:  # (n, n)
    """Window and global token, without padding: who may attend to whom."""
    near = SlidingWindow(window).mask(len(real)) | is_global[:, None] | is_global[None, :]
    return near & real[:, None] & real[None, :]


drawn = draw_masks({f"window of {size}": allowed_pairs(size) for size in (1, 3, 9)})
show(drawn, describe_masks(drawn))

# %% [markdown]
# Row 0 and column 0 are the class token's. The last row and column are empty: padding reads nothing and is read by nobody.
#
# The released windows are 18 wide, 9 frames on each side. (The paper speaks of 32; the author explained that the code
# changed to another Longformer. Use 18 to reproduce it.) So even a training clip of 16 frames is not fully connected.

# %% [markdown]
# ## Step 3: positions are places in the video
#
# Attention does not know the order of its tokens (lesson 02). Each frame gets a learned vector for its place. But which
# number is its place: 0, 1, 2, … within the clip, or its index in the **video**?
#
# VTN takes the index in the video. Frames 0, 8, 16 of a video at stride 8 and frames 0, 1, 2 at stride 1 are different
# things, and one table serves both. The class token and the padding have rows of their own, behind the frames' rows. If
# two things share a row, the network cannot tell them apart by it: an **id clash**.
#
# What about frame 300 when the table has 286 rows? The released code takes the index *modulo* 286, and frame 300 quietly
# becomes frame 14. You shall raise an error.

# %% tags=["exercise"]
# 05.4

# %% tags=["claim-part"]
NUM_POSITIONS, MULTIPLE, WINDOW, D = 24, 5, 9, 64
LENGTH = 10  # a class token, 8 frames, 1 padding


def places(split: str) -> Tensor:  # (B, LENGTH)
    """The rows of the position table for every token of every clip."""
    return mine("05.4")(memory[split].frame_index, NUM_POSITIONS, LENGTH)


print("rows of the table, first test clip:", places("test")[0].tolist())

# %% [markdown]
# ### A trap in the released code
#
# In training, where the decoder can jump, only the piece around the clip is decoded, and its frames are numbered **within
# the decoded piece**. In evaluation the whole file is decoded, and indices run **over the video**. The same frame can have
# two positions, and the rows for late frames are hardly trained. Whoever loads the weights should know which one they
# saw.
#
# How much do positions matter? On Kinetics the paper is reported to have found little difference between learned, fixed and
# no positions, and little harm from shuffling frames. That would say something about Kinetics. Our motions are made so
# that order decides.

# %% [markdown]
# ## Step 4: the head
#
# The class token has become a summary of the video. A layer norm, a linear layer, GELU, dropout, and a second linear layer
# make logits of it:
#
# $$\text{logits} = W_2 \ \mathrm{dropout}(\mathrm{GELU}(W_1 \ \mathrm{LN}(x_0) + b_1)) + b_2, \qquad x_0 \text{ of shape } (B, D).$$
#
# GELU is meant exactly, not by its approximation with tanh. The published dropout is 0.5.

# %% tags=["exercise"]
# 05.5

# %% [markdown]
# ## Put together
#
# Here is the temporal part, made of your pieces. The Longformer itself is the library's, the one that lesson 03 led to. It
# has one head and two layers, so that its weights are easy to look at.

# %% tags=["claim-part"]
class TemporalPart(nn.Module):
    """Vectors of frames to logits: class token, positions, Longformer, head."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, D))
        self.positions = nn.Embedding.from_pretrained(sincos_line(NUM_POSITIONS + 2, D, base=50.0), freeze=False)
        self.norm = nn.LayerNorm(D)
        self.encoder = LongformerEncoder(D, 1, 2, WINDOW, 2 * D)
        self.head = mine("05.5")(D, D, len(motions), 0.0)

    def forward(self, vectors: Tensor, ids: Tensor) -> Tensor:  # (B, T, D), (B, n) -> (B, K)
        tokens, real, is_global = mine("05.3")(vectors, self.cls_token, MULTIPLE)
        x = self.norm(tokens + self.positions(ids))
        return self.head(self.encoder(x, real.bool(), is_global.bool()))


# %% [markdown]
# The table of positions starts from sines and cosines, because 640 clips are too few to learn places from nothing. It stays
# learned.
#
# ## Step 5: does attention matter?
#
# An honest question for any attention network: is it the *attention* that works, or everything around it? To find out, one
# takes a part away and keeps all the rest: an **ablation**. VTN's authors took the choice away. They replaced the weights by a hard-coded **uniform** distribution: each query takes the plain mean of
# what it may see. Everything else stayed. They report that both trained alike, and that on validation clips the uniform
# one collapsed after a few epochs: it does not generalise.

# %% tags=["exercise"]
# 05.6

# %% [markdown]
# The weights of uniform attention never change. So we ask your function for them once, by handing it the identity matrix as
# values: the mean of unit vectors shows the weights themselves.

# %% tags=["claim-part"]
class Uniform:
    """Stands where a Longformer layer holds its window: the same keys, equal weights."""

    def __call__(self, q, k, v, *, valid_mask, global_mask, global_projections, **rest):
        near = SlidingWindow(WINDOW).mask(q.shape[2]) | global_mask[:1, :, None] | global_mask[:1, None]
        allowed = near & valid_mask[:1, :, None] & valid_mask[:1, None]  # all clips have the same length
        ones = torch.eye(q.shape[2])[None, None]
        weights = mine("05.6")(ones, ones, ones, allowed)  # (1, 1, n, n)
        own_values = global_projections[2]  # the class token reads through projections of its own
        return torch.where(global_mask[:, None, :, None], weights @ own_values, weights @ v)


class MeanOfFrames(nn.Module):
    """The baseline: the mean of the vectors, and the same head. It cannot know any order."""

    def __init__(self) -> None:
        super().__init__()
        self.head = mine("05.5")(D, D, len(motions), 0.0)

    def forward(self, vectors: Tensor, ids: Tensor) -> Tensor:
        return self.head(vectors.mean(dim=1, keepdim=True))


# %% [markdown]
# ## The experiment
#
# Four networks, the same clips, the same 300 steps of 32 clips, the same optimiser:
#
# - **learned**: the temporal part on the vectors of the tuned backbone;
# - **uniform**: the same with uniform attention;
# - **weaker backbone**: learned attention, on the vectors of the frozen shape network;
# - **mean of frames**: the baseline without order.
#
# And a **negative control**: the trained network gets the test clips with their frames shuffled. If it does not fail, it
# never used the order.

# %% tags=["claim-part"]
STEPS, START = 300, 1  # START: the seed of the first weights


def share_right(model: nn.Module, backbone: str, split: str) -> float:
    with torch.no_grad():
        answers = model(kept[backbone, split], places(split)).argmax(dim=-1)
    return float((answers == memory[split].labels["motion"]).float().mean())


def one_step(model: nn.Module, optimizer, schedule, vectors: Tensor, ids: Tensor, labels: Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(vectors, ids), labels).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()


def start_alike(model: nn.Module) -> None:
    """The same first numbers for all networks, in whatever order your head makes its layers."""
    torch.manual_seed(START)
    start_weights(model)
    for layer in (part for part in model.head.modules() if isinstance(part, nn.Linear)):
        nn.init.xavier_uniform_(layer.weight, generator=torch.Generator().manual_seed(START + len(layer.weight)))
        nn.init.zeros_(layer.bias)


def train(model: nn.Module, backbone: str) -> list[tuple[int, float, float]]:
    """300 steps on the kept vectors; every 60 steps the share right on both splits."""
    start_alike(model)
    vectors, ids, labels = kept[backbone, "train"], places("train"), memory["train"].labels["motion"]
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, STEPS, pct_start=0.1)
    generator, curve = torch.Generator().manual_seed(0), []
    for step in range(1, STEPS + 1):
        some = torch.randint(len(labels), (32,), generator=generator)
        one_step(model, optimizer, schedule, vectors[some], ids[some], labels[some])
        if step % 60 == 0:
            curve.append((step, share_right(model, backbone, "train"), share_right(model, backbone, "test")))
    return curve


# %% tags=["signature", "claim-part"]
networks = {}
for name in ("learned", "uniform", "weaker backbone", "mean of frames"):
    torch.manual_seed(START)
    networks[name] = MeanOfFrames() if name == "mean of frames" else TemporalPart()
for layer in networks["uniform"].encoder.layers:
    layer.attention.kernel = Uniform()
backbones = {name: "weaker" if name == "weaker backbone" else "tuned" for name in networks}
curves = {name: train(model, backbones[name]) for name, model in networks.items()}
seen = {name: curve[-1][1] for name, curve in curves.items()}
right = {name: curve[-1][2] for name, curve in curves.items()}


def level(share: float) -> str:
    """A share in words that do not change from machine to machine."""
    return next((f"over {bar} %" for bar in (80, 60, 40) if share > bar / 100), "at most 40 %")


print("clips right            learned from    never seen")
for name in networks:
    print(f"{name:<22} {level(seen[name]):<15} {level(right[name])}")

# %% tags=["claim-part"]
order = torch.tensor([3, 6, 1, 4, 7, 0, 5, 2])  # places stay, frames change
with torch.no_grad():
    answers = networks["learned"](kept["tuned", "test"][:, order], places("test")).argmax(dim=-1)
right["frames shuffled"] = float((answers == memory["test"].labels["motion"]).float().mean())
print("learned, frames of the test clips shuffled: at most 50 %:", right["frames shuffled"] <= 0.5)

# %%
def words_of_ends(figure) -> str:
    """Where each curve ends, read from the drawn lines."""
    told = []
    for axes in figure.axes:
        last = {line.get_label(): level(line.get_ydata()[-1]) for line in axes.lines}
        told.append(f"{axes.get_title(loc='left')}: " + ", ".join(f"{name} ends {end}" for name, end in last.items()))
    return "; ".join(told)


two = {"clips learned from": 1, "clips never seen": 2}
drawn = small_multiples(
    {title: {name: [(p[0], p[i]) for p in curve] for name, curve in curves.items()} for title, i in two.items()},
    value_name="share right",
    columns=2,
)
show(drawn, words_of_ends(drawn))

# %% tags=["claim-holds"]
assert right["learned"] > 0.8, "learned attention did not read the motions"
early = {name: {step: share for step, _, share in curve}.get(120, 0.0) for name, curve in curves.items()}
assert early["learned"] > early["uniform"] + 0.1, "uniform attention learned as fast"
assert right["learned"] > right["weaker backbone"] + 0.15, "the weaker backbone was as good as the tuned one"
assert right["mean of frames"] < 0.55, "the mean of the vectors told more than the pair"
assert right["frames shuffled"] < right["learned"] - 0.3, "the order of the frames did not matter"
print("The claim holds: learned attention on tuned vectors reads the order, and sooner than uniform attention.")

# %% [markdown]
# When these outputs were made, the shares of unseen clips were about 0.92 (learned), 0.86 (uniform), 0.53 (weaker backbone)
# and 0.21 (mean of frames), where guessing gives 0.125. Read them with care:
#
# - **Uniform attention learns later.** After 120 steps it stood at 0.37, learned attention at 0.87. With five seeds of the
#   first weights the distance at 120 steps was 13 to 51 points, and learned attention was ahead each time. After 300 steps
#   it was between 0 and 23 points: with one seed both had 0.91. So the lesson asserts the early distance alone.
# - Does it *train alike and generalise worse*, as the paper says? A longer run was measured for this lesson, once: 1,000 steps
#   of 64 clips, all 1,280 training clips, four heads. Both then knew over 99 % of their training clips. Of the unseen ones
#   learned attention had 95 %, uniform 92 %. The direction is the paper's; the distance is ten clips of 320, which is
#   weak evidence. A collapse was not seen.
# - Why is it not worse? With positions and two layers, an MLP stands between two means, and can note "this look at that
#   place" before the second mean is taken. With a **single** layer there is no such MLP, and after 300 steps uniform
#   attention stood at 28 %, learned at 79 %.
# - The tuned backbone was tuned **inside a VTN with learned attention**. It may suit that one better.
# - The weaker and the tuned backbone are one network, before and after it learned along. So the third row tells what
#   **tuning** is worth. It tells nothing about larger or better pretrained networks.
# - The **mean of frames** stays below one half: the mean of these vectors forgets the order, and half is what the pair
#   alone would give.

# %% [markdown]
# ## Try it: what the class token takes from each frame
#
# The panel looks into the shipped VTN (two layers, four heads). Choose a motion, a performer, a layer, a head, and compare
# with uniform attention.
#
# 1. Find a clip whose most important frame is the moment between the two events.
# 2. Do all heads read the same frames?
# 3. What changes with uniform attention when you choose another clip?

# %% tags=["panel"]
ClassTokenWeights()

# %% [markdown]
# The authors drew the same picture for a video of someone abseiling, from a network with one head. Frames where one sees
# it happen had much more weight than the others.
#
# ## Where the saving comes from
#
# VTN's abstract promises training 16.1 times faster, inference 5.1 times faster and 1.5 times fewer operations than its
# 3-D opponents. It is tempting to thank the Longformer. Count first. One ViT-B/16 frame, in multiply-adds of its linear
# layers (this is how VTN counts; products of attention are left out):

# %%
width, patches = 768, 196
per_frame = 12 * (patches + 1) * 12 * width**2 + patches * width * 3 * 16**2  # 12 layers of 12 D² a token, and patches


def longformer_linear(num_tokens: int) -> int:
    """Three layers: q, k, v, the same again for the global token, output, and an MLP of 8 D²."""
    return 3 * num_tokens * (3 + 3 + 1 + 8) * width**2


print(f"one frame through ViT-B/16: {per_frame / 1e9:.1f} G")
print(f"{'frames':>7} {'backbone':>9} {'Longformer':>11} {'share':>6} {'its attention: window':>22} {'full':>9}")
for frames in (16, 250, 4_000, 64_000):
    near, full = (3 * 2 * pairs * width for pairs in (window_pairs(frames + 1, 19) + 2 * frames, (frames + 1) ** 2))
    backbone, temporal = frames * per_frame, longformer_linear(frames + 1)
    share = (temporal + near) / (backbone + temporal + near)
    print(
        f"{frames:>7,} {backbone / 1e9:>7,.0f} G {temporal / 1e9:>9,.1f} G {share:>6.1%}"
        f" {near / 1e9:>20,.2f} G {full / 1e9:>7,.1f} G"
    )

# %% [markdown]
# At 250 frames the whole Longformer is 0.2 % of the operations, and its window saves a fraction of that fraction. From
# thousands of frames on, full attention would catch up with the rest of the Longformer; at 64,000 it would need eleven
# times as much. Beside ViT-B even that is 2 %. So the window pays for very long videos whose vectors are kept already, or come
# from a light backbone; and it keeps the n × n table out of memory.
#
# So where does the saving come from?
#
# - **One view.** SlowFast and its kin classify 30 views of a video (10 clips × 3 crops) and average. VTN reads 250 frames
#   once: 4,218 G, against 213 G × 30 = 6,390 G for the opponent that fits the factor 1.5 best.
# - **A 2-D backbone.** No axis of time in the dear part. Memory depends on how many frames go through it at once.
# - **Few epochs.** The 16.1 most likely counts time to the end of training, and VTN needs far fewer epochs (25) from a pretrained ViT.
#
# And it depends on the opponent: SlowFast R50 8×8 needs 1,970 G, half of VTN's; TimeSformer with its 3 views 590 G.
#
# ### Three ways to run it
#
# Since time enters only after the backbone, a long video can be run (1) end to end, (2) with the backbone in chunks of
# frames, (3) from vectors that were kept on disk. All three give the same answer:

# %%
vtn = load_shipped("vtn").trunk
clip = PIXELS(memory["test"].frames[:1].movedim(-1, 2))
index = memory["test"].frame_index[:1]
with torch.no_grad():
    end_to_end = vtn.forward_features(clip, index)
    in_chunks = vtn.encode_features(vtn.frame_features(clip, chunk=3), index)[:, 0]
    from_kept = vtn.encode_features(kept["tuned", "test"][:1], index)[:, 0]
print("in chunks, the same answer:", torch.allclose(end_to_end, in_chunks, atol=1e-4))
print("from kept vectors, the same answer:", torch.allclose(end_to_end, from_kept, atol=1e-4))

# %% [markdown]
# What VTN is not for: answers while the video still runs. Its class token reads the whole video, future included.
#
# More from the paper's experiments on Kinetics-400, where clips last ten seconds:
#
# - Deeper Longformers hardly helped. Ten seconds may be too short to need them.
# - Number and rate of frames made hardly any difference.
# - Stronger augmentation (RandAugment and more, ten more epochs) gave 79.8 %, 1.2 points more.
# - Recipe: SGD, rate 0.001, a tenth of it after 13 and again after 24 of 25 epochs, 16 frames at stride 8.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **Id clashes.** Give the class token row 0, and frame 0 has it as well. Frames of whichever clips begin at 0 then look a
# little like class tokens. Nothing fails.
#
# **Positions past the table.** Modulo gives frame 24 the row of frame 0. Two frames far apart become neighbours:

# %%
ids = torch.tensor([0, 8, 16, 24, 32])
print("modulo 24:", (ids % 24).tolist(), "- rows used twice:", len(ids) - len(set((ids % 24).tolist())))
try:
    mine("05.4")(ids[None], NUM_POSITIONS, 6)
except (ValueError, IndexError, AssertionError) as error:
    print("yours refuses:", isinstance(error, Exception))

# %% [markdown]
# **A frozen backbone in training mode.** Without gradients the weights stand still. The statistics of its norms do not, and
# the vectors of the same frame drift away from those you kept:

# %%
convolutions = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.BatchNorm2d(4), nn.Flatten()).requires_grad_(False)
picture = clip[0, :1]


def drift(backbone: nn.Module) -> bool:
    """Does the same picture get another vector after some training batches?"""
    before = backbone.eval()(picture)
    backbone.train()
    for part in clip[0].split(2):
        backbone(part)
    return not torch.equal(before, backbone.eval()(picture))


print("frozen by requires_grad alone, its vectors drift:", drift(convolutions))
print("frozen by your Backbone, its vectors drift:", drift(mine("05.2")(convolutions, False)))

# %% [markdown]
# A ViT has no batch norm, but it may have dropout, and in training mode that makes the vectors noisy.
#
# **Fold one way, unfold the other.** Shapes are right, clips are mixed (05.1). Test with one clip twice in a batch: both
# must get the same vectors.
#
# **Duplicate frames.** At evaluation the released code spreads 250 frames over the video. A shorter one shows some frames
# twice, with the same index and position. That is meant; do not "repair" the index by counting.
#
# **Comparing operations.** VTN's table leaves out the products of attention; TimeSformer's and ViViT's count them.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("05")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - VTN = any image backbone, frame by frame + a Longformer over the frames' vectors + a small head on the class token.
# - Frozen means: no gradients **and** no training mode. Then vectors can be kept, and training time needs no pixels.
# - The class token is global, padding is masked, positions are places in the video, and no two things share a row.
# - Learned attention is there sooner than uniform attention; a tuned backbone beats a frozen, weaker one.
# - The saving comes from one view and a 2-D backbone. The window matters from thousands of tokens on.
#
# **Words:** [backbone](../docs/glossary.md#backbone), [frozen](../docs/glossary.md#frozen),
# [frame index](../docs/glossary.md#frame-index), [padding](../docs/glossary.md#padding),
# [global token](../docs/glossary.md#global-token), [head](../docs/glossary.md#head),
# [uniform attention](../docs/glossary.md#uniform-attention), [view](../docs/glossary.md#view). The names in code,
# *frame_index*, *valid_mask*, *global_mask*, stand in the [table of names](../docs/naming.md).
#
# **Next:** lesson 06, *TimeSformer*: attention over space and time in one network.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Neimark, Bar, Zohar, Asselmann: *Video Transformer Network* (2021), arXiv 2102.00719
# - Beltagy, Peters, Cohan: *Longformer: The Long-Document Transformer* (2020), arXiv 2004.05150
# - Dosovitskiy and others: *An Image is Worth 16x16 Words* (2020), arXiv 2010.11929
# - Touvron and others: *Training data-efficient image transformers* (DeiT, 2020), arXiv 2012.12877
# - Devlin and others: *BERT* (2018), arXiv 1810.04805
# - Feichtenhofer and others: *SlowFast Networks for Video Recognition* (2018), arXiv 1812.03982
