# %% [markdown]
# # 04 · ViT, patches and tubelets
#
# Attention works on tokens. A video has pixels. This lesson builds the bridge: cut a frame into patches, or a clip into
# boxes, and turn each piece into one vector.
#
# Then comes the trick that all three video models of this course rely on: an image model, trained on far more data, lends
# its first layer and its positions to a video model.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **Make a tubelet kernel out of an image model's patch kernel, by inflation or by the central frame, and repeat the
# model's positions over time. Before any training on video, a clip that stands still gets exactly the image model's
# answer, and moving clips keep most of what the image model knew. A random tubelet kernel knows nothing.**
#
# The experiment near the end trains a small image model, turns it into a video model, and stops if this is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - cut images into patches in two ways, and say in which order the tokens come;
# - say what the class token and the positions are for;
# - choose between uniform frames and tubelets, and count the tokens of either;
# - show that a tubelet convolution is one matrix product;
# - start a video's first layer and its positions from an image model;
# - move positions to another image size without scrambling them.
#
# **Before this lesson:** lessons 01 (clips as tensors) and 02 (attention, the encoder block). **Time:** about 65 minutes
# for the four core exercises, 22 more for the two extras.

# %% tags=["setup"]
import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_04 import TokenCounter
from vtlearn.data.decode import decode_all
from vtlearn.data.synthetic import LABELLINGS, SampleSet, bundled_samples
from vtlearn.layers.block import EncoderBlock
from vtlearn.viz.tokens import describe_grids, describe_patches, draw_grids, draw_patches
from vtlearn.viz.video import frame_rows, words_of_frame_rows

start_lesson("04")
samples = SampleSet.load(bundled_samples())

# %% [markdown]
# ## A frame as a sentence
#
# The **Vision Transformer** (ViT) treats an image as a sentence. It cuts the image into squares, the **patches**, and reads
# them row by row, as one reads a page. Each patch is a word.

# %% tags=["picture"]
row = samples.split("test")[3]
clip = rearrange(decode_all(samples.root / str(row["path"])), "t h w c -> t c h w") / 255  # (T, C, H, W)
frame = clip[6]
cut = draw_patches(frame, patch_size=16)
show(cut, describe_patches(cut))
print(
    "clip:",
    tuple(clip.shape),
    "| frame:",
    tuple(frame.shape),
    "| shows:",
    row["appearance"],
    "and",
    row["motion"],
)

# %% [markdown]
# With H × W pixels and patches of p × p there are
#
# $$N = h \cdot w = \frac{H}{p} \cdot \frac{W}{p}$$
#
# patches, and each holds C · p · p numbers. Here that is 4 · 4 = 16 patches of 3 · 16 · 16 = 768 numbers. No number is lost
# and none is used twice.

# %% [markdown]
# ## Step 1: cut
#
# A pixel in row y belongs to patch row y // p, and lies in row y % p of its patch. Columns likewise. So each of the axes H
# and W is really **two** axes, and cutting means to sort them: first the two that say *which patch*, then those that say
# *where inside*.

# %% tags=["exercise"]
# 04.1

# %% [markdown]
# From here on the lesson runs on `mine("04.1")`: your function once it has passed, the library's until then.

# %%
patches = mine("04.1")(frame[None], 16)
print("patches:", tuple(patches.shape))
print(
    "token 6 is the square in row 1, column 2:",
    torch.equal(patches[0, 6].reshape(3, 16, 16), frame[:, 16:32, 32:48]),
)
print("numbers before and after:", frame.numel(), patches.numel())

# %% [markdown]
# ## Step 2: from a patch to a token
#
# A patch is a row of C · p · p numbers. One linear layer, the same for all patches, makes a vector of length D out of it:
#
# $$z_i = W x_i + b, \qquad x_i \in \mathbb{R}^{C p^2}, \quad W \in \mathbb{R}^{D \times C p^2}.$$
#
# In ViT-B/16 both lengths happen to be 768. That is all a ViT knows about images at its door: no overlap, no neighbourhood.
#
# Published models store W as a **convolution** kernel of shape `(D, C, p, p)` with stride p. A kernel that steps by its own
# width never sees a pixel twice. It is the same matrix in another shape.

# %% tags=["exercise"]
# 04.2

# %%
torch.manual_seed(4)
projection = nn.Linear(3 * 16 * 16, 48)
tokens = mine("04.2")(frame[None], projection.weight, projection.bias, 16).float()
print("tokens:", tuple(tokens.shape))
print("same as cutting and multiplying:", torch.allclose(tokens, projection(patches), atol=1e-4))

# %% [markdown]
# ### Smaller patches cost twice over
#
# Half the patch side means four times the tokens. Attention weighs every pair of tokens, so it pays with the square of that.

# %%
print(f"{'224 × 224, patch':>17} {'tokens':>7} {'numbers in one':>15} {'pairs':>9}")
for patch in (32, 16, 8):
    count = (224 // patch) ** 2
    print(f"{patch:>17} {count:>7,} {3 * patch**2:>15,} {count**2:>9,}")

# %% [markdown]
# ## Step 3: a class token, and positions
#
# Two things are added before the first block.
#
# **The class token.** A learned vector in front of the patches, as in BERT. It belongs to no place. It collects what the
# others know, and its last state is the image's vector. (The mean of all last tokens does as well. DeiT adds a second such
# token that learns from a teacher.)
#
# **Positions.** Attention does not care in which order its tokens come (lesson 02). So each token gets a learned vector
# added that says where it stands: a table of shape `(1, 1 + N, D)`, the class token's row first.
#
# $$x = [\,z_{cls}, z_1, \dots, z_N\,] + P, \qquad P \in \mathbb{R}^{(1 + N) \times D}$$

# %%
cls_token, table = 0.5 * torch.randn(1, 1, 48), 0.5 * torch.randn(1, 1 + 16, 48)
blocks = nn.ModuleList(EncoderBlock(48, 4, 96) for _ in range(2))


def class_vector(images: Tensor, positions: Tensor) -> Tensor:  # (B, C, H, W), (1, 1 + N, D) -> (B, D)
    """A small ViT with random weights: patches, class token, positions, blocks."""
    tokens = mine("04.2")(images, projection.weight, projection.bias, 16).float()
    tokens = torch.cat([cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + positions
    for block in blocks:
        tokens = block(tokens)
    return tokens[:, 0]


# %% [markdown]
# What are the positions worth? Shuffle the patches of the frame like tiles, and ask whether the class token notices.

# %%
order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
tiles = patches[:, order].reshape(1, 4, 4, 3, 16, 16)
shuffled = tiles.permute(0, 3, 1, 4, 2, 5).reshape(1, 3, 64, 64)
pair = frame_rows({"tiles": torch.cat([frame[None], shuffled])}, ["the frame", "shuffled"])
show(pair, words_of_frame_rows(pair))
with torch.no_grad():
    for name, positions in (("without positions", torch.zeros_like(table)), ("with positions", table)):
        same = torch.allclose(
            class_vector(frame[None], positions), class_vector(shuffled, positions), atol=1e-4
        )
        print(f"{name}: the class token {'cannot tell the two apart' if same else 'tells the two apart'}")

# %% [markdown]
# ## Step 4: from an image to a clip
#
# A clip has T frames. There are two ways to cut it.
#
# **Uniform frames.** Take some frames, evenly spread, cut each like an image, and write all patches in one row. TimeSformer
# does this, and so does VTN, one frame after the other.
#
# **Tubelets.** Cut boxes of t frames × p rows × p columns out of the clip; ViViT's word for them is tubelets. One box gives
# one token, so a token can hold motion. ViViT-B/16x2 takes t = 2 and p = 16.
#
# $$N = \frac{T}{t} \cdot \frac{H}{p} \cdot \frac{W}{p}$$
#
# Uniform frames are tubelets with t = 1.


# %%
def token_count(frames: int, height: int, width: int, tubelet: tuple[int, int, int]) -> int:
    return (frames // tubelet[0]) * (height // tubelet[1]) * (width // tubelet[2])


for name, frames, side, tubelet in (
    ("TimeSformer", 8, 224, (1, 16, 16)),
    ("TimeSformer-HR", 16, 448, (1, 16, 16)),
    ("TimeSformer-L", 96, 224, (1, 16, 16)),
    ("ViViT-B/16x2", 32, 224, (2, 16, 16)),
):
    print(
        f"{name:<15} {frames:>3} frames of {side} × {side}: {token_count(frames, side, side, tubelet):>6,} tokens"
    )

# %% [markdown]
# A tubelet's linear layer is a 3-D convolution with kernel and stride `(t, p, p)`. Its kernel has the shape
# `(D, C, t, p, p)`. But clips in this course are `(B, T, C, H, W)`, time *before* channels. The kernel has it the other way
# round. That is where this exercise bites.
#
# **Token order.** Three axes must become one. This course writes `(t h w)`: time slowest, columns fastest. ViViT does the
# same. The released TimeSformer flattens with time *fastest*. Both are fine, mixing them is not.

# %% tags=["exercise"]
# 04.3

# %%
small = F.avg_pool2d(clip[:8], 2)[None]  # (1, 8, 3, 32, 32)
weight, bias = torch.randn(48, 3, 2, 8, 8) / 20, torch.randn(48)
by_matrix = mine("04.3")(small, weight, bias).float()
convolved = F.conv3d(small.transpose(1, 2), weight, bias, stride=(2, 8, 8))  # (1, D, t, h, w)
print("convolution's grid:", tuple(convolved.shape), "| tokens:", tuple(by_matrix.shape))
where = (2, 1, 3)  # temporal index, row, column
number = (where[0] * 4 + where[1]) * 4 + where[2]
print(
    f"box {where} is token {number}:",
    torch.allclose(by_matrix[0, number], convolved[0, :, *where], atol=1e-4),
)

# %% [markdown]
# ## Step 5: a first layer that is not random
#
# There are far more pictures with labels than videos with labels, so a video model starts from an image model. For uniform frames that is
# easy: the patch kernel fits as it is. A tubelet kernel has t slots in time where the image's has one. Two ways to fill
# them, for an image kernel E:
#
# - **Inflation:** the same in every slot, divided by their number, $E_{k} = E / t$. I3D did this first, to all its layers.
# - **Central frame:** all in one slot, zeros elsewhere, $E_{\lfloor t/2 \rfloor} = E$.
#
# The bias is copied. Everything is still learned afterwards; this is only the start.

# %% tags=["exercise"]
# 04.4

# %% [markdown]
# The proof on a still clip: one frame, eight times. A token of the tubelet model must be the token of the image model.

# %%
image_kernel, image_bias = torch.randn(48, 3, 8, 8) / 10, torch.randn(48)
inflated, central = (start.float() for start in mine("04.4")(image_kernel, 2))
kernels = {"inflated": inflated, "central frame": central, "repeated, not divided": 2 * inflated}


def image_tokens(images: Tensor) -> Tensor:  # (B, C, H, W) -> (B, N, D)
    return mine("04.2")(images, image_kernel.flatten(1), image_bias, 8).float()


still = small[:, 5:6].expand(-1, 8, -1, -1, -1)
for name, kernel in kernels.items():
    of_clip = mine("04.3")(still, kernel, image_bias).float().reshape(4, 16, 48)
    same = all(torch.allclose(of_time, image_tokens(small[:, 5])[0], atol=1e-4) for of_time in of_clip)
    print(f"{name:<22} still clip gives the image's tokens in all four temporal indices: {same}")

# %% [markdown]
# And on a clip that moves? Here is how much of each frame goes into the tokens of each temporal index.


# %%
def shares(kernel: Tensor) -> Tensor:  # (D, C, t, p, q) -> (T/t, T): how much of each frame, by index
    by_slot = einsum(kernel, image_kernel, "d c t p q, d c p q -> t") / image_kernel.square().sum()
    return torch.block_diag(*[by_slot[None]] * 4)


every_second = torch.zeros(4, 8)
every_second[range(4), range(1, 8, 2)] = 1
seen = draw_grids(
    {
        "uniform: every second frame": every_second,
        "inflated": shares(inflated),
        "central frame": shares(central),
    },
    rows="temporal index",
    columns="frame",
    decimals=1,
)
show(seen, describe_grids(seen))

# %%
with_inflated, with_central = (mine("04.3")(small, kernel, image_bias).float() for kernel in (inflated, central))
uniform = image_tokens(small[0, 1::2]).reshape(1, 64, 48)
mean_frames = image_tokens(small[0].unflatten(0, (4, 2)).mean(1)).reshape(1, 64, 48)
swapped = small.unflatten(1, (4, 2)).flip(2).flatten(1, 2)  # the two frames of each tubelet exchanged
print(
    "central frame = uniform sampling of every second frame:",
    torch.allclose(with_central, uniform, atol=1e-4),
)
print("inflated = the image model on the mean frame:", torch.allclose(with_inflated, mean_frames, atol=1e-4))
for name, kernel, before in (("inflated", inflated, with_inflated), ("central frame", central, with_central)):
    same = torch.allclose(mine("04.3")(swapped, kernel, image_bias).float(), before, atol=1e-4)
    print(f"{name}: frames of each tubelet exchanged, tokens {'the same' if same else 'changed'}")

# %% [markdown]
# So at step 0 neither sees motion inside a tubelet. Inflation blurs it; the central frame overlooks it. Training has to find
# it.
#
# In ViViT's comparison on Kinetics-400 uniform frames reached 78.5 %; tubelets 73.2 % from a random start, 77.6 %
# inflated, 79.2 % from the central frame. Tubelets are better only when they start well.

# %% [markdown]
# ## Step 6: positions for a clip
#
# An image model's table has a row for the class token and one for each place. A clip has t · h · w places. ViViT **repeats**
# the table over time: every temporal index starts with the same rows,
#
# $$P_{\tau, y, x} = P_{y, x} \quad \text{for every temporal index } \tau.$$

# %% tags=["exercise"]
# 04.5

# %%
rows = torch.arange(1.0 + 4).reshape(1, 5, 1)  # class token 0, places 1 to 4
repeated = mine("04.5")(rows, 3).flatten().int().tolist()
print("row used by each token, three temporal indices:", repeated)

# %% [markdown]
# Right after this start the model cannot tell one temporal index from another: it sees a bag of frames, whose order it has
# yet to learn. Other papers do it otherwise:
#
# - **TimeSformer** keeps the image's table for places and adds a second table `(1, T, D)` for time, which starts at zero.
# - **VTN** gives positions to whole frames, in its encoder over time (lesson 05).
# - **Fixed** sines and cosines need no learning, and have rows for any length.

# %% [markdown]
# ## Step 7: positions for another size
#
# A table that was learned at 224 pixels has 14 × 14 places. At 448 pixels there are 28 × 28. The table is **interpolated**,
# as if it were an image with D channels. The class token belongs to no place and keeps its row.

# %% tags=["exercise"]
# 04.6

# %% [markdown]
# A table that is easy to read: each place holds the number of its column. On the right is a mistake that the released
# TimeSformer makes when it loads weights for another size: it resizes the places as one line.

# %%
columns = repeat(torch.arange(4.0), "w -> 1 (h w) 1", h=4)
with_token = torch.cat([torch.zeros(1, 1, 1), columns], dim=1)
larger = mine("04.6")(with_token, (4, 4), (6, 6))[0, 1:, 0].reshape(6, 6)
as_one_line = F.interpolate(columns.mT, size=36, mode="linear").reshape(6, 6)
grids = {"learned": columns.reshape(4, 4), "rows and columns": larger, "as one line: wrong": as_one_line}
ramps = draw_grids(grids, rows="row", columns="column", decimals=1)
show(ramps, describe_grids(ramps))
alike = {name: torch.allclose(grid, grid[:1].expand_as(grid), atol=1e-4) for name, grid in grids.items()}
print("every row alike:", alike)

# %% [markdown]
# ## Try it: the token counter
#
# Move a slider with the mouse or with the arrow keys. Three things to find out:
#
# 1. By how much do tokens and pairs grow when the patch side is halved?
# 2. How many frames can a clip have with tubelets of 2, for the tokens of 8 single frames?
# 3. Why does nobody run "all with all" on 96 frames?

# %% tags=["panel"]
TokenCounter()

# %% [markdown]
# ## The experiment
#
# We train a small image model on single frames of the samples. It must name the shape that it sees: disc, triangle, plus or
# bars. Then we turn it into a video model without training anything, and ask it about whole clips.
#
# - **Baseline:** the image model itself, on one frame.
# - **Under test:** the tubelet model, inflated and from the central frame, positions repeated.
# - **Negative controls:** repeated but not divided; positions with time fastest; a random tubelet kernel.
#
# First the data: eight frames of each clip, halved to 32 × 32 pixels, numbers from −2 to 2. The training clips show 160
# subjects, the test clips 40 others.


# %% tags=["claim-part"]
def read(rows: list, frames: slice) -> tuple[Tensor, Tensor]:
    """Some frames of each clip, (B, T, C, 32, 32), and the clips' shapes as numbers, (B,)."""
    clips = torch.stack([decode_all(samples.root / str(row["path"]))[frames] for row in rows])
    clips = rearrange(clips, "b t h w c -> b t c h w").double() / 63.75 - 2
    names = LABELLINGS["appearance"]
    labels = torch.tensor([names.index(str(row["appearance"])) for row in rows])
    return reduce(clips, "b t c (h p) (w q) -> b t c h w", "mean", p=2, q=2), labels


one_a_subject = [row for place, row in enumerate(samples.split("train")) if place % 8 == place // 8 % 8]
two_a_subject = [row for place, row in enumerate(samples.split("test")) if (place - place // 8) % 8 in (0, 3)]
train_clips, train_labels = read(one_a_subject, slice(0, 24, 2))
test_clips, test_labels = read(two_a_subject, slice(1, 24, 3))
print("train:", tuple(train_clips.shape), "| test:", tuple(test_clips.shape))

# %% [markdown]
# The model: patches of 8, one encoder block, the mean of the last tokens. It has **no class token**, for a reason that
# comes up below.


# %% tags=["claim-part"]
class ImageModel(nn.Module):
    """Tokens and their positions through one block; the mean of the last tokens is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3 * 8 * 8, 64)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, 64))
        self.block, self.norm, self.head = EncoderBlock(64, 4, 128), nn.LayerNorm(64), nn.Linear(64, 4)

    def answer(self, tokens: Tensor) -> Tensor:  # (B, N, D) -> (B, 4)
        return self.head(self.norm(self.block(tokens)).mean(dim=1))

    def forward(self, patches: Tensor) -> Tensor:  # (B, N, C·p·p) -> (B, 4)
        return self.answer(self.project(patches) + self.positions)


# %% tags=["claim-part"]
torch.manual_seed(0)
STEPS = 150
image_model = ImageModel().double()
optimizer = torch.optim.AdamW(image_model.parameters(), lr=4e-3, weight_decay=0.05)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, max(STEPS, 1), pct_start=0.2)
train_patches = mine("04.1")(train_clips.flatten(0, 1), 8).double().unflatten(0, train_clips.shape[:2])
for _ in range(STEPS):
    which, when = torch.randint(160, (32,)), torch.randint(12, (32,))
    loss = F.cross_entropy(image_model(train_patches[which, when]), train_labels[which])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
image_model.eval().requires_grad_(False)
of_one_frame = image_model(mine("04.1")(test_clips[:, 4], 8).double())
right_on_frames = int((of_one_frame.argmax(1) == test_labels).sum())
print(
    f"the image model, on one frame of a clip: {right_on_frames} of {len(test_labels)} right (by chance: 20)"
)

# %% [markdown]
# Now the video models. Clips of eight frames in tubelets of two: 4 · 16 = 64 tokens, all of which attend to all.
#
# Exercise 04.5 expects a class token's row. This model has none, so a row of zeros goes in front and is taken off again.

# %% tags=["claim-part"]
kernel = image_model.project.weight.unflatten(1, (3, 8, 8))  # (D, C, p, p)
inflated, central = (start.double() for start in mine("04.4")(kernel, 2))
over_time = mine("04.5")(F.pad(image_model.positions, (0, 0, 1, 0)), 4)[:, 1:].double()
time_fastest = rearrange(over_time, "b (t s) d -> b (s t) d", t=4)
random_kernel = torch.randn(inflated.shape, dtype=torch.float64) * central.std()
not_divided = kernel[:, :, None].expand_as(inflated)
starts = {
    "inflated": (inflated, over_time),
    "central frame": (central, over_time),
    "control: not divided": (not_divided, over_time),
    "control: time fastest": (inflated, time_fastest),
    "control: random kernel": (random_kernel, over_time),
}


@torch.no_grad()
def video_answers(clips: Tensor, kernel: Tensor, positions: Tensor) -> Tensor:  # (B, T, C, H, W) -> (B, 4)
    tokens = mine("04.3")(clips, kernel, image_model.project.bias).double()
    return image_model.answer(tokens + positions)


# %% tags=["signature", "claim-part"]
still_clips = test_clips[:, 4:5].expand(-1, 8, -1, -1, -1)  # one frame, eight times
farthest, right = {}, {}
print(f"{'':<24} still clips: image model's answer   moving clips: right, of {len(test_labels)}")
for name, (start, positions) in starts.items():
    on_still = video_answers(still_clips, start, positions)
    farthest[name] = float((on_still - of_one_frame).abs().max())
    right[name] = int((video_answers(test_clips, start, positions).argmax(1) == test_labels).sum())
    told = "the same" if farthest[name] < 1e-3 else "another"
    print(f"{name:<24} {told:>33} {right[name]:>28}")

# %% tags=["claim-holds"]
under_test, controls = ("inflated", "central frame"), ("control: not divided", "control: time fastest")
chance = len(test_labels) / 4
assert right_on_frames > 2 * chance, "the image model has learned too little to compare with"
assert max(farthest[name] for name in under_test) < 1e-3, "a still clip got another answer than its frame"
assert min(right[name] for name in under_test) > 0.8 * right_on_frames, (
    "moving clips lost what the image model knew"
)
assert min(farthest[name] for name in controls) > 0.1, "a control gave the image model's answer"
assert right["control: random kernel"] < 1.5 * chance, "a random tubelet kernel knew something"
print(
    "The claim holds: still clips get the image model's answer, moving ones keep most of it, random tubelets nothing."
)

# %% [markdown]
# Look at the two controls above the last. On moving clips they do nearly as well: the block's normalisation forgives tokens
# of the wrong size, and simple shapes can be told with scrambled places. That is the danger. Such a start runs and learns, and
# no curve tells you that it is not the image model. A still clip tells you in one line.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **Reshape is not transpose.** `reshape` cuts memory into rows of equal length. Here is a frame cut "into patches" by reshape
# alone, each piece shown as a square.

# %%
by_reshape = frame.reshape(16, 3, 16, 16)
by_cutting = mine("04.1")(frame[None], 16)[0].reshape(16, 3, 16, 16)
wrong = frame_rows(
    {"reshape alone": by_reshape[3:11], "cut": by_cutting[3:11]}, [f"token {n}" for n in range(3, 11)]
)
show(wrong, words_of_frame_rows(wrong))

# %% [markdown]
# Every shape is right and no error comes. But each "token" holds twelve whole rows of one colour channel, and calls them red,
# green and blue.
#
# **Token order.** TimeSformer's released weights flatten with time fastest, this course with time slowest. Nothing about the
# shape tells. Striped attention maps are a typical sign.

# %%
grid = torch.arange(2 * 2 * 3).reshape(2, 2, 3)  # (t, h, w)
print("time slowest (t h w):", rearrange(grid, "t h w -> (t h w)").tolist())
print("time fastest (h w t):", rearrange(grid, "t h w -> (h w t)").tolist())

# %% [markdown]
# **Cubed against squared.** A patch has two sides, a tubelet three. Halve them all: an image has 2² = 4 times the tokens, a
# clip 2³ = 8 times. Pairs grow with the square of *that*.

# %%
for name, sides in (("image, patch side halved", 2), ("clip, all three sides halved", 3)):
    print(f"{name:<29} tokens × {2**sides}, pairs of all with all × {(2**sides) ** 2}")

# %% [markdown]
# **The class token stays one.** Repeat each patch four times, as a still clip does, and a class token's own key weighs less
# against them. So with a class token the answer is *near* the image model's and not equal. Without one it is equal.

# %%
def with_class_token(tokens: Tensor) -> Tensor:  # (B, N, D) -> (B, D)
    return blocks[0](torch.cat([cls_token, tokens], dim=1))[:, 0]


def with_mean(tokens: Tensor) -> Tensor:  # (B, N, D) -> (B, D)
    return blocks[0](tokens).mean(dim=1)


some_tokens = torch.randn(1, 16, 48, generator=torch.Generator().manual_seed(2))
with torch.no_grad():
    for name, read_out in (("class token", with_class_token), ("mean, no class token", with_mean)):
        same = torch.allclose(read_out(some_tokens), read_out(some_tokens.repeat(1, 4, 1)), atol=1e-4)
        print(f"{name}: each token once or four times, the answer is {'equal' if same else 'not equal'}")

# %% [markdown]
# **What does not divide is dropped in silence.** A convolution with stride 2 on 9 frames gives 4 temporal indices; the last
# frame is never seen. The library refuses such clips.

# %%
odd = F.conv3d(torch.zeros(1, 3, 9, 32, 32), central.float(), stride=(2, 8, 8))
print("9 frames, tubelets of 2:", odd.shape[2], "temporal indices")

# %% [markdown]
# **Central is a matter of counting.** For t = 2 slot ⌊t/2⌋ is the *second* frame. And one published initialiser for fresh
# weights keeps one column of pixels where it means one slot of time. Kernels have five axes; counting them wrong still runs.
#
# **Ranges.** ViViT was trained on numbers in [−1, 1], TimeSformer and VTN on (x − 0.45) / 0.225. A borrowed kernel expects
# the numbers that it was trained on.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("04")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A patch becomes a token by one matrix. A convolution whose stride is its kernel is that matrix in another shape.
# - Positions tell where a token stands; without them a picture is a bag of tiles. The class token collects.
# - Uniform frames cut each frame by itself; tubelets cut boxes, N = T/t · H/p · W/p.
# - Inflation starts from the mean frame, the central-frame start from one frame. On a still clip both are the image model.
# - Positions are repeated over time, and resized over rows and columns, the class token's row apart.
#
# **Words:** *patch_size* side of a patch in pixels; *tubelet_size* (t, h, w) in frames, rows and columns; *N* tokens without
# the class token; tokens are ordered *(t h w)*. More in the glossary: [patch](../docs/glossary.md#patch),
# [tubelet](../docs/glossary.md#tubelet), [class token](../docs/glossary.md#class-token),
# [inflation](../docs/glossary.md#inflation), [central-frame start](../docs/glossary.md#central-frame-start). All names and
# symbols of the course stand in [the table of names](../docs/naming.md).
#
# **Next:** lesson 05, *VTN*: a ViT on every frame, and a Longformer over time.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Dosovitskiy and others: *An Image is Worth 16x16 Words* (2020), arXiv 2010.11929
# - Arnab, Dehghani, Heigold, Sun, Lučić, Schmid: *ViViT: A Video Vision Transformer* (2021), arXiv 2103.15691
# - Carreira, Zisserman: *Quo Vadis, Action Recognition?* (2017), inflation, arXiv 1705.07750
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need for Video Understanding?* (2021), arXiv 2102.05095
# - Touvron and others: *Training data-efficient image transformers* (2020), DeiT, arXiv 2012.12877
