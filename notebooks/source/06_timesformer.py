# %% [markdown]
# # 06 · TimeSformer
#
# VTN looks at frames first and at time afterwards. TimeSformer does both in every block: a patch may attend to patches of its
# own frame, and to patches of other frames. The question of the paper is *which* of them. All at once is dear. TimeSformer's
# answer is **divided** attention: first over time at one place, then over the places of one frame.
#
# In this lesson you build it, start it from an image model, and train it.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **Give an image transformer one more step, attention over time at each place, and it learns what comes first, for t + s
# comparisons a patch instead of t · s. Before training the step changes nothing: a clip that stands still gets the image
# model's answer. After training it tells the motion of more than eight in ten unseen clips, where the average over frames
# tells one in three. Shuffle the frames, and it guesses between a motion and its reversal, as if it tossed a coin; play them
# backwards, and it names the reversal.**
#
# You train it below with your own steps inside, and the lesson stops if the claim is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - put a clip into one row of tokens, with places, times and a class token;
# - build divided attention, and say where it puts the class token;
# - start a video model from an image model so that nothing is lost;
# - count what a scheme costs before you run it, and compare five schemes;
# - spend a budget of tokens on pixels or on frames, and say what each buys;
# - spot a reshape that mixes axes.
#
# **Before this lesson:** lessons 02 (attention) and 04 (ViT, patches). **Time:** about 75 minutes for the four core
# exercises, 35 more for the three extras.

# %% tags=["setup"]
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.attention import LocalNeighbourhood, MultiHeadAttention, StridedGlobal
from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_06 import QueryPatchExplorer
from vtlearn.course.published import look_at, published_model
from vtlearn.data.memory import evaluation_batches
from vtlearn.data.synthetic import bundled_samples
from vtlearn.models import TimeSformerConfig, create_model, model_cost
from vtlearn.runs.trained import load_trained
from vtlearn.shapes import TokenGrid
from vtlearn.study.controls import shuffled
from vtlearn.study.shipped import go_on, load_shipped, recorded_course, sample_clips, shipped_folder
from vtlearn.viz.curves import learning_curves
from vtlearn.viz.space_time import SCHEMES, describe_keys, draw_keys, keys_of, scheme_steps

start_lesson("06")

# %% [markdown]
# ## Five ways to look around
#
# Here is a clip of four frames, cut into 4 × 4 patches each. One patch of the second frame, in the black square, asks. Whom may
# it ask? Every mark is a patch that it meets, a shape for each step; where two steps meet the same patch, the marks stand apart.

# %% tags=["picture"]
held_out = sample_clips("val")
batch = next(evaluation_batches(held_out, batch_size=8, num_frames=4))
grid = TokenGrid(4, 4, 4)
rows = {
    scheme: {name: keys_of(step, grid, (1, 1, 2)) for name, step in scheme_steps(scheme, grid).items()}
    for scheme in SCHEMES
}
pictures = 0.45 + 0.225 * batch["clip"][3]  # back to light from 0 to 1
schemes = draw_keys(rows, (1, 1, 2), frames=pictures)
show(schemes, describe_keys(schemes))

# %% [markdown]
# - **Space only**: its own frame. An image model, frame after frame; the class tokens are averaged at the end.
# - **Joint**: everybody.
# - **Divided**: its own place in all frames, then its own frame. Two steps, each with projections of its own.
# - **Local and global** ("sparse" in the paper): first the near quarter of every frame, half of its rows by half of its
#   columns; then every second frame, row and column.
# - **Axial**: over time, then along its row, then along its column. Three steps.
#
# Not drawn: the class token. The clip has one, and every patch meets it; in space only each frame has its own.

# %% [markdown]
# ## Step 1: the clip as one row
#
# A frame becomes s = h · w patches of width D, as in lesson 04. So a clip is a tensor `(B, t, s, D)`, and a class token
# comes to it. Each patch must be told its place in the frame *and* its time:
#
# $$z_{i,j} = \text{patch}_{i,j} + e^{\text{space}}_{1+j} + e^{\text{time}}_{i}, \qquad
#   z_{\text{cls}} = \text{cls} + e^{\text{space}}_{0}.$$
#
# Two small tables with s + 1 and t rows, instead of one with t · s. The class token has a place of its own, row 0, and no
# time: it stands for the whole clip.
#
# How much the times matter depends on the task. Without any positions the paper's model gets 75.4 % on Kinetics-400 and
# 45.8 % on Something-Something; with places 77.8 and 52.5; with times as well 78.0 and **59.5**.

# %% tags=["exercise"]
# 06.1

# %%
library = create_model("timesformer_samples_joint").eval()
nn.init.normal_(library.time_embed, generator=torch.Generator().manual_seed(1))  # fresh times are zero
clips = next(evaluation_batches(held_out, batch_size=4, num_frames=8))["clip"]  # (B, T, C, H, W)
with torch.no_grad():
    patches = library.patch_embed(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])  # (B, t, s, D)
    row = x = mine("06.1")(library.cls_token, patches, library.pos_embed, library.time_embed)
    for block in library.blocks:  # ordinary blocks, as in lesson 02
        x = block(x)
    answer = library.norm(x)[:, 0]  # what the class token has become
    same = torch.allclose(answer, library.forward_features(clips), atol=1e-4)
for name, tensor in {"clips": clips, "patches": patches, "row": row, "answer": answer}.items():
    print(f"{name:<8} {tuple(tensor.shape)}")
print("your row through ordinary blocks is the library's joint TimeSformer:", same)

# %% [markdown]
# That is **joint** space-time attention, whole: the row, and the blocks of lesson 02. There is nothing else to write. Only the
# bill is long.

# %% [markdown]
# ## Step 2: the bill
#
# Stand on one patch and count whom it is compared with. Jointly: all t · s patches and the class token. Divided: t patches in
# the first step, s in the second.
#
# With the class token there is a catch. The paper writes it among the keys of **both** steps. The released code leaves it out of
# the step over time.

# %% tags=["exercise"]
# 06.2

# %%
comparisons = mine("06.2")
print(f"{'clip':<22} {'joint':>7} {'divided':>8} {'in the code':>12} {'joint : divided':>16}")
for t, side in ((8, 224), (16, 224), (32, 224), (96, 224), (8, 448), (16, 448)):
    joint, paper, code = (int(count) for count in comparisons(t, (side // 16) ** 2))
    print(f"{t:>2} frames, {side} × {side:<6} {joint:>7,} {paper:>8,} {code:>12,} {joint / code:>14.1f} ×")

# %% [markdown]
# In the paper's letters, N patches a frame and F frames, that is N·F + 1 against N + F + 2; and N + F + 1 in the code. The
# published weights were trained with the code, so the code decides. (The authors were asked why they differ, and have not said.)
#
# Joint attention grows with the product, divided with the sum. In the paper joint attention no longer fits into the memory of
# a GPU at 448 × 448, or at 32 frames of 224 × 224. Divided attention goes on to 96 frames.
#
# But comparisons are not the whole bill. Each patch also pays for projections and for the MLP, in every scheme alike.
# `model_cost` counts both, for models of the paper's size:

# %%
print(f"{'one clip of 8 × 224²':<22} {'multiply-adds':>14} {'in attention':>13} {'parameters':>12}")
for scheme in ("space", "joint", "divided"):
    cost = model_cost(TimeSformerConfig(attention=scheme))
    share = cost.attention / cost.multiply_adds
    print(f"{scheme:<22} {cost.multiply_adds / 1e9:>12.1f} G {share:>13.0%} {cost.parameters:>12,}")

# %% [markdown]
# At 8 small frames divided attention is even **dearer** than joint: its second set of projections costs more than the saved
# comparisons. It also has 41 % more parameters. Its saving comes with length and size. That is worth remembering when somebody
# tells you that divided attention is cheap.

# %% [markdown]
# ## Step 3: over time
#
# The first step of a divided block, on the normed patches x. For the patch at frame i, place j:
#
# $$\text{time}(x)_{i,j} = \sum_{i'=1}^{t} \alpha_{i,i'}\, v_{i',j}, \qquad
#   \alpha_{i,\cdot} = \operatorname{softmax}_{i'}\!\left(\frac{q_{i,j} \cdot k_{i',j}}{\sqrt d}\right).$$
#
# The place j never changes. So the places have nothing to do with each other, just as the clips of a batch have nothing to do
# with each other. An attention that knows only `(rows, n, D)` can do it, if the right tokens are put into a row.

# %% tags=["exercise"]
# 06.3

# %%
time_step = mine("06.3")
block = load_shipped("timesformer").trunk.blocks[0]  # divided, trained
with torch.no_grad():
    normed = block.temporal_norm1(patches)
    ours = time_step(block.temporal_attn, normed)
    same = torch.allclose(block.temporal_fc(ours), block.over_time(patches), atol=1e-4)
    changed = normed.clone()
    changed[0, 5, 9] += 1.0  # one patch of clip 0: frame 5, place 9
    moved = (time_step(block.temporal_attn, changed) - ours).abs().amax(dim=-1) > 1e-6
print("shape:", tuple(ours.shape), "| as in the library's block:", same)
print("updates that moved:", int(moved.sum()), "| at place 9 of clip 0:", int(moved[0, :, 9].sum()))

# %% [markdown]
# One patch was changed, and 8 updates moved: its place, in all 8 frames.

# %% [markdown]
# ## Step 4: within frames, with one class token
#
# The second step is an image model's: the patches of a frame attend to each other, and to the class token. But there are t
# frames and one class token. So each frame gets a **copy**. The copies become t different vectors, and the class token takes
# their **mean**:
#
# $$\text{update}_{\text{cls}} = \frac1t \sum_{i=1}^{t} \text{Attention}\big([\text{cls}, x_{i,1}, \dots, x_{i,s}]\big)_{\text{cls}}.$$
#
# Only here does the class token hear of the patches: in the code it takes no part in the step over time.

# %% tags=["exercise"]
# 06.4

# %% [markdown]
# Now the block. Three steps, each reading normed tokens and added to what came in. The step over time has one more linear
# layer behind it, `temporal_fc`; you will see in a moment what for.
#
# $$y = x + \text{fc}(\text{time}(\text{LN}(x))), \qquad z = y + \text{space}(\text{LN}(y)), \qquad
#   \text{out} = z + \text{MLP}(\text{LN}(z)).$$

# %% tags=["claim-part"]
time_step, space_step = mine("06.3"), mine("06.4")


class YourBlock(nn.Module):
    """The layers of a divided block, with your two steps between them."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.own = layers

    def forward(self, x: Tensor, grid: TokenGrid) -> Tensor:  # (B, 1 + t·s, D) -> the same
        own, cls, patches = self.own, x[:, :1], x[:, 1:].unflatten(1, (grid.t, grid.h * grid.w))
        patches = patches + own.temporal_fc(time_step(own.temporal_attn, own.temporal_norm1(patches)))
        to_cls, to_patches = space_step(own.attn, own.norm1(cls), own.norm1(patches))
        x = torch.cat([cls + to_cls, (patches + to_patches).flatten(1, 2)], dim=1)
        return x + own.mlp(own.norm2(x))


# %%
size = TokenGrid(8, 4, 4)
with torch.no_grad():
    theirs = load_shipped("timesformer").trunk.blocks[0]  # a trained one: no layer is zero
    same = torch.allclose(YourBlock(theirs)(row, size), theirs(row, size), atol=1e-4)
print("your block gives what the library's gives:", same)

# %% [markdown]
# ## Step 5: start from an image model
#
# Videos with labels are dear, images with labels are many. So one begins with an image model. Its patch embedding, its places,
# its attention and its MLP fit as they are. New are the times and the step over time. How should *they* begin?
#
# So that they do no harm. The times begin at zero. The attention over time begins as a **copy** of the attention within frames:
# it already knows how to find what belongs together. And `temporal_fc` begins at **zero**, weight and bias. Then
#
# $$y = x + \text{fc}(\dots) = x + 0 = x,$$
#
# and the block does what the image block does.

# %% tags=["exercise"]
# 06.5

# %% tags=["claim-part"]
image = load_shipped("image_start")  # trained on single frames of the samples
video = create_model("timesformer_samples", pooling="mean", num_classes=0).eval()
video.load_state_dict(image.state_dict(), strict=False)  # patches, places, class token, norms
start = mine("06.5")
for image_block, video_block in zip(image.blocks, video.blocks, strict=True):
    video_block.load_state_dict(start(image_block.state_dict()))
video.blocks = nn.ModuleList(YourBlock(one) for one in video.blocks)


def farthest(clip: Tensor) -> float:  # (B, T, C, H, W)
    """The largest difference of the fresh video model from the mean of the image model's answers."""
    with torch.no_grad():
        frame_by_frame = torch.stack([image(frame) for frame in clip.unbind(1)]).mean(dim=0)
        return float((video(clip) - frame_by_frame).abs().max())


# %% tags=["claim-part"]
moving = next(evaluation_batches(sample_clips("val"), batch_size=16, num_frames=8))["clip"]
still = moving[:, :1].expand(-1, 8, -1, -1, -1)
apart = {"a clip that stands still": farthest(still), "a clip that moves": farthest(moving)}
for name, distance in apart.items():
    print(f"{name:<26}{'as the image model' if distance < 1e-4 else 'another answer'}")

# %% [markdown]
# The clip that stands still gets the image model's answer, exactly. The moving clip does **not** get the mean of the image
# model's answers to its frames, although the step over time adds nothing yet. Why? Follow the patches, block by block.

# %%
def patches_as_in_images(clip: Tensor) -> list[bool]:  # (B, T, C, H, W) -> one answer a block
    """After each block: are the patches those of the image model, frame by frame?"""
    with torch.no_grad():
        cut = image.patch_embed(clip.flatten(0, 1)) + image.pos_embed[:, 1:]  # (B·t, s, D)
        first = (image.cls_token + image.pos_embed[:, :1]).expand(len(clip), -1, -1)
        row = torch.cat([first, cut.unflatten(0, clip.shape[:2]).flatten(1, 2)], dim=1)
        single = torch.cat([first[:1].expand(len(cut), -1, -1), cut], dim=1)
        answers = []
        for video_block, image_block in zip(video.blocks, image.blocks, strict=True):
            row, single = video_block(row, size), image_block(single)
            own = single[:, 1:].unflatten(0, clip.shape[:2]).flatten(1, 2)
            answers.append(torch.allclose(row[:, 1:], own, atol=1e-4))
        return answers


print("after block          1      2      3      4")
print("stands still  ", *(f"{str(one):>6}" for one in patches_as_in_images(still[:2])))
print("moves         ", *(f"{str(one):>6}" for one in patches_as_in_images(moving[:2])))

# %% [markdown]
# After block 1 every patch is still what the image model makes of it. From block 2 on it is not: the class token has been
# averaged over the frames, so each frame now sees a class token that knows of the others. **One class token, shared over the
# frames**: that is the only bridge between them before training.
#
# (The public Hugging Face code does not set this layer to zero. Training that model from an image ViT does not begin at the
# image model.)

# %% [markdown]
# A layer of zeros looks dead. It is not: its own gradient is not zero, and after one step it lets gradient through.

# %%
def learning(block: nn.Module) -> list[str]:
    """Which layers of the step over time get a gradient?"""
    block.zero_grad()
    block(torch.randn(2, 1 + size.num_tokens, 64), size).square().sum().backward()
    layers = {"temporal_attn.qkv": block.temporal_attn.qkv, "temporal_fc": block.temporal_fc}
    return [name for name, layer in layers.items() if float(layer.weight.grad.abs().max()) > 0]


fresh = create_model("timesformer_samples").blocks[0]
fresh.load_state_dict(start(image.blocks[0].state_dict()))
print("at the start, gradient reaches:", *learning(fresh))
with torch.no_grad():
    fresh.temporal_fc.weight -= 0.01 * fresh.temporal_fc.weight.grad
print("one step later:                ", *learning(fresh))

# %% [markdown]
# ## Step 6: the other schemes
#
# **Axial** attention goes further than divided. A frame, too, is taken apart: along the rows, then along the columns. The step
# is the one you know, for any axis.

# %% tags=["exercise"]
# 06.6

# %%
along = mine("06.6")
attention = MultiHeadAttention(64, num_heads=4)
field = torch.randn(1, 4, 6, 5, 64, generator=torch.Generator().manual_seed(6))  # (B, t, h, w, D)
with torch.no_grad():
    other = field.clone()
    other[0, 2, 3, 1] += 1.0
    for axis in "thw":
        moved = (along(attention, other, axis) - along(attention, field, axis)).abs().amax(dim=-1) > 1e-6
        print(f"along {axis}: updates that moved: {int(moved.sum())}")

# %% [markdown]
# **Local and global** attention cannot be had by folding axes: each patch has a neighbourhood of its own. Here a mask is the
# way. The paper says it in one sentence: first the neighbouring F × H/2 × W/2 patches, then all patches of the clip with a
# stride of 2 in time and in both directions of space. What it leaves open, the contract settles: how an even neighbourhood is
# centred, and where the stride starts. (Neither this scheme nor axial is in the released code.)

# %% tags=["exercise"]
# 06.7

# %%
near, far = (mask.bool() for mask in mine("06.7")(4, 6, 6))
small = TokenGrid(4, 6, 6)
print("local:  as the library's pattern:", torch.equal(near, LocalNeighbourhood(small).mask()))
print("global: as the library's pattern:", torch.equal(far, StridedGlobal(small).mask()))
print(f"share of all pairs: local {near.float().mean():.0%}, global {far.float().mean():.1%}")
print("both, one after the other, reach everything:", bool(((far.float() @ near.float()) > 0).all()))

# %% [markdown]
# A mask forbids; by itself it saves nothing (lesson 03). Divided and axial attention save without any special kernel.
#
# Which scheme is best? The paper's table 1, with what you can compute beside it. The keys are those of a patch in the middle,
# class tokens left out.

# %%
paper = {"space": (76.9, 36.6), "joint": (77.4, 58.5), "divided": (78.0, 59.5)}
paper |= {"sparse": (75.9, 56.3), "axial": (73.5, 56.2)}
whole = TokenGrid(8, 14, 14)
print(f"{'':<9} {'keys a patch':>12} {'parameters':>11} {'Kinetics-400':>13} {'Something-Something':>20}")
for scheme, (kinetics, something) in paper.items():
    steps = scheme_steps(scheme, whole).values()
    keys = sum(int(keys_of(step, whole, (4, 7, 7)).sum()) for step in steps)
    million = model_cost(TimeSformerConfig(attention=scheme, num_classes=174)).parameters / 1e6
    print(f"{scheme:<9} {keys:>12,} {million:>9.1f} M {kinetics:>11.1f} % {something:>18.1f} %")

# %% [markdown]
# Read it twice. On Kinetics two of the four schemes that see time are *below* the one that does not: most classes there are told
# by a single frame. On Something-Something space only is 23 points behind divided: *pushing left* and *pushing right* are the same frames.
#
# Divided wins on both, with the most parameters but one. Joint comes close. Space first and time afterwards loses half a
# point, both side by side 0.4.

# %% [markdown]
# ## Try it: the query-patch explorer
#
# Move a slider with the mouse or with the arrow keys. Four things to find out:
#
# 1. Divided: which patches does the query never meet in a single block? Then switch to *the patches that reach it*. What
#    happened?
# 2. Local and global: take the query into a corner. How many near keys are left?
# 3. Axial against divided: who meets fewer? Does anything fail to arrive?
# 4. Space only: is there any way for another frame to reach the query?

# %% tags=["panel"]
QueryPatchExplorer()

# %% [markdown]
# ## Pixels or frames?
#
# Divided attention can afford longer rows. What should one buy? The paper tries both. **TimeSformer-HR** buys pixels: 16
# frames of 448 × 448. **TimeSformer-L** buys frames: 96 of 224 × 224.

# %%
bought = {
    "TimeSformer": (TimeSformerConfig.base(), 32, (78.0, 59.5, 74.9)),
    "TimeSformer-HR": (TimeSformerConfig.high_resolution(), 16, (79.7, 62.2, 78.0)),
    "TimeSformer-L": (TimeSformerConfig.large(), 4, (80.7, 62.4, 81.0)),
}
print(f"{'':<15} {'tokens':>7} {'keys':>5} {'seconds':>8} {'T multiply-adds':>16}", "  K400  SSv2  Diving")
for name, (config, stride, (kinetics, something, diving)) in bought.items():
    shape, views = config.grid, 3
    keys = int(comparisons(shape.t, shape.tokens_per_frame)[2])
    seconds, total = shape.t * stride / 30, views * model_cost(config).multiply_adds / 1e12
    print(f"{name:<15} {shape.num_tokens:>7,} {keys:>5} {seconds:>8.1f} {total:>16.2f} "
          f"{kinetics:>6} {something:>5} {diving:>7}")  # fmt: skip

# %% [markdown]
# The operations are counted here, for the three crops of the paper's protocol, and they are the published 0.59, 5.11 and 7.14
# "TFLOPs": in this paper a FLOP is a multiply-add, attention included.
#
# All three see one clip, at 30 frames a second about 8.5 s of the video for the small one, since it takes one frame in 32.
# Frames buy more than pixels on Kinetics and on Diving-48, where a dive lasts long. On Something-Something both help alike (there
# the released L has 64 frames). 96 frames were what fitted into memory.

# %% [markdown]
# ### What else the paper found
#
# - **Training is short, the model is large.** 416 hours of V100 on Kinetics-400, on 32 GPUs; I3D with a ResNet-50 takes 1,440,
#   SlowFast with a ResNet-50 3,840. And this with 121.4 million parameters, against 28.0 and 34.6. Parameters, operations
#   and hours are three different things. 416 hours is still much for one person: begin with published weights.
# - **It is not always the most accurate.** On Kinetics and Something-Something other models of its year are ahead. On
#   Diving-48 it is strong.
# - **The image start matters more where appearance decides.** ImageNet-21K instead of ImageNet-1K gives 78.0 instead of 75.8 on
#   Kinetics, and on Something-Something 59.5 both ways. From scratch Kinetics falls to 64.8.
# - **Minutes.** On HowTo100M, with 96 frames at one in 32, a clip covers 102 s, and four clips a video are averaged: 62.6 %.
#   SlowFast, with 96 frames as well, gets 51.2.
# - **Open, says the paper:** localising actions, captions, questions about a video.

# %% [markdown]
# ## The experiment
#
# A TimeSformer of the size of the bundled clips (32 × 32 pixels, patches of 8, D = 64, 4 blocks) was trained for the
# comparison of lesson 10, and kept after 550 of 2,200 steps, with the state of its optimiser. You put **your** steps into its
# blocks and go on: same batches, same rate.

# %% tags=["claim-part"]
STEPS = 40
continuation = go_on("timesformer_begun", sample_clips("train"), num_steps=STEPS)
yours = continuation.model
yours.trunk.blocks = nn.ModuleList(YourBlock(one) for one in yours.trunk.blocks)
losses = torch.tensor([step.loss for step in continuation.steps])
recorded = recorded_course("timesformer_begun")["loss_curve"]  # [step, mean loss of the last ten steps]
ends = [continuation.step + done for done in range(10, STEPS + 1, 10)]
course = {end: float(mean) for end, mean in zip(ends, losses.view(-1, 10).mean(dim=1))}
off_course = max(abs(course[end] - dict(recorded)[end]) for end in ends)
print(f"steps {continuation.step + 1} to {ends[-1]}; along the recorded curve: {off_course < 0.05}")

# %%
curves = {"recorded": [(end, loss) for end, loss in recorded if end <= 1000], "yours": list(course.items())}
figure = learning_curves(curves, title="TimeSformer (divided), appearance and motion together")
told = []
for line in figure.axes[0].lines:
    steps, values = line.get_xdata(), line.get_ydata()
    fall = "falls" if values[-1] < values[0] else "rises"
    told.append(f"{line.get_label()}: {len(steps)} points, steps {int(steps[0])} to {int(steps[-1])}, {fall}")
show(figure, "; ".join(told) + ".")

# %% [markdown]
# The losses meet the recorded curve point by point: your two steps compute what the library's computed, forwards and
# backwards.
#
# Now clips that nobody has trained on. Each lies there twice, forwards and backwards, and each has two answers: **appearance**
# (which of four shapes; one frame is enough) and **motion** (eight classes, in four pairs that are each other played
# backwards).
#
# - **Baseline:** the average over frames, trained for all 2,200 steps from the same image model. It is the space-only scheme,
#   with the mean taken over features.
# - **Under test:** your TimeSformer, after 590 steps.
# - **Negative controls:** the same model on shuffled frames; on frames played backwards; and with its step over time put back to
#   zero.

# %% tags=["claim-part"]
yours.eval()
test_clips = sample_clips("val")


def backwards(batches):
    """The same batches, every clip played backwards; its labels stay as they were."""
    return ({**one, "clip": one["clip"].flip(1)} for one in batches)


def shares_right(model: nn.Module, change=lambda batches: batches) -> dict[str, float]:
    """Shares of clips with the right appearance, the right motion, and the right pair of motions."""
    right = {"appearance": 0, "pair": 0, "motion": 0}
    for one in change(evaluation_batches(test_clips, batch_size=64, num_frames=8)):
        with torch.no_grad():
            said = {name: logits.argmax(dim=1) for name, logits in model(one["clip"]).items()}
        for name in ("appearance", "motion"):
            right[name] += int((said[name] == one["labels"][name]).sum())
        right["pair"] += int((said["motion"] // 2 == one["labels"]["motion"] // 2).sum())
    return {name: count / len(test_clips) for name, count in right.items()}


# %% tags=["signature", "claim-part"]
found = {
    "baseline: average over frames": shares_right(load_shipped("frame_average")),
    "your TimeSformer": shares_right(yours),
    "control: frames shuffled": shares_right(yours, shuffled),
    "control: played backwards": shares_right(yours, backwards),
}
for one in yours.trunk.blocks:
    nn.init.zeros_(one.own.temporal_fc.weight)
    nn.init.zeros_(one.own.temporal_fc.bias)
found["control: no step over time"] = shares_right(yours)


def in_words(share: float) -> str:
    limits = {"rarely": 0.22, "a third": 0.42, "half": 0.58, "two thirds": 0.75}
    return next((word for word, limit in limits.items() if share < limit), "nearly all")


print(f"{'clips told rightly':<32}{'appearance':<14}{'pair':<14}motion")
for name, share in found.items():
    print(f"{name:<32}" + "".join(f"{in_words(one):<14}" for one in share.values()).rstrip())

# %% tags=["claim-holds"]
under_test, baseline = found["your TimeSformer"], found["baseline: average over frames"]
mixed, turned = found["control: frames shuffled"], found["control: played backwards"]
joint, paper_count, code_count = (int(count) for count in mine("06.2")(8, 196))
assert (joint, paper_count, code_count) == (1569, 206, 205), "a patch did not meet as many as was claimed"
assert apart["a clip that stands still"] < 1e-4, "a clip that stands still got another answer than its frame"
assert apart["a clip that moves"] > 0.01, "a moving clip got the mean of the image model's answers"
assert off_course < 0.05, "the training left the recorded curve"
assert min(under_test["appearance"], baseline["appearance"]) > 0.9, "a model did not even learn the shape"
assert under_test["motion"] > 0.8, "divided attention did not learn the motion"
assert baseline["motion"] < 0.4, "the average over frames told the motion"
assert mixed["motion"] < 0.6 and mixed["pair"] > 0.8, "shuffled frames still told the motion"
assert turned["motion"] < 0.2 and turned["pair"] > 0.8, "played backwards, the opposite motion was not named"
assert found["control: no step over time"]["motion"] < 0.4, "the motion was told without the step over time"
print("The claim holds: attention over time at each place tells what came first, and starts from nothing lost.")

# %% [markdown]
# Shuffled, the model still finds the **pair**: *hopping and swelling happened*. What it loses is which came first, and there it
# is a coin. Played backwards, it names the partner, confidently. So it goes by the order of the frames, and by nothing else that
# leaks.
#
# The last line is no fair model, since it was trained with the step. It shows only how much now hangs on it.

# %% [markdown]
# ## On a real video with the published weights
#
# First the finished model of the comparison, on a bundled clip: what it says, and where the class token looks in the last
# block. Bright is much.

# %%
my_video = ""  # for example "../holiday.mp4"

bundled = sorted((bundled_samples() / "val" / "sliding left").glob("*.mp4"))[0]
look_at(load_trained(shipped_folder("timesformer")), bundled)

# %% [markdown]
# Now the published TimeSformer, trained on Kinetics-400. It is used if its weights are on this machine. Put a video of your own
# above, something people do: the 400 classes are *juggling balls*, *making tea*, *surfing water* and the like.

# %%
published = published_model("facebook/timesformer-base-finetuned-k400", megabytes=486)
if published is not None:
    look_at(published, my_video or bundled)

# %% [markdown]
# Two cautions. The classes have an order, and published label maps differ: try a video whose class you know first. And a map
# of attention is not an explanation. What it can and cannot tell is the subject of lesson 11, with attention rollout, which
# joins the maps of all blocks.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **A reshape that mixes axes.** `x.reshape(B * s, t, D)` has exactly the shape that the step over time needs. It runs, it
# trains, it even learns a little. Here are three frames of four patches, each named *frame.place*:

# %%
names = [[f"{frame}.{place}" for place in range(4)] for frame in range(3)]  # (t, s) = (3, 4)
flat = [name for frame in names for name in frame]  # as they lie in memory
print("reshape to (s, t):   ", [flat[start : start + 3] for start in range(0, 12, 3)])
print("axes exchanged first:", [list(line) for line in zip(*names, strict=True)])

# %% [markdown]
# In the first line nearly all patches of a row are of one frame. A test that finds it: change one patch and look which updates
# move, as you did in step 3. Take sizes that differ; with t = s, or with one frame, some mistakes do not show.
#
# **Time fastest or time slowest?** The released code orders its tokens (h w t), this course (t h w), others (t h w) with the
# class token elsewhere. No weight depends on the order, so both load the same file. But who reads maps of attention in the
# wrong order sees stripes.
#
# **The class token in the time step.** The paper's formula has it as a key there. Suppose you build what the paper says, and
# load weights that were trained with the code:

# %%
class AsInThePaper(YourBlock):
    """The class token as one more key in the step over time."""

    def forward(self, x: Tensor, grid: TokenGrid) -> Tensor:
        own, cls, patches = self.own, x[:, :1], x[:, 1:].unflatten(1, (grid.t, grid.h * grid.w))
        extra = cls[:, None].expand(-1, -1, grid.h * grid.w, -1)  # beside every line in time
        lines = own.temporal_norm1(torch.cat([extra, patches], dim=1))
        patches = patches + own.temporal_fc(time_step(own.temporal_attn, lines)[:, 1:])
        to_cls, to_patches = space_step(own.attn, own.norm1(cls), own.norm1(patches))
        x = torch.cat([cls + to_cls, (patches + to_patches).flatten(1, 2)], dim=1)
        return x + own.mlp(own.norm2(x))


finished = load_shipped("timesformer")
with torch.no_grad():
    as_trained = finished.trunk.forward_features(clips)
    finished.trunk.blocks = nn.ModuleList(AsInThePaper(one) for one in finished.trunk.blocks)
    as_written = finished.trunk.forward_features(clips)
print("shapes agree:", as_trained.shape == as_written.shape)
print("same features:", torch.allclose(as_trained, as_written, atol=1e-3))

# %% [markdown]
# No error, other features. Formula and code must be read together, and the weights decide.
#
# **Two zeros in a row.** If the attention over time starts at zero as well as `temporal_fc`, each keeps the other's gradient at
# zero, and the branch never wakes.
#
# **Another number of frames.** The table of times has a row for each frame it was trained with. Given more or fewer frames, a
# model must resize it, and take t from the clip. A public port takes t from its configuration: with another number of frames
# it answers, wrongly, and says nothing.
#
# **Space only, averaged where?** The released code averages the tokens over the frames *before* the last norm. A public port
# never averages, and gives one answer a frame.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("06")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A clip is one row: class token, then patches frame by frame; a table of places, a table of times.
# - Joint attention meets t · s + 1 keys; divided t + s + 1 in the code, t + s + 2 in the paper.
# - Over time the places are rows; within frames the frames are rows. Exchange axes, then fold.
# - One class token is copied into every frame, and takes the mean of what its copies became.
# - `temporal_fc` starts at zero: a clip that stands still gets the image model's answer, a moving one does not, since the class
#   token is shared.
# - Divided saves with length and size, not at 8 small frames; it has 41 % more parameters.
#
# **Words:** who meets whom: [space only](../docs/glossary.md#space-only), [joint](../docs/glossary.md#joint),
# [divided](../docs/glossary.md#divided), [local and global](../docs/glossary.md#local-and-global),
# [axial](../docs/glossary.md#axial); [query](../docs/glossary.md#query) and [key](../docs/glossary.md#key);
# [image start](../docs/glossary.md#image-start). *t* and *s* are frames, and patches of a frame (the paper's F and N). All
# symbols of the course stand in the [table of names](../docs/naming.md).
#
# **Next:** lesson 07, *ViViT*: four models that divide space and time elsewhere.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need for Video Understanding?* (2021), arXiv 2102.05095
# - Dosovitskiy and others: *An Image is Worth 16×16 Words* (2020), arXiv 2010.11929
# - Ho, Kalchbrenner, Weissenborn, Salimans: *Axial Attention in Multidimensional Transformers* (2019), arXiv 1912.12180
# - Arnab and others: *ViViT: A Video Vision Transformer* (2021), arXiv 2103.15691
# - Goyal and others: *The "something something" video database* (2017), arXiv 1706.04261
# - Abnar, Zuidema: *Quantifying Attention Flow in Transformers* (2020), arXiv 2005.00928: attention rollout
