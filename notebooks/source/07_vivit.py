# %% [markdown]
# # 07 · ViViT
#
# A clip is a grid of tokens: some temporal indices, each with its places. ViViT asks one question four times: *which tokens
# should meet, and when?* Its four answers have the same blocks inside and very different bills.
#
# You write all four. Then you go on training the second from a shipped checkpoint, with your code inside.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **ViViT's model 2 makes one vector for each temporal index; only its second transformer compares times. Trained on for 30
# steps with your code inside, it follows the recorded curve and learns motions. The same 30 steps with these vectors
# shuffled, or averaged, leave shapes as good as ever and motions far behind.**
#
# The experiment near the end runs all three, and stops if this is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - write ViViT's four models, and prove each against the library;
# - say which of them has more parameters, which has fewer operations, and that these are two questions;
# - compute the pairs that each model weighs from t, h and w;
# - say when the order of axes matters, and when it cannot;
# - choose between a class token and pooling, and know why you cannot exchange them later;
# - go on training from a checkpoint, and tell that it is the same training.
#
# **Before this lesson:** lessons 02 (attention, the encoder block), 04 (tubelets) and 05 (folding time into the batch). Lesson
# 06 is a good companion. **Time:** about 85 minutes for the four core exercises, 30 more for the two extras.

# %% tags=["setup"]
import math

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from vtlearn.attention import Full, PerHead, SameFrame, SamePlace, reference_attention
from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_07 import FourModels, pairs_of
from vtlearn.course.published import look_at, published_model
from vtlearn.data.memory import evaluation_batches
from vtlearn.data.synthetic import bundled_samples
from vtlearn.errors import ArgumentError
from vtlearn.models import ViViT, ViViTConfig
from vtlearn.models.cost import model_cost
from vtlearn.runs.trained import load_trained
from vtlearn.shapes import TokenGrid
from vtlearn.study.shipped import go_on, load_shipped, recorded_course, sample_clips, shipped_folder
from vtlearn.viz.curves import learning_curves
from vtlearn.viz.model_costs import describe_costs, draw_costs
from vtlearn.viz.space_time import describe_keys, draw_keys, keys_of

start_lesson("07")

# %% [markdown]
# ## Who meets whom
#
# Lesson 04 cut a clip into tubelets. ViViT-B/16x2 takes 32 frames of 224 × 224 in tubelets of 2 × 16 × 16:
#
# $$t \cdot h \cdot w = 16 \cdot 14 \cdot 14 = 3136 \text{ tokens.}$$
#
# A **temporal index** is one step of this grid along time; here it covers two frames. In what follows s = h · w is the number
# of tokens of one temporal index, and tokens are `(B, t, s, D)`.
#
# The picture shows a small clip, 4 × 3 × 5 tokens, and one token that asks. The marks are the tokens it meets in one block.

# %% tags=["picture"]
grid = TokenGrid(4, 3, 5)
asking = (1, 1, 1)
same_place, same_index = keys_of(SamePlace(grid), grid, asking), keys_of(SameFrame(grid), grid, asking)
meeting = draw_keys(
    {
        "model 1, joint": {"everywhere": keys_of(Full(), grid, asking)},
        "model 2, its first transformer": {"in space": same_index},
        "model 3": {"first over time": same_place, "then in space": same_index},
        "model 4": {"half of the heads": same_place, "the other half": same_index},
    },
    asking,
)
show(meeting, describe_keys(meeting))

# %% [markdown]
# | | name | what happens | answer read from |
# |---|---|---|---|
# | 1 | joint | all tokens meet in every block | class token, or mean |
# | 2 | factorised encoder | a transformer within each temporal index, then one over the t vectors | a class token in each of the two, or means |
# | 3 | factorised self-attention | every block attends over time, then over space | mean |
# | 4 | factorised dot product | every block has heads for time and heads for space | mean |
#
# The picture has no room for model 2's second transformer. There each temporal index is a single vector, and all t of them meet.
#
# One thing that is often said does not fit. In a stack of convolutions, what a unit sees grows layer by layer. In model 1
# there is nothing to grow: every token meets every other in the first block.

# %% [markdown]
# ## Model 1: all at once
#
# A ViT, fed with all tokens of the clip:
#
# $$x = [\,z_{cls},\, z_{1,1}, \dots, z_{t,s}\,] + P, \qquad P \in \mathbb{R}^{(1 + t s) \times D}$$
#
# then blocks, a last norm, and the class token's vector.

# %% tags=["exercise"]
# 07.1

# %% [markdown]
# From here on the lesson runs on `mine("07.1")`: your function once it has passed, the library's until then.
#
# The proof: a small model 1 of the library, its weights handed to your function.


# %% tags=["claim-part"]
def weights_of(stage: nn.Module) -> tuple:
    """What your function needs of one of the library's transformers."""
    return stage.cls_token, stage.positions.table, stage.blocks, stage.norm


def same(mine_is: Tensor, library_is: Tensor) -> bool:
    return torch.allclose(mine_is.to(library_is), library_is, atol=1e-4)


# %%
torch.manual_seed(7)
small_grid = ViViTConfig.samples("joint").grid
tokens = torch.randn(2, small_grid.t, small_grid.tokens_per_frame, 64)
library = ViViT(ViViTConfig.samples("joint")).eval().requires_grad_(False)
vector = mine("07.1")(tokens, *weights_of(library.encoder))
print("tokens:", tuple(tokens.shape), "| vectors:", tuple(vector.shape))
print("model 1 is a ViT on the whole clip:", same(vector, library.encoder(tokens, small_grid)))

# %% [markdown]
# Model 1 is the dearest of the four. It is not the worst: on Kinetics-400 it was the best.

# %% [markdown]
# ## Model 2: first space, then time
#
# Two transformers, one behind the other:
#
# 1. **Space.** Each temporal index by itself: s tokens in, one vector out. The same weights for every index, so the indices
#    can be folded into the batch: `(B, t, s, D)` → `(B·t, s, D)` → `(B·t, D)`.
# 2. **Time.** The t vectors of a clip are the tokens of a second, shorter transformer: `(B, t, D)` → `(B, D)`.
#
# Each has its own class token, its own positions and its own last norm. It is VTN's plan (lesson 05) with a full transformer
# in place of the Longformer. Fusion is *late*: no token ever meets a token of another time.

# %% tags=["exercise"]
# 07.2

# %% [markdown]
# Both transformers of model 2 are your function from 07.1: a model 1 of one temporal index, and a model 1 of t tokens. So
# your two functions are enough to run the **trained** ViViT that comes with this course.


# %% tags=["claim-part"]
class YourEncoder(nn.Module):
    """A trained model 2 in your hands: its weights, your two functions, and something done in between."""

    def __init__(self, trained: nn.Module, between) -> None:
        super().__init__()
        self.trained, self.between = trained, between
        self.joint, self.factorised = mine("07.1"), mine("07.2")

    def run(self, rows: Tensor, stage: nn.Module) -> Tensor:  # (rows, n, D) -> (rows, D)
        return self.joint(rows[:, None], *weights_of(stage)).to(rows)

    def forward(self, tokens: Tensor, grid) -> Tensor:  # (B, t, s, D) -> (B, D)
        space, time = self.trained.spatial, self.trained.temporal
        then = lambda vectors: self.run(self.between(vectors), time)
        return self.factorised(tokens, lambda rows: self.run(rows, space), then)


def in_order(vectors: Tensor) -> Tensor:  # (B, t, D) -> (B, t, D)
    return vectors


# %%
finished, yours = load_shipped("vivit").requires_grad_(False), load_shipped("vivit").requires_grad_(False)
yours.trunk.encoder = YourEncoder(yours.trunk.encoder, in_order)
clips = torch.randn(2, 16, 3, 32, 32)
for labelling, logits in finished(clips).items():
    print(
        f"{labelling:<10} logits {tuple(logits.shape)}, your code gives the same:",
        same(yours(clips)[labelling], logits),
    )

# %% [markdown]
# ## Model 3: time and space in every block
#
# Model 3 mixes early. Each block attends twice, with two sets of weights:
#
# $$y = x + \text{time}(\text{norm}_t(x)), \qquad z = y + \text{space}(\text{norm}_s(y)), \qquad
# z + \text{mlp}(\text{norm}_m(z))$$
#
# It is close to TimeSformer's divided attention. There is no class token: it belongs to no place and to no time, so it would
# fit into neither step. The mean of all last tokens takes its part.

# %% tags=["exercise"]
# 07.3

# %%
library = ViViT(ViViTConfig.samples("factorised_self_attention")).eval().requires_grad_(False)
block = library.encoder.blocks[0]
norms = (block.norm_time, block.norm_space, block.norm_mlp)
after = mine("07.3")(tokens, norms, block.attn_time, block.attn_space, block.mlp)
print(
    "tokens:",
    tuple(after.shape),
    "| the library's block gives the same:",
    same(after, block(tokens, small_grid)),
)

# %% [markdown]
# ## Model 4: half of the heads each
#
# Model 4 keeps model 1's weights and divides its *heads*. In each block the first half of the heads attends over time, the
# second half over space, side by side. Their outputs are put together as always, and one projection follows:
#
# $$Y = [\,\text{heads over time},\ \text{heads over space}\,] \; W_o$$

# %% tags=["exercise"]
# 07.4

# %% [markdown]
# The proof by pattern: plain attention over all tokens, each half of the heads under its own mask.

# %%
q, k, v = (torch.randn(2, 4, 4, 15, 5) for _ in range(3))  # (B, heads, t, s, d) on the grid of the picture
halves = PerHead((SamePlace(grid), SamePlace(grid), SameFrame(grid), SameFrame(grid)))
under_masks = reference_attention(*(x.flatten(2, 3) for x in (q, k, v)), halves)
print("the same as attention under two masks:", same(mine("07.4")(q, k, v).flatten(2, 3), under_masks))

# %% [markdown]
# ## Parameters are not operations
#
# Popular summaries say that the factorised models are smaller. Count before you believe it.

# %% tags=["exercise"]
# 07.5

# %% [markdown]
# Now the whole bill, at the paper's size: ViViT-B/16x2, 32 frames of 224 × 224, 400 classes. To your count come tubelets,
# positions, class tokens, last norms and the head. Operations are multiply-adds, both products of attention included.

# %%
ENCODERS = {
    1: "joint",
    2: "factorised_encoder",
    3: "factorised_self_attention",
    4: "factorised_dot_product",
}
IN_THE_PAPER = {1: (88.9, 455.2), 2: (115.1, 284.4), 3: (117.3, 372.3), 4: (88.9, 277.1)}
bills, count = {}, mine("07.5")
print("       blocks by 07.5    + the rest = parameters   multiply-adds   in the paper")
for model, encoder in ENCODERS.items():
    cost = bills[model] = model_cost(ViViTConfig.base(encoder))
    blocks = int(count(model, 768, 3072, 12, 4))
    millions, billions = IN_THE_PAPER[model]
    print(
        f"model {model} {blocks:>14,} {cost.parameters - blocks:>12,} {cost.parameters:>12,}"
        f" {cost.multiply_adds / 1e9:>11.1f} ·10⁹   {millions:>6} ·10⁶ and {billions} ·10⁹"
    )

# %%
both = draw_costs(
    {
        "parameters, millions": {
            f"model {model}": {"all": cost.parameters / 1e6} for model, cost in bills.items()
        },
        "multiply-adds of one clip, billions": {
            f"model {model}": {
                "linear layers": cost.linear / 1e9,
                "products of attention": cost.attention / 1e9,
            }
            for model, cost in bills.items()
        },
    }
)
show(both, describe_costs(both))

# %% [markdown]
# Read it slowly:
#
# - **Models 2 and 3 have more parameters than model 1. Model 4 has exactly as many.** Model 2 adds a transformer, model 3 adds an
#   attention to each block. (The last digits of models 1 and 4 differ by a class token and its position: 2 · 768 numbers.)
# - **All three have fewer operations.** What they save is the products of attention.
# - The linear layers are most of the bill in any case. Model 3 pays for four more of them, on all tokens.
#
# Why the products shrink is a matter of pairs. In one block:
#
# | model | pairs of query and key | in words |
# |---|---|---|
# | 1 | (t·h·w)² | all with all |
# | 2 | t·(h·w)², and t² in a block of the second transformer | t small squares, then one tiny square |
# | 3 | t·(h·w)² + h·w·t² | each frame, then each place |
# | 4 | half of model 3's | each head does one of the two |

# %%
paper_grid = TokenGrid(16, 14, 14)
for model in ENCODERS:
    pairs = pairs_of(model, paper_grid)
    print(f"model {model}: {pairs:>9,} pairs, {100 * pairs / pairs_of(1, paper_grid):5.1f} % of model 1's")

# %% [markdown]
# ### Which is best where
#
# All four, trained alike by the authors (ViViT-B/16x2, top-1 in per cent; runtime on a TPU-v3):
#
# | model | Kinetics-400 | Epic Kitchens, action | ms a clip |
# |---|---|---|---|
# | 1 joint | **80.0** | 43.1 | 58.9 |
# | 2 factorised encoder | 78.8 | **43.7** | 17.4 |
# | 3 factorised self-attention | 77.4 | 39.1 | 31.7 |
# | 4 factorised dot product | 76.3 | 39.5 | 22.9 |
# | 2, vectors averaged | 75.8 | 38.8 | 17.3 |
#
# Kinetics is large, and there the model that restricts least wins. Epic Kitchens is smaller, and model 1 overfits: model 2
# wins at a third of the time. Milliseconds do not follow multiply-adds either: model 4 has the fewest operations and is
# slower than model 2.
#
# Small data sets asked for more than a good start. On Epic Kitchens model 2 went from 38.4 % to 43.7 % step by step: a start
# from Kinetics, stochastic depth, RandAugment, label smoothing, mixup. Lesson 08 has them all.

# %% [markdown]
# ## The order of axes
#
# Time first, or space first? The paper's equations for model 3 have space first; its released code has time first; the
# authors saw no difference in accuracy. Are the two even the same function? Write attention along any axes, in any order.

# %% tags=["exercise"]
# 07.6


# %%
def average(rows: Tensor) -> Tensor:  # (rows, n, D) -> (rows, n, D)
    """Attention with the same weight for every key."""
    return rows.mean(dim=1, keepdim=True).expand_as(rows)


def attention(rows: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(rows, rows, rows)


clip_tokens, in_turn = torch.randn(2, 4, 3, 3, 6), mine("07.6")  # (B, t, h, w, D)
for name, attend in (("attention", attention), ("averages", average)):
    time_first = in_turn(clip_tokens, attend, ("t", "hw"))
    space_first = in_turn(clip_tokens, attend, ("hw", "t"))
    print(f"{name:<9}: time first and space first give the same: {same(time_first, space_first)}")

# %% [markdown]
# Averages over rows and over columns of a table can be taken in either order. Attention cannot: its weights in the second step
# depend on what the first has done. So the two orders are different functions. They are trained apart and end up about as
# good. But weights trained in one order do not fit the other.

# %% [markdown]
# ## Try it: four models
#
# Move a slider with the mouse or with the arrow keys. Three things to find out:
#
# 1. At how many frames are products of attention more than half of model 1's operations?
# 2. What do more blocks over time cost model 2: parameters, or operations?
# 3. Which model has fewer parameters than model 1? (Look long.)

# %% tags=["panel"]
FourModels()

# %% [markdown]
# ## The experiment
#
# The course comes with a ViViT whose training was stopped after 400 of 2,200 steps, its optimiser included. It is a small
# model 2 with one trunk (all that comes before the answer) and two heads: *shapes* (four classes; one frame is enough) and *motions* (eight classes; each is
# another one played backwards).
#
# You go on for 30 steps, with your encoder inside. The same clips come in the same order as in the recorded run. So if your
# code computes what the recorded run computed, the losses must be its losses.
#
# - **Baseline:** the model as it was stopped.
# - **Under test:** 30 steps, the vectors of the temporal indices in order.
# - **Negative controls:** the same steps, the vectors in random order before the second transformer; and all of them replaced
#   by their mean.

# %% tags=["claim-part"]
STEPS = 30
train_clips, val_clips = sample_clips("train"), sample_clips("val")
recorded = {step: loss for step, loss in recorded_course("vivit_begun")["loss_curve"] if 300 <= step <= 700}
dice = torch.Generator().manual_seed(7)
print("clips to learn from:", len(train_clips), "| clips to ask about:", len(val_clips))


def shuffled(vectors: Tensor) -> Tensor:  # (B, t, D) -> (B, t, D)
    order = torch.rand(vectors.shape[:2], generator=dice).argsort(dim=1)
    return vectors.gather(1, order[..., None].expand_as(vectors))


def averaged(vectors: Tensor) -> Tensor:  # (B, t, D) -> (B, t, D)
    return vectors.mean(dim=1, keepdim=True).expand_as(vectors)


# %% tags=["claim-part"]
def train_on(between) -> tuple[nn.Module, dict[int, float]]:
    """Go on from the checkpoint; the model, and its mean loss over each ten steps."""
    run = go_on("vivit_begun", train_clips, num_steps=STEPS)
    run.model.trunk.encoder = YourEncoder(run.model.trunk.encoder, between)
    losses = [step.loss for step in run.steps]
    means = {run.step + end: sum(losses[end - 10 : end]) / 10 for end in range(10, STEPS + 1, 10)}
    return run.model, means


@torch.inference_mode()
def count_right(model: nn.Module) -> dict[str, int]:
    """How many clips of the validation set get the right shape, and the right motion."""
    model.eval()
    right = {"appearance": 0, "motion": 0}
    for batch in evaluation_batches(val_clips, batch_size=64, num_frames=16):
        for labelling, logits in model(batch["clip"]).items():
            right[labelling] += int((logits.argmax(1) == batch["labels"][labelling]).sum())
    return right


# %% tags=["signature", "claim-part"]
curves, right = {}, {"as it was stopped": count_right(load_shipped("vivit_begun"))}
for name, between in (("in order", in_order), ("shuffled", shuffled), ("averaged", averaged)):
    model, curves[name] = train_on(between)
    right[name] = count_right(model)
gap = max(abs(loss - recorded[step]) for step, loss in curves["in order"].items())
for name, counted in right.items():
    shapes, motions = (counted[labelling] / len(val_clips) for labelling in ("appearance", "motion"))
    print(
        f"{name:<18} shapes right: {'more' if shapes > 3 / 4 else 'fewer'} than 3 in 4 | motions right: "
        f"{'more than 1 in 2' if motions > 1 / 2 else 'fewer than 1 in 3' if motions < 1 / 3 else 'between'}"
    )
print("by chance: 1 in 4 and 1 in 8")
print("your losses are those of the recorded run:", gap < 0.02)

# %%
beside = learning_curves(
    {"recorded": list(recorded.items())} | {name: list(curve.items()) for name, curve in curves.items()},
    value_name="training loss, mean of 10 steps",
)
lines = {str(line.get_label()): line.get_xydata() for line in beside.axes[0].lines}
told = "; ".join(f"{name}, steps {points[0][0]:.0f} to {points[-1][0]:.0f}" for name, points in lines.items())
lowest = ", ".join(sorted(curves, key=lambda name: lines[name][-1][1]))
show(beside, f"training loss, {told}. At the last step of yours, from low to high: {lowest}.")

# %% tags=["claim-holds"]
motions = {name: counted["motion"] for name, counted in right.items()}
shapes_right = {name: counted["appearance"] for name, counted in right.items()}
controls = ("shuffled", "averaged")
assert gap < 0.02, "your losses are not those of the recorded run"
assert motions["in order"] > 1.4 * motions["as it was stopped"], "30 steps taught it no motion"
assert motions["in order"] > 1.8 * max(motions[name] for name in controls), "a control learned motions, too"
assert min(shapes_right[name] for name in controls) > 0.9 * shapes_right["in order"], (
    "a control lost the shapes"
)
assert min(shapes_right.values()) > 0.7 * len(val_clips), "the shapes were not known"
print(
    "The claim holds: your model 2 follows the recorded run; without the order of its vectors it falls far behind."
)

# %% [markdown]
# The shuffled control is better than chance. It should be: a tubelet holds two frames, so a vector knows a little about
# motion by itself. And many motions look unlike each other in any order; it is *which came first* that is lost.
#
# Be fair to the controls: they start from weights that were trained in order, so part of their lag is the change itself. That is
# why the claim speaks of these 30 steps, and why a full comparison (lesson 10) trains its control from the start.

# %% [markdown]
# ## On a real video, with the published weights
#
# First the finished model of this course on a bundled clip: the likeliest motions, and where attention lies in its last
# blocks. A patch's share in its temporal index is multiplied by the index's share among times. Pale is much.

# %%
my_video = ""  # for example "../holiday.mp4"

bundled = sorted((bundled_samples() / "val" / "hop then swell").glob("*.mp4"))[0]
look_at(load_trained(shipped_folder("vivit"), labelling="motion"), bundled, top=3)

# %% [markdown]
# Now the authors' model 1, trained on Kinetics-400, in its port to PyTorch. If its weights lie on this machine, the cell shows
# it a video; if not, it says how to get them. Put a file of your own above, something people do. Of the bundled clip it can
# only talk nonsense, and does so with confidence. That is worth seeing, too.

# %%
where = "google/vivit-b-16x2-kinetics400"
published = published_model(where, megabytes=356)
if published is not None:
    look_at(published, my_video or bundled, top=5)

# %% [markdown]
# It takes pixels in [−1, 1], not (x − 0.45) / 0.225 as TimeSformer and VTN do. One published processor file scales twice and
# lands in [−3, 1]; the library takes the range of training, whatever that file says.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **More factorised is not smaller.** You have counted it: 115 and 117 million against 89.
#
# **Class token against pooling.** Both read the answer out of the last tokens, and both train well. But a model learns to put
# its answer *there*. Read a trained one at the other place, and no error comes.

# %%
token, pooled = load_shipped("vivit"), load_shipped("vivit")
pooled.trunk.encoder.temporal.classifier = "mean"
for name, model in (("class token, as trained", token), ("mean of all tokens", pooled)):
    share = count_right(model)["motion"] / len(val_clips)
    told = "more than 9 in 10" if share > 0.9 else "fewer than 4 in 10" if share < 0.4 else "about half"
    print(f"{name:<24} {told} motions right")

# %% [markdown]
# Models 3 and 4 have no choice: a class token has no place and no time.

# %%
try:
    ViViTConfig(encoder="factorised_self_attention", classifier="token")
except ArgumentError as error:
    print("refused:", str(error).split(":")[0])

# %% [markdown]
# **All zeros never wake up.** Model 3 starts from an image model: space gets its weights, and time should do nothing at step 0.
# Zero *all* weights of attention over time, as one may read it, and they stay at zero for ever, but for the last bias: each
# factor of a product gets its gradient through the others. Zero the last projection alone.


# %%
def waking(names: tuple[str, ...]) -> list[str]:
    """Which weights of attention over time get a gradient when those named start at zero."""
    layer = ViViT(ViViTConfig.samples("factorised_self_attention")).encoder.blocks[0].attn_time
    for name in names:
        nn.init.zeros_(getattr(layer, name).weight)
        nn.init.zeros_(getattr(layer, name).bias)
    (layer(torch.randn(2, 4, 64)) * torch.randn(2, 4, 64)).sum().backward()
    with_gradient = {name: parameter.grad.abs().sum() > 0 for name, parameter in layer.named_parameters()}
    return [name for name, woken in with_gradient.items() if woken]


torch.manual_seed(7)
print("all zero, gradient reaches:", waking(("qkv", "proj")))
print("last projection zero:      ", waking(("proj",)))

# %% [markdown]
# **Reshape is not transpose**, once more. `(B, t, s, D)` to rows over time needs an exchange of t and s. `reshape(B·s, t, D)`
# has the right shape and mixes places.

# %%
numbered = torch.arange(6).reshape(1, 2, 3, 1)  # (B, t, s, D): token t · s + place
print("rows over time:  ", rearrange(numbered, "b t s d -> (b s) t d").squeeze(-1).tolist())
print("reshape alone:   ", numbered.reshape(3, 2, 1).squeeze(-1).tolist())

# %% [markdown]
# **Positions belong to a grid.** Model 1's table has a row for each tubelet. Show it a longer clip, and the table is too
# short; resize it over time and space apart, as in lesson 04. Model 2's two tables are shorter, and one serves any number of
# indices.
#
# **Half of an odd number.** Model 4 needs an even number of heads.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("07")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Model 1: all tokens in one transformer, (t·h·w)² pairs. Dearest, and best on Kinetics-400.
# - Model 2: a transformer in each temporal index, then one over t vectors. More parameters, far fewer operations, fastest; best
#   on Epic Kitchens.
# - Model 3: time and space in every block, with weights for both. Most parameters.
# - Model 4: half of the heads for each. Model 1's weights, half of model 3's products.
# - Parameters, operations and milliseconds are three different numbers.
# - A read-out is learned: class token and mean cannot be exchanged after training.
#
# **Words:** *temporal index*, a step of the token grid along time; [tubelet](../docs/glossary.md#tubelet);
# [factorised](../docs/glossary.md#factorised); [joint](../docs/glossary.md#joint);
# [class token](../docs/glossary.md#class-token); [multiply-add](../docs/glossary.md#multiply-add);
# [projection](../docs/glossary.md#projection). All symbols of the course, s = h · w among them, stand in the
# [table of names](../docs/naming.md).
#
# **Next:** lesson 08, *training*: from a laptop's CPU to several GPUs.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Arnab, Dehghani, Heigold, Sun, Lučić, Schmid: *ViViT: A Video Vision Transformer* (2021), arXiv 2103.15691
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need for Video Understanding?* (2021), arXiv 2102.05095
# - Neimark, Bar, Zohar, Asselmann: *Video Transformer Network* (2021), arXiv 2102.00719
# - Dosovitskiy and others: *An Image is Worth 16x16 Words* (2020), arXiv 2010.11929
# - Damen and others: *Rescaling Egocentric Vision* (2020), Epic Kitchens, arXiv 2006.13256
