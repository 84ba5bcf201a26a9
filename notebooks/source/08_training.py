# %% [markdown]
# # 08 · Training, CPU to CUDA
#
# You have models. Now make them learn: on a laptop today, on a GPU tomorrow, on eight of them next month, with the same code.
#
# This lesson builds a training loop from one step, adds what the papers add, and then asks the question that decides about
# every one of these additions: what does it do to clips that the model has never seen?

# %% [markdown] tags=["claim"]
# ## The claim
#
# **What an augmentation varies, the model learns to ignore. One random crop for all frames of a clip hides nothing but the
# place: the gap between training and validation closes. The same crop, drawn anew for each frame, hides the motion too; and a
# mirror makes left and right the same. Both also close the gap, but only because the training itself gets worse.**
#
# You train the four below, and the lesson stops if the claim is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - write a training step that runs on any device, and test it by learning one batch by heart;
# - choose between SGD and AdamW, warm up, follow a cosine, clip;
# - reach a large batch with a small memory, and say what mixed precision changes;
# - break a run off and go on, equal bit by bit;
# - augment video so that all frames agree, and read the gap between training and validation;
# - find eight mistakes in a loop that runs without an error;
# - start the same run on many GPUs.
#
# **Before this lesson:** lesson 02. Lesson 04 helps. **Time:** about 90 minutes for the four core exercises, 35 more for the
# two extras.

# %% tags=["setup"]
import copy
import math
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_08 import RateExplorer
from vtlearn.data.augment import RandAugment
from vtlearn.data.transforms import RandomCrop, RandomFlip
from vtlearn.errors import ArgumentError
from vtlearn.layers.block import EncoderBlock
from vtlearn.layers.embed import TubeletEmbed
from vtlearn.train.checkpoint import load_checkpoint, save_checkpoint
from vtlearn.train.ema import WeightAverage
from vtlearn.train.loop import gradient_scaler, train_steps
from vtlearn.train.losses import multi_head_loss
from vtlearn.train.mix import MixClips
from vtlearn.train.optim import adamw, sgd, warmup_cosine
from vtlearn.viz.training import describe_gap, draw_gap
from vtlearn.viz.video import frame_rows, words_of_frame_rows

start_lesson("08")

# %% [markdown]
# ## Something to learn
#
# Made-up clips of 6 frames, 20 × 20 pixels. A bright spot drifts, half a pixel a frame: left, right, up or down. The ground
# is noise of its own in every clip, and stands still. The noise has nothing to do with the label. But with few clips it is
# the easiest thing to remember.


# %% tags=["claim-part"]
FRAMES, SIDE, CROP = 6, 20, 16
MOTIONS = ["moves left", "moves right", "moves up", "moves down"]


def make_clips(number: int, seed: int) -> tuple[Tensor, Tensor]:  # -> (B, T, C, H, W), (B,)
    """A spot that drifts over still noise; the four motions in turn."""
    chance = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % 4
    heading = torch.tensor([[0, -1], [0, 1], [-1, 0], [1, 0]])[labels]  # rows, columns
    start = torch.randint(6, SIDE - 6, (number, 2), generator=chance)
    times = torch.arange(FRAMES) - (FRAMES - 1) / 2
    spot = start[:, None] + 0.5 * times[:, None] * heading[:, None]  # (B, T, 2)
    rows, columns = ((torch.arange(SIDE) - spot[..., axis, None]) ** 2 for axis in (0, 1))
    light = torch.exp(-(rows[..., :, None] + columns[..., None, :]) / 3)  # (B, T, H, W)
    ground = 0.5 * torch.rand(number, 1, SIDE, SIDE, generator=chance)
    return (ground + light)[:, :, None], labels


# %% tags=["picture"]
clips, labels = make_clips(64, seed=0)
one = clips[1:2]  # moves right
chance = torch.Generator().manual_seed(3)
rows = {
    "as it is": one[0, :, :, 2:-2, 2:-2],
    "once a clip": RandomCrop(CROP)(one, chance)[0],
    "once a frame": RandomCrop(CROP)(one[0][:, None], chance)[:, 0],
    "mirrored": one[0, :, :, 2:-2, 2:-2].flip(-1),
}
rows = {name: frames.expand(-1, 3, -1, -1).clamp(0, 1) for name, frames in rows.items()}
frames = frame_rows(rows)
show(frames, words_of_frame_rows(frames))

# %% [markdown]
# The same clip four times; the spot moves right. In the second row all frames are cut at one other place: the spot is
# elsewhere, but moves as it did. In the third row each frame is cut for itself, and the camera shakes: spot and ground jump
# together, and the drift is lost in the jumps. In the fourth the spot moves **left**. The label still says right.
#
# Keep these rows in mind. First, a loop.

# %% [markdown]
# ## Step 1: one step, anywhere
#
# Training is one step, repeated. With weights θ, a batch of B clips x with labels y, and a rate η:
#
# $$L = \frac1B \sum_{i} -\log \mathrm{softmax}(f_\theta(x_i))_{y_i}, \qquad g = \nabla_\theta L, \qquad
#   \theta \leftarrow \theta - \eta\, u(g).$$
#
# What u makes of the gradient g is the optimiser's business (step 2).
#
# **Clipping** goes between: a rare batch has a gradient a hundred times as long as others, and would throw the weights
# far away. With a limit m for the length of all gradients together,
#
# $$g \leftarrow g \cdot \min\left(1, \frac{m}{\lVert g \rVert}\right).$$
#
# The direction stays.
#
# **Devices.** Tensors that meet must lie on the same device. The batch comes from the CPU, the model may be on a GPU. A step
# that asks the *model* where it lives works everywhere. And a GPU works behind the program's back: Python only queues what is
# to be done. Whoever reads a number (`.item()`, `print`, `if loss > 3`) makes Python wait until the queue is empty. Once in a
# hundred steps that is nothing; several times in each, the GPU idles.

# %% tags=["exercise"]
# 08.1

# %% [markdown]
# How does the check know that your step is safe for a GPU, without one? It puts the model on the device `meta`, where
# tensors have shapes and no numbers. What stays behind collides, and a look at a number is an error.
#
# ### First of all: one batch by heart
#
# Before you train on anything, train on **one batch**, again and again. A model with enough weights must learn eight clips by
# heart. If it does not, something is broken, and you have found it in seconds instead of days.
#
# The network cuts a clip into 16 tubelets of all 6 frames × 4 × 4 pixels, lets them attend to each other in one block, and
# answers from their mean.


# %% tags=["claim-part"]
class Network(nn.Module):
    """Tubelets, positions, one block, the mean, four answers."""

    def __init__(self, drop_path: float = 0.0):
        super().__init__()
        self.embed = TubeletEmbed(tubelet_size=(FRAMES, 4, 4), in_channels=1, embed_dim=32)
        self.positions = nn.Parameter(0.02 * torch.randn(16, 32))
        self.block = EncoderBlock(32, 4, 128, drop_path=drop_path)
        self.norm, self.answer = nn.LayerNorm(32), nn.Linear(32, 4)

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, C, H, W) -> (B, 4)
        tokens = self.embed(clips - 0.3).flatten(1, 2) + self.positions  # (B, N, D)
        return self.answer(self.norm(self.block(tokens)).mean(dim=1))


# %%
step = mine("08.1")
eight = {"clip": clips[:8, ..., 2:-2, 2:-2], "labels": labels[:8], "path": ["made up"] * 8}
random_labels = {**eight, "labels": torch.tensor([3, 3, 0, 1, 0, 2, 1, 1])}
for name, batch in {"true labels": eight, "labels drawn by lot": random_labels}.items():
    torch.manual_seed(0)
    network = Network()
    optimizer = adamw(network, 3e-3)
    first, *_, last = (float(step(network, optimizer, batch, 1.0)) for _ in range(60))
    print(f"{name:<20} first loss near ln 4: {abs(first - math.log(4)) < 0.5}; learned by heart: {last < 0.05}")

# %% [markdown]
# Two things to take along. The **first loss** should be near ln(classes): the model knows nothing yet and should say so. And
# labels drawn by lot are learned just as well. So a training loss of 0 proves that the loop works. It proves nothing about
# what was understood.

# %% [markdown]
# ## Step 2: optimiser and rate
#
# **SGD with momentum** keeps a running sum of gradients, $v \leftarrow \mu v + g$, and steps along it: $\theta \leftarrow
# \theta - \eta v$. One rate for all weights.
#
# **AdamW** keeps two running means, of g and of g², and divides one by the root of the other:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad s \leftarrow \beta_2 s + (1 - \beta_2) g^2, \quad
#   \theta \leftarrow \theta - \eta \left( \frac{\hat m}{\sqrt{\hat s} + \epsilon} + \lambda \theta \right).$$
#
# ($\hat m, \hat s$: corrected for starting at 0.) Each weight gets a step of about η, whatever the size of its gradient. The
# last term is **weight decay**: it pulls weights towards 0, and the W says that it does not go through the division. Biases
# and norms are usually spared.

# %%
print(f"{'':<8} {'gradient ×':>10}  {'length of the first step':>25}")
for name, optimiser in {"SGD": partial(sgd, nesterov=False), "AdamW": adamw}.items():
    for factor in (1, 100):
        weights = nn.Linear(4, 1, bias=False)
        optimizer = optimiser(weights, 0.01, weight_decay=0.0)
        before = weights.weight.detach().clone()
        (factor * weights(torch.ones(1, 4))).sum().backward()
        optimizer.step()
        print(f"{name:<8} {factor:>10}  {float((weights.weight.detach() - before).norm()):>25.3f}")
groups = adamw(network, 1e-3, weight_decay=0.05).param_groups
print("tensors with decay and without:", [(group["weight_decay"], len(group["params"])) for group in groups])

# %% [markdown]
# A hundred times the gradient, and AdamW takes the same step. That is why transformers, whose layers have gradients of very
# different size, are mostly trained with it. (VTN and TimeSformer fine-tuned with SGD all the same, ViViT too: from good
# image weights and with a careful schedule it works.)
#
# **The rate changes during the run.** At the start AdamW's means rest on a handful of batches, and attention has not settled:
# so a **warm-up** lets the rate rise from almost nothing. Towards the end the weights only tremble in the noise of the
# batches: so a **cosine** takes the rate down to 0. With w steps of warm-up out of S, step k counted from 0:
#
# $$\text{factor}(k) = \begin{cases} (k + 1) / (w + 1) & k < w \\
#   \tfrac12 \left(1 + \cos \pi \frac{k - w}{S - w}\right) & w \le k < S \end{cases}$$

# %% tags=["exercise"]
# 08.2

# %%
factor = mine("08.2")
ours = [float(factor(k, 10, 150)) for k in range(151)]
theirs = [warmup_cosine(k, total_steps=150, warmup_steps=10) for k in range(151)]
print("steps 0, 5, 10, 80, 150:", [round(ours[k], 2) for k in (0, 5, 10, 80, 150)])
print("same as the library's curve:", bool(np.allclose(ours, theirs, atol=1e-5)))

# %% [markdown]
# ## Try it: loss and rate
#
# A loss with two directions, one gentle and one twelve times as steep, and noise in every gradient, as batches have. Four
# things to find out:
#
# 1. At which rate does plain SGD begin to climb? The rule says: at 2 divided by the steepness.
# 2. Give AdamW the same rate, then 1.0. Does it climb? Why not?
# 3. Back to SGD at 0.1: take the cosine away. What does the loss do in the last twenty steps?
# 4. Clip, at a rate of 0.5 and at 0.1. When does it save the run, and when does it only cost time?

# %% tags=["panel"]
RateExplorer()

# %% [markdown]
# ## Step 3: a large batch in a small memory
#
# A clip of 32 frames fills a GPU quickly: 4 clips fit where the recipe says 64. **Accumulation** sends the batch through in
# parts and steps once. `backward()` adds to `.grad`, so only one question is left: what must each part count? With parts of
# $n_j$ clips, M in all, and $L_j$ the mean loss of part j:
#
# $$\nabla L = \sum_j \frac{n_j}{M} \nabla L_j .$$

# %% tags=["exercise"]
# 08.3

# %%
torch.manual_seed(0)
network = Network().double()
middle = clips[..., 2:-2, 2:-2].double()
gradients = {}
for name, sizes in {"one batch of 64": [64], "parts of 40, 20, 4": [40, 20, 4]}.items():
    parts = list(zip(middle.split(sizes), labels.split(sizes), strict=True))
    mine("08.3")(network, parts)
    gradients[name] = torch.cat([one.grad.flatten() for one in network.parameters()])
same = torch.allclose(*gradients.values(), rtol=1e-6, atol=1e-9)
print(f"{len(gradients['one batch of 64']):,} numbers of gradient, the same either way: {same}")

# %% [markdown]
# Memory goes by the largest part, time by all clips. One thing is not the same: batch norm sees the parts, not the whole.
# Transformers have layer norm, which looks at one token alone.
#
# **The rate belongs to the batch.** A gradient over more clips is less noisy and bears a longer step. The usual rule: twice
# the batch, twice the rate (with a warm-up); with AdamW often only √2 times. Whoever halves a batch to make it fit and
# keeps the rate has changed the recipe.

# %% [markdown]
# ## Step 4: fewer bits
#
# A GPU multiplies numbers of 16 bits many times faster than those of 32, and they take half the memory. **Mixed precision**
# keeps the weights in float32 and lets the products run in 16 bits. There are two kinds:

# %%
print(f"{'':<10} {'largest':>9} {'smallest':>9} {'next after 1':>13}   0.00000001 becomes")
for kind in (torch.float32, torch.bfloat16, torch.float16):
    facts, tiny = torch.finfo(kind), float(torch.tensor(1e-8).to(kind))
    name = str(kind).removeprefix("torch.")
    print(f"{name:<10} {facts.max:>9.0e} {facts.tiny:>9.0e} {1 + facts.eps:>13.7f}   {tiny:.0e}")

# %% [markdown]
# **bfloat16** has the range of float32, but only two to three decimal digits instead of seven. **float16** has three to four
# digits and a short range: small gradients become 0. So with float16 the loss is multiplied by a large number before `backward()`, and the gradients divided by it before the step: a
# **loss scaler**. With bfloat16 you need none; take it where the GPU has it (2020 and later).
#
# `torch.autocast` chooses per operation. Look at what it leaves alone:

# %%
with torch.autocast("cpu", dtype=torch.bfloat16):
    layer = nn.Linear(8, 4)
    product = layer(torch.ones(2, 8))
    loss = F.cross_entropy(product.float(), torch.tensor([0, 1]))
loss.backward()
kinds = {"product": product, "loss": loss, "weight": layer.weight, "gradient": layer.weight.grad}
print({name: str(tensor.dtype).removeprefix("torch.") for name, tensor in kinds.items()})

# %% [markdown]
# In all, from CPU to CUDA: the model goes to the device once, the batch in every step, the forward pass under autocast.
# Everything else stays. A loader with `pin_memory=True` and `.to(device, non_blocking=True)` lets the copy run beside the
# computation. In this library, `train_steps(…, precision="bfloat16")` and a model on the GPU are all.

# %% [markdown]
# ## Step 5: break off, go on
#
# Long runs end early: a time limit, a full disk, a colleague. What must be kept, so that the resumed run is **the same run**?
# Everything that the next step reads: weights, the optimiser's means, the place in the schedule, the place in the data, and
# the state of chance, since dropout and augmentation draw from it.
#
# *The same* is meant to the last bit. "Almost the same" cannot be told from "slightly broken".

# %% tags=["exercise"]
# 08.4

# %%
Snapshot = mine("08.4")


def run(network: nn.Module, optimizer: torch.optim.Optimizer, start: int, end: int) -> None:
    """Steps start … end − 1 on batches that depend on the step alone; drop path draws random numbers."""
    for k in range(start, end):
        chosen = torch.arange(16) + 4 * k
        step(network, optimizer, {"clip": middle[chosen].float(), "labels": labels[chosen]}, 1.0)


def build() -> tuple[nn.Module, torch.optim.Optimizer]:
    network = Network(drop_path=0.3)
    return network, adamw(network, 3e-3)


network, optimizer = build()
run(network, optimizer, 0, 5)
kept = Snapshot(network, optimizer, 5)
weights_only = copy.deepcopy(network.state_dict())
run(network, optimizer, 5, 10)  # the unbroken run

resumed, resumed_optimizer = build()
run(resumed, resumed_optimizer, kept.restore(resumed, resumed_optimizer), 10)
careless, careless_optimizer = build()
careless.load_state_dict(weights_only)
run(careless, careless_optimizer, 5, 10)
for name, other in {"resumed": resumed, "weights only": careless}.items():
    pairs = zip(network.parameters(), other.parameters(), strict=True)
    print(f"{name:<13} equal bit by bit: {all(torch.equal(a, b) for a, b in pairs)}")

# %% [markdown]
# On a disk there is one more danger: the run dies **while it writes**. So a checkpoint is written beside its place, flushed,
# and renamed last; a reader finds the old one or the new one, never half of one. And it should hold numbers, not programs:
# `torch.load` of a file from elsewhere can run code (hence its `weights_only`). The library writes safetensors, JSON and
# checksums.

# %%
with tempfile.TemporaryDirectory() as folder:
    saved = save_checkpoint(
        Path(folder) / "step_10", step=10, model=network, model_name="spots", config={"drop_path": 0.3},
        optimizer=optimizer,
    )  # fmt: skip
    print("files:", sorted(path.name for path in saved.iterdir()))
    again, again_optimizer = build()
    checkpoint = load_checkpoint(saved, model_name="spots")
    checkpoint.restore(again, optimizer=again_optimizer, random_state=True)
    pairs = zip(network.parameters(), again.parameters(), strict=True)
    print("step", checkpoint.step, "· equal bit by bit:", all(torch.equal(a, b) for a, b in pairs))

# %% [markdown]
# Beside the weights some runs keep a **running average** of them (EMA, exponential moving average) and evaluate that: it
# trembles less. After each step the average goes a part of the way to the new weights: 1 − decay, so a tenth with a decay of 0.9.
# In the first steps the library lets it go farther, since the weights that it began with were worth little. The average is a
# second model, and belongs into the checkpoint too (`save_checkpoint(…, ema=average.module)`).

# %%
average = WeightAverage(network, decay=0.9)
start = network.answer.bias.detach().clone()
for done in (1, 10, 1000):
    with torch.no_grad():
        network.answer.bias += 1.0
        average.module.answer.bias.copy_(start)  # how far does one update move it?
    average.update(network, step=done)
    moved = (average.module.answer.bias - start) / (network.answer.bias.detach() - start)
    print(f"step {done:>4}: one update goes {float(moved.mean()):.0%} of the way".replace("%", " %"))

# %% [markdown]
# ## Step 6: the gap
#
# The **gap** is the accuracy on the training clips less that on clips never seen. With 64 clips and thousands of weights it
# is wide. Five common remedies, and what each of them says to the model:
#
# | remedy | what is done | what it says |
# |---|---|---|
# | augmentation | each time another crop, colour, … of the clip | this does not matter |
# | RandAugment | some operations drawn from a list, all of one strength | none of these matters |
# | mixup | $\tilde x = \lambda x_i + (1 - \lambda) x_j$, labels likewise | between two clips, be in between |
# | label smoothing | target $1 - \epsilon + \epsilon / K$, the others $\epsilon / K$ | never be quite sure |
# | drop path | a block's update is left out for some clips | do not rely on one block |
#
# For video there is one more rule: **draw once per clip**. Frames that are cropped, coloured or turned each for itself flicker,
# and flicker is motion.

# %% tags=["exercise"]
# 08.5

# %%
crop = mine("08.5")
stills = clips[:, :1].expand(-1, FRAMES, -1, -1, -1)  # the first frame, six times
pieces = crop(stills, CROP, torch.Generator().manual_seed(1))
frame_by_frame = RandomCrop(CROP)(stills.flatten(0, 1)[:, None], torch.Generator().manual_seed(1))
shaken = frame_by_frame.unflatten(0, (64, FRAMES))
print("clips before and after:", tuple(stills.shape), tuple(pieces.shape))
print("cut once a clip, a still clip stays still: ", bool((pieces == pieces[:, :1]).all()))
print("cut once a frame, a still clip stays still:", bool((shaken == shaken[:, :1]).all()))

# %% [markdown]
# RandAugment for clips works by the same rule. Of a list of operations it draws a few for each clip, applies them at one
# strength, and to all frames alike. A clip that stands still must still stand still afterwards:

# %%
still = 255 * torch.rand(3, 1, 3, 8, 8, generator=torch.Generator().manual_seed(5))
changed = RandAugment()(still.expand(-1, 4, -1, -1, -1), torch.Generator().manual_seed(6))
print("changed:", bool((changed[:, :1] - still).abs().amax() > 1))
print("all frames alike:", bool((changed - changed[:, :1]).abs().amax() < 1e-3))

# %% [markdown]
# ## The experiment
#
# 64 training clips, 512 for validation, 150 steps of 32 clips. Everything is your code: the step, the schedule, the crop.
#
# - **Baseline:** always the central square of 16 × 16.
# - **Under test:** one random square a clip.
# - **Negative controls:** one random square a *frame*; and one a clip, half of the clips mirrored, labels as they were.

# %% tags=["claim-part"]
STEPS, WARMUP, RATE = 150, 10, 3e-3
train_clips, train_labels = make_clips(64, seed=0)
val_clips, val_labels = make_clips(512, seed=99)
one_step, rate_factor, random_square = mine("08.1"), mine("08.2"), mine("08.5")


def central(clips: Tensor, chance: torch.Generator | None = None) -> Tensor:
    return clips[..., 2:-2, 2:-2]


def once_a_clip(clips: Tensor, chance: torch.Generator) -> Tensor:
    return random_square(clips, CROP, chance)


def once_a_frame(clips: Tensor, chance: torch.Generator) -> Tensor:
    single = clips.flatten(0, 1)[:, None]  # every frame a clip of its own
    return random_square(single, CROP, chance)[:, 0].unflatten(0, clips.shape[:2])


def mirrored_too(clips: Tensor, chance: torch.Generator) -> Tensor:
    pieces = once_a_clip(clips, chance)
    turned = torch.rand(len(pieces), generator=chance) < 0.5
    return torch.where(turned[:, None, None, None, None], pieces.flip(-1), pieces)


# %% tags=["claim-part"]
def train(augment, steps: int = STEPS) -> Network:
    """Train a network on clips that are augmented anew in every step."""
    torch.manual_seed(0)  # all networks start from the same weights
    network, chance = Network(), torch.Generator().manual_seed(1)
    optimizer = adamw(network, RATE)
    for k in range(steps):
        for one in optimizer.param_groups:
            one.update(lr=RATE * float(rate_factor(k, WARMUP, STEPS)))
        chosen = torch.randperm(64, generator=chance)[:32]
        batch = {"clip": augment(train_clips[chosen], chance), "labels": train_labels[chosen]}
        one_step(network, optimizer, batch, 1.0)
    return network


def accuracy(network: Network, clips: Tensor, labels: Tensor) -> float:
    """Share of clips told rightly, from their central squares."""
    network.eval()
    with torch.no_grad():
        return float((network(central(clips)).argmax(dim=1) == labels).float().mean())


# %% tags=["signature", "claim-part"]
ways = {
    "no augmentation": central,
    "one crop a clip": once_a_clip,
    "one crop a frame": once_a_frame,
    "crop and mirror": mirrored_too,
}
networks = {name: train(augment) for name, augment in ways.items()}
accuracies = {
    name: (accuracy(network, train_clips, train_labels), accuracy(network, val_clips, val_labels))
    for name, network in networks.items()
}
gap = draw_gap(accuracies, chance=0.25)
show(gap, describe_gap(gap))

# %% tags=["claim-part"]
sideways = val_labels < 2
told = {
    name: [accuracy(network, val_clips[kind], val_labels[kind]) for kind in (sideways, ~sideways)]
    for name, network in networks.items()
}


# %%
def in_words(share: float) -> str:
    return "nearly always" if share > 0.9 else "like a coin" if 0.35 < share < 0.65 else "between"


for name in ("one crop a clip", "crop and mirror"):
    left_right, up_down = told[name]
    print(f"{name:<18} left or right: {in_words(left_right):<14} up or down: {in_words(up_down)}")

# %% tags=["claim-holds"]
for name in ("no augmentation", "one crop a clip"):
    assert accuracies[name][0] > 0.95, "the training clips were not even learned"
assert accuracies["no augmentation"][1] < 0.6, "there was no gap to close"
assert accuracies["one crop a clip"][1] > 0.9, "one crop a clip did not close the gap"
assert accuracies["one crop a frame"][1] < accuracies["one crop a clip"][1] - 0.1, "crops a frame did no harm"
assert accuracies["one crop a frame"][0] < 0.95, "with one crop a frame the training did not get worse"
assert abs(told["crop and mirror"][0] - 0.5) < 0.2, "in spite of the mirror left and right were told apart"
assert told["crop and mirror"][1] > 0.9, "the mirror hurt up and down, which it leaves alone"
for name in ("one crop a frame", "crop and mirror"):
    assert accuracies[name][0] - accuracies[name][1] < 0.2, "a wrong augmentation left a gap"
print("The claim holds: an augmentation teaches what does not matter, whether that is true or not.")

# %% [markdown]
# Without augmentation the network knows all 64 clips and little more than nothing about motion: it remembered the ground. One crop
# a clip moves the ground about, so it is of no use, and the drift is what remains.
#
# The two controls have **no gap either**. Whoever looks at the gap alone would praise them. But their training accuracy fell,
# too: the label asks for something that the augmentation has wiped out. *Look at both numbers, always.*
#
# ### And the other remedies?
#
# Here the library's loop trains, with the same clips and the same seed. It yields after each step, so that you may
# plot, save or stop.


# %%
def library_train(*, drop_path: float = 0.0, smoothing: float = 0.0, prepare=None) -> Network:
    """The central squares again, with other remedies."""
    torch.manual_seed(0)
    network, chance = Network(drop_path), torch.Generator().manual_seed(1)
    chosen = [torch.randperm(64, generator=chance)[:32] for _ in range(STEPS)]
    batches = ((central(train_clips[i]), train_labels[i]) for i in chosen)
    schedule = partial(warmup_cosine, total_steps=STEPS, warmup_steps=WARMUP)
    loss_fn = partial(multi_head_loss, label_smoothing=smoothing)
    optimizer = adamw(network, RATE)
    for _ in train_steps(network, batches, optimizer=optimizer, loss_fn=loss_fn, schedule=schedule,
                         prepare=prepare, clip_norm=1.0):  # fmt: skip
        pass  # plot, save or stop here
    return network.eval()


others = {
    "drop path 0.2": library_train(drop_path=0.2),
    "label smoothing 0.1": library_train(smoothing=0.1),
    "mixup 0.8": library_train(prepare=MixClips(4, mixup_alpha=0.8)),
}
with torch.no_grad():
    losses = {
        name: float(F.cross_entropy(network(central(val_clips)), val_labels))
        for name, network in {"no augmentation": networks["no augmentation"], **others}.items()
    }
print(f"{'':<21} {'gap':<8} validation loss")
for name, network in others.items():
    width = accuracy(network, train_clips, train_labels) - accuracy(network, val_clips, val_labels)
    lower = losses[name] < 0.8 * losses["no augmentation"]
    print(f"{name:<21} {'wide' if width > 0.2 else 'small':<8} {'much lower' if lower else 'much the same'}")

# %% [markdown]
# None of them closes the gap *here*. Label smoothing and mixup make the network less sure of its mistakes: the validation **loss**
# sinks a great deal, while the right answers hardly become more. Drop path with a single block has little to drop. They
# know nothing about what matters in a video. The crop did: it was a piece of knowledge about the task.
#
# In large trainings they do help, together and with many blocks. The lesson is to look at what each changes: training
# accuracy, validation accuracy, validation loss.

# %% [markdown]
# ## The hunt
#
# Here is a loop that runs without an error. Eight things in it are wrong. Read it before you go on: what does each line rely
# on, and is it so?


# %%
def sick(model, batches, held_out, optimizer, rate):
    losses, accuracies = [], []
    for k, (x, y) in enumerate(batches):
        loss = F.cross_entropy(model(x).softmax(dim=-1), y)
        loss.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = rate(k)
        losses.append(loss)
        model.eval()
        said = model(x).argmax(dim=-1)
        accuracies.append(float((said == y).float().mean()))
    return losses, accuracies


# %% tags=["exercise"]
# 08.6

# %%
order = [torch.randperm(64, generator=torch.Generator().manual_seed(k))[:32] for k in range(100)]
batches = [(once_a_clip(train_clips[i], torch.Generator().manual_seed(k)), train_labels[i])
           for k, i in enumerate(order)]  # fmt: skip
held_out = (central(val_clips[:128]), val_labels[:128])
for name, loop in {"sick": sick, "mended": mine("08.6")}.items():
    torch.manual_seed(0)
    network = Network(drop_path=0.1)
    loop(network, batches, held_out, adamw(network, RATE), lambda k: RATE * ours[k])
    truth = accuracy(network, val_clips, val_labels)
    print(f"{name:<7} learned to tell the motions: {truth > 0.8}")

# %% [markdown]
# Same network, same clips, same number of steps. The sick loop complained about nothing.

# %% [markdown]
# ## Many GPUs
#
# Eight GPUs take a step as parts take a batch, only at the same time. Each has a copy of the model and its share of the
# clips; before the step the gradients are averaged over all of them. `torchrun` starts one process a GPU and tells each
# its number:
#
# ```
# torchrun --standalone --nproc-per-node=8 -m vtlearn train --config k400.toml --name k400
# ```
#
# Nothing in the settings changes. Four rules keep it the same run, and you know them all by now:
#
# - each process takes **its share** of one common order of clips, and no clip twice;
# - uneven shares are **weighed by their clips** (08.3);
# - with accumulation, gradients are exchanged **once a step**, in the last part;
# - **one** process writes the checkpoint, and it holds the state of chance of **all** (08.4).
#
# Several machines, Slurm and what to do when one dies: [from one GPU to several machines](../docs/many-gpus.md).

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **The scaler in the wrong order.** With float16 the gradients that `backward()` leaves are multiplied by 65,536. Clip
# before they are divided again, and *every* gradient is cut, down to a length that is divided by 65,536 once more. The order
# is: scale, backward, **unscale, clip**, step, update.

# %%
for order_of in ("unscale, then clip", "clip, then unscale"):
    layer = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    scaler = gradient_scaler(torch.device("cpu"), "float16")
    scaler.scale(layer(torch.tensor([[0.3, 0.4]])).sum()).backward()  # the true gradient has length 0.5
    if order_of.startswith("unscale"):
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    else:
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        scaler.unscale_(optimizer)
    print(f"{order_of}: the step gets a gradient of length {float(layer.weight.grad.norm()):.5f}")

# %% [markdown]
# **A loss that is not finite.** One broken clip, one overflow, and the loss is nan. So is then each gradient, and after the step
# each weight; clipping does not help, since a nan has no length. All that follows is lost, and nothing stops. The
# library's loop leaves the weights alone in such a step, counts it, and gives up after five in a row, naming the clips.

# %%
good = (torch.ones(4, 3), torch.tensor([0, 1, 0, 0]))
broken = (torch.full((4, 3), torch.nan), good[1])
for name in ("a plain loop", "the library's"):
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    if name == "a plain loop":
        for x, y in (good, broken, good):
            step(layer, optimizer, {"clip": x, "labels": y}, 1.0)
        skipped = "none"
    else:
        done = list(train_steps(layer, [good, broken, good], optimizer=optimizer, clip_norm=1.0))
        skipped = [one.step for one in done if one.skipped]
    print(f"{name:<14} skipped steps: {skipped!s:<5} weights still numbers: {bool(layer.weight.isfinite().all())}")

# %% [markdown]
# **A flip that changes the label.** Nearly every image recipe mirrors. For Kinetics that is mostly harmless. In
# Something-Something there is "pushing something from left to right", and the bundled clips have "sliding left". You saw
# above what comes of it: a coin. The library's flip wants to know the class names, and refuses.

# %%
for names in (["tai chi", "juggling"], MOTIONS):
    try:
        RandomFlip({"motion": names})
        print(f"{names[0]}, {names[1]}: may be mirrored")
    except ArgumentError as error:
        print(f"{names[0]}, {names[1]}: {error}")

# %% [markdown]
# (Playing backwards is another such flip: *opening* becomes *closing*.)
#
# **And without an example:** the learning rate left at what another batch size wanted; `model.eval()` that is never undone;
# validation clips that are augmented, or come from the same video as training clips (lesson 09); a seed that is
# the same in every worker of the loader, so that all draw the same crops.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("08")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A step asks the model where it lives and looks at no number. First test: one batch by heart.
# - AdamW's step does not depend on the size of the gradient. Warm up, follow a cosine, clip the length of the whole gradient.
# - Parts count by their clips. With float16: unscale before you clip; bfloat16 needs no scaler.
# - A checkpoint holds all that the next step reads, in copies; resumed runs are equal bit by bit.
# - Augment a clip as one thing. An augmentation says "this does not matter": make sure that it is true.
# - Look at training and validation together; a gap of 0 can be a bad sign.
#
# **Words:** *schedule* the factor on the base rate, step by step; *accumulation* one step from several parts; *loss scaler*
# what keeps small float16 gradients from becoming 0; *drop path* leaving out a block's update; *gap* training less
# validation accuracy. All words and symbols of the course stand in [the table of names](../docs/naming.md).
#
# **Next:** lesson 09, *Kinetics*: real data, with its holes.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Loshchilov, Hutter: *Decoupled Weight Decay Regularization* (2017), AdamW, arXiv 1711.05101
# - Loshchilov, Hutter: *SGDR* (2016), the cosine, arXiv 1608.03983
# - Goyal and others: *Accurate, Large Minibatch SGD* (2017), rate, batch and warm-up, arXiv 1706.02677
# - Micikevicius and others: *Mixed Precision Training* (2017), why the loss is scaled, arXiv 1710.03740
# - Zhang and others: *mixup* (2017), arXiv 1710.09412
# - Cubuk and others: *RandAugment* (2019), arXiv 1909.13719
# - Huang and others: *Deep Networks with Stochastic Depth* (2016), drop path, arXiv 1603.09382
# - Szegedy and others: *Rethinking the Inception Architecture* (2015), label smoothing, arXiv 1512.00567
# - Steiner and others: *How to train your ViT?* (2021), what augmentation is worth, arXiv 2106.10270
