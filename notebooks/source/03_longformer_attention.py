# %% [markdown]
# # 03 · Longformer attention
#
# Full attention lets every token look at every other. That is n² pairs, and a video has many tokens. Longformer keeps the
# pairs that matter most: near ones, and those that go through a few chosen tokens.
#
# In this lesson you write its patterns, then the computation that really saves something. VTN (lesson 05) stands on it.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **A stack of windows sees 1 + l · (w − 1) positions after l layers, however long the sequence is. Make a single token
# global, in both directions, and two layers see everything, while the cost still grows with n and not with n². One direction
# alone is not enough.**
#
# The experiment near the end computes this, and the lesson stops if it is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - write sliding, causal, dilated and global patterns as masks;
# - compute windowed attention without ever making the n × n table;
# - say how far a stack of layers sees, and how many layers you need;
# - plan a training that begins short and ends long;
# - spot three mistakes that run without an error.
#
# **Before this lesson:** lesson 02 (attention, softmax, masks). **Time:** about 80 minutes for the four core exercises, 25
# more for the two extras.

# %% tags=["setup"]
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.attention import CausalWindow, Dilated, Full, GlobalTokens, SlidingWindow
from vtlearn.attention import growing_windows, sliding_window_attention, window_pairs
from vtlearn.course.footprint import footprint
from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_03 import PatternPainter
from vtlearn.viz.patterns import describe_band_layout, describe_masks, describe_reach
from vtlearn.viz.patterns import draw_band_layout, draw_masks, draw_reach

start_lesson("03")

# %% [markdown]
# ## Five patterns
#
# A **mask** is a table. Row i is a query, column j is a key, and a coloured cell means: query i may attend to key j.
#
# Here are 24 tokens under five rules. Blue marks the pairs that are allowed only because one of the two is a global token.

# %% tags=["picture"]
window, global_token = SlidingWindow(7), GlobalTokens(0)
joined = (window | global_token).mask(24)
patterns = {
    "full": Full().mask(24),
    "window": window.mask(24),
    "causal window": CausalWindow(7).mask(24),
    "window, dilation 3": Dilated(7, dilation=3).mask(24),
    "window + global token": joined.int() + (joined & ~window.mask(24)).int(),
}
five = draw_masks(patterns)
show(five, describe_masks(five))

# %% [markdown]
# Every coloured cell is one score to compute: a product of a query and a key, of length d. Count the cells and you know the
# cost.

# %% [markdown]
# ## Why bother: n² against n · w
#
# With **full attention** each of n queries meets n keys: n² scores. With a **window** of w keys it is n · w, a little less at
# the two ends. Double the length, and the first grows four times, the second twice.
#
# Attention multiplies twice per pair (scores, then weights with values), so a head of width d costs 2 · n² · d
# multiply-adds, or 2 · n · w · d.

# %%
print(f"{'tokens':>7} {'full: n²':>15} {'window of 257':>14} {'share':>7}")
for num_tokens in (64, 250, 2_048, 4_096, 23_040):
    full, windowed = num_tokens**2, window_pairs(num_tokens, 257)
    print(f"{num_tokens:>7,} {full:>15,} {windowed:>14,} {windowed / full:>7.1%}")

# %% [markdown]
# For short sequences the window saves nothing. At 250 frames, ten seconds of video, it saves a quarter. And there VTN's whole
# Longformer is only 0.2 % of its multiply-adds: the backbone, which reads the pixels, does the rest. Windows pay from
# thousands of tokens on.

# %% [markdown]
# ## Step 1: the sliding window
#
# Neighbouring frames tell most about a frame. So let query i see the w positions centred on it. With reach r = (w − 1) / 2,
#
# $$M_{ij} = 1 \ \text{ if }\ |i - j| \le r, \qquad M \text{ of shape } (N, N).$$
#
# In this course `window_size` is always **two-sided and odd**: it counts both sides and the query.
#
# A **causal window** keeps the past half only: i itself and r positions before it. A model that must answer while the video
# still runs can look at nothing else.

# %% tags=["exercise"]
# 03.1

# %% [markdown]
# From here on the lesson runs on `mine("03.1")`: your function once it has passed, the library's until then.

# %%
bands = {f"window of {size}": mine("03.1")(24, size) for size in (1, 5, 11)}
bands["causal, 11"] = mine("03.1")(24, 11, True)
drawn = draw_masks(bands)
show(drawn, describe_masks(drawn))
print("agrees with the library:", torch.equal(bands["causal, 11"].bool(), CausalWindow(11).mask(24)))

# %% [markdown]
# ## Step 2: gaps
#
# How to look further without looking at more? Leave gaps. With **dilation** 3 the keys of query i lie 3 positions apart:
# i, i ± 3, i ± 6, …. There are as many as before, and they reach 3 times as far.
#
# A gap loses detail. Longformer therefore dilates **only in the upper layers, and there on two heads only**. The other heads
# go on reading the neighbours. So a mask may differ from head to head: its shape becomes `(heads, N, N)`.
#
# Dilation 1 means no gaps here. The paper's table writes 0 for the same thing.

# %% tags=["exercise"]
# 03.2

# %%
dilations = [1, 1, 2, 3]
heads = mine("03.2")(24, 5, dilations)
drawn = draw_masks({f"head {h}: dilation {step}": heads[h] for h, step in enumerate(dilations)})
show(drawn, describe_masks(drawn))
print("keys of query 12 in each head:", heads[:, 12].bool().sum(-1).tolist())

# %% [markdown]
# Every head reads five keys. The last one spans 13 positions with them.

# %% [markdown]
# ## Step 3: a global token
#
# A window cannot answer a question about the whole video. BERT and VTN put a class token in front and read the answer from
# it. That token has to see everything.
#
# Longformer makes it **global, in both directions**:
#
# - it attends to every token (its row in the mask is full);
# - every token attends to it (its column is full).
#
# One global token adds about 2n pairs. With g of them the cost is n · w + 2 · n · g, still linear in n.

# %% tags=["exercise"]
# 03.3

# %%
first = torch.arange(24) == 0
middle = torch.arange(24) == 12
near = mine("03.1")(24, 5).bool()
one, two = (mine("03.3")(near, chosen).int() for chosen in (first, first | middle))
drawn = draw_masks({
    "window of 5": near,
    "token 0 global": one + (one > near.int()),  # 2, blue: allowed only through a global token
    "tokens 0 and 12 global": two + (two > near.int()),
})
show(drawn, describe_masks(drawn))

# %% [markdown]
# Longformer also gives global tokens **projections of their own**: a second set of weights for query, key and value, used
# when a global token reads the sequence. The library's `LongformerSelfAttention` has them.
#
# ### A start from RoBERTa
#
# Longformer's published weights were not trained from nothing. They start from **RoBERTa**, which is BERT trained longer and
# on more text, with full attention over at most 512 tokens. The windows need no new weights: query, key and value of
# RoBERTa fit as they are. The projections for global tokens start as copies of the ordinary ones. And the table of 512
# positions is written down eight times, for 4,096. Lesson 04 repeats an image's positions over time in the same way.

# %% [markdown]
# ## Step 4: save something for real
#
# So far we have masks. Use one, and count the numbers that the computation stores.

# %%
def masked_attention(q: Tensor, k: Tensor, v: Tensor, window_size: int) -> Tensor:  # (heads, N, d)
    """All n² scores first; then most of them are thrown away."""
    allowed = mine("03.1")(q.shape[1], window_size).bool()
    all_scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[2])
    weights = torch.softmax(all_scores.masked_fill(~allowed, -math.inf), dim=-1)
    return weights @ v


def one_head(num_tokens: int, head_dim: int = 2) -> list[Tensor]:
    """Random q, k and v, the same at each call."""
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(1, num_tokens, head_dim, generator=generator) for _ in range(3)]


for num_tokens in (256, 512):
    largest = footprint(masked_attention, *one_head(num_tokens), 5).largest
    print(f"n = {num_tokens}: the largest tensor holds {largest:,} numbers = n · {largest // num_tokens}")

# %% [markdown]
# **Masking alone saves nothing.** The whole table was made, stored and sent through the softmax; the mask only decided what
# to forget.
#
# To save, never make the other scores. Store the band as N rows of w columns. Column c of row i stands for key i + c − r, so
# the query itself stands in the middle. A few cells at both ends stand for no key at all.

# %%
layout = draw_band_layout(12, 5)
show(layout, describe_band_layout(layout))

# %% [markdown]
# With scores and weights of shape `(heads, N, w)` the mathematics stays what it was:
#
# $$S_{ic} = \frac{q_i \cdot k_{i + c - r}}{\sqrt d}, \qquad
#   o_i = \sum_{c=0}^{w-1} \mathrm{softmax}(S_i)_c \; v_{i + c - r}.$$
#
# Here r is again the reach, (w − 1) / 2. The check of this exercise watches every tensor that you make.

# %% tags=["exercise"]
# 03.4

# %%
q, k, v = one_head(512)
banded = mine("03.4")
short, long = footprint(banded, *one_head(256), 5), footprint(banded, q, k, v, 5)
out = banded(q, k, v, 5).float()
print("same output as with the mask:", torch.allclose(out, masked_attention(q, k, v, 5), atol=1e-5))
print("largest tensor below n²/2 numbers:", long.largest < 512**2 // 2)
print("n doubled, everything stored grows:", "about twice" if long.total <= 3 * short.total else "about four times")
library = sliding_window_attention(q[None], k[None], v[None], window_size=5)[0]
print("same output as the library:", torch.allclose(out, library, atol=1e-5))

# %% [markdown]
# The library's kernel works in tiles that fit the processor's cache, and it takes gaps, padding and global tokens along. The
# idea is the one you have just written.

# %% [markdown]
# ## Step 5: how far does a stack see?
#
# One layer lets a query see its window. A second layer sees the windows of those: r more positions on each side. So each layer
# **adds**, it does not multiply:
#
# $$\text{field} = 1 + \sum_{\text{layers}} (w - 1) \cdot \text{dilation},$$
#
# or 1 + l · (w − 1) · dilation when all l layers are alike. (The paper writes l · w, which is this number rounded.)
#
# A [global token](../docs/glossary.md#global-token) breaks the law. In the first layer it reads everything. In the second, everyone reads it. Two layers, and the
# whole sequence is seen, for any n.

# %% tags=["exercise"]
# 03.5

# %%
def far(sizes: list[int], steps: list[int], num_tokens: int, has_global: bool = False) -> int:
    return int(mine("03.5")(sizes, steps, num_tokens, has_global))


print("depth      :", *(f"{depth:>4}" for depth in range(1, 7)))
print("window 7   :", *(f"{far([7] * depth, [1] * depth, 250):>4}" for depth in range(1, 7)))
print("dilation 3 :", *(f"{far([7] * depth, [3] * depth, 250):>4}" for depth in range(1, 7)))
print("one global :", *(f"{far([7] * depth, [1] * depth, 250, True):>4}" for depth in range(1, 7)))

# %% [markdown]
# ### The same law rules 3-D convolutions
#
# Before transformers, video networks were stacks of **3-D convolutions**. A kernel of 3 × 3 × 3 reads three frames, and three
# rows and columns of each. Along every axis it is a window of 3. So its [receptive
# field](../docs/glossary.md#receptive-field) grows layer by layer: 1 + 2 · l frames after l layers. (Strides and pooling make
# the steps larger, and the picture coarser.)
#
# Full attention over all places of all frames sees the whole clip **from the first layer on**. VisTR, which follows objects
# through a video, does just that. (Some summaries say of transformers that the field grows with the number of layers. That
# is true of convolutions, and of windows.)
#
# Count it by gradient: which frames of a clip of 33 can change the middle of the output?

# %%
def frames_that_count(network: nn.Module, clip: Tensor) -> int:  # (B, C, T, H, W)
    """How many frames can change the output at the middle frame, row and column, by gradient."""
    clip = clip.clone().requires_grad_()
    network(clip)[:, :, 16, 2, 2].sum().backward()
    return int((clip.grad.abs().sum(dim=(0, 1, 3, 4)) > 0).sum())


def all_to_all(clip: Tensor) -> Tensor:  # (B, C, T, H, W) -> (B, C, T, H, W)
    """One layer of full attention; each place of each frame is a token."""
    x = clip.flatten(2).mT
    x = torch.softmax(x @ x.mT / math.sqrt(x.shape[-1]), dim=-1) @ x
    return x.mT.reshape(clip.shape)


clip = torch.randn(1, 2, 33, 5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
torch.manual_seed(3)
depths = (1, 2, 4, 8, 16)
stacks = [nn.Sequential(*(nn.Conv3d(2, 2, 3, padding=1).double() for _ in range(depth))) for depth in depths]
convolved = [frames_that_count(stack, clip) for stack in stacks]
attended = frames_that_count(all_to_all, clip)
print("layers                        :", *(f"{depth:>3}" for depth in depths))
print("3-D convolutions, frames seen :", *(f"{seen:>3}" for seen in convolved))
print("attention, frames seen        :", f"{attended:>3} in one layer")
assert convolved == [far([3] * depth, [1] * depth, 33) for depth in depths], "convolutions did not grow by 2 a layer"
assert attended == 33, "attention did not see the whole clip at once"

# %% [markdown]
# The first row of counts is your formula of 03.5 with windows of 3. Sixteen layers of convolutions see what one layer of
# attention sees. The price of that one layer is n², and that is what windows and global tokens are for.

# %% [markdown]
# ### Windows that grow with depth
#
# The layers need not be alike. Longformer takes **small windows below**, where details are read, and **large ones above**,
# where they are put together. The paper compares this on a model that guesses the next character of a text, in bits a
# character; fewer are better. Growing windows did best (1.21), a fixed width came second (1.23), shrinking windows last
# (1.24). Dilation on two heads brought another 0.01.

# %%
sizes = list(growing_windows(5, 11, 161))
print("windows, bottom to top:", sizes)
print("field after 1, 2, … layers:", [far(sizes[:depth], [1] * depth, 1000) for depth in range(1, 6)])
print("five equal windows of 63  :", [far([63] * depth, [1] * depth, 1000) for depth in range(1, 6)])

# %% [markdown]
# Both stacks cost the same and end with the same field: only the sum of the windows counts. What differs is the way there.
# The growing stack keeps its lower layers close to the details.

# %% [markdown]
# ## Step 6: begin short, end long
#
# Long sequences are dear. Yet a model must first learn what is near, and short sequences teach that. Longformer's
# character models are trained in **stages**: from one phase to the next length and windows double, and the learning rate
# halves. They start at 2,048 tokens. The fifth phase would ask for 32,768; it is cut to 23,040.

# %% tags=["exercise"]
# 03.6

# %%
print(f"{'phase':>5} {'length':>7} {'window':>7} {'rate':>11} {'pairs of a sequence':>20}")
for number, (length, size, rate) in enumerate(mine("03.6")(33), start=1):
    length, size = int(length), int(size)
    print(f"{number:>5} {length:>7,} {size:>7} {float(rate):>11.4e} {window_pairs(length, size):>20,}")

# %% [markdown]
# Length and window both double, so each phase but the last computes four times as many pairs a sequence. The published runs
# took most of their steps in the first phase.

# %% [markdown]
# ## Try it: the pattern painter
#
# Move a slider with the mouse or with the arrow keys. Three things to find out:
#
# 1. How far does a window of 7 see in six layers? How many layers would cover all 60 positions? What changes with
#    dilation 3, and what is left out?
# 2. What does one global token change, after one layer and after two?
# 3. Which cheap setting sees everything?

# %% tags=["panel"]
PatternPainter()

# %% [markdown]
# ## The experiment
#
# Does a real network obey? We stack attention layers with random weights and ask by **gradient**: if the gradient of one
# output with respect to an input is zero, that input cannot have any influence on it. No formula enters.
#
# - **Baseline:** full attention.
# - **Under test:** a window of 7, and the same with token 0 global in both directions.
# - **Negative controls:** token 0 global in one direction only. It reads all and nobody reads it; or all read it and it reads
#   its window only.

# %% tags=["claim-part"]
N, WINDOW, QUERY = 101, 7, 50


def layer(x: Tensor, mask: Tensor, weights: Tensor) -> Tensor:  # (N, D), (N, N), (3, D, D) -> (N, D)
    q, k, v = x @ weights
    seen = (q @ k.T / math.sqrt(x.shape[-1])).masked_fill(~mask, -math.inf)
    return x + seen.softmax(dim=-1) @ v


def influences(mask: Tensor, depth: int) -> Tensor:  # (N, N) -> Bool (N,)
    """Which inputs can change the output at QUERY, by gradient."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(mask), 8, generator=generator, dtype=torch.float64).requires_grad_()
    y = x
    for _ in range(depth):
        y = layer(y, mask, torch.randn(3, 8, 8, generator=generator, dtype=torch.float64) / math.sqrt(8))
    y[QUERY].sum().backward()
    return x.grad.abs().sum(dim=-1) > 0


# %% tags=["claim-part"]
def five_masks(num_tokens: int) -> dict[str, Tensor]:
    """The baseline, the two under test, the two controls."""
    near = mine("03.1")(num_tokens, WINDOW).bool()
    is_first = torch.arange(num_tokens) == 0
    reads_all, is_read = near.clone(), near.clone()
    reads_all[0], is_read[:, 0] = True, True
    both_ways = mine("03.3")(near, is_first).bool()
    return {
        "full": torch.ones_like(near),
        "window": near,
        "global, both ways": both_ways,
        "control: reads all": reads_all,
        "control: is read": is_read,
    }


# %% tags=["signature", "claim-part"]
masks, masks_twice = five_masks(N), five_masks(2 * N)
seen = {name: [int(influences(mask, depth).sum()) for depth in (1, 2, 3, 4)] for name, mask in masks.items()}
growth = {name: int(masks_twice[name].sum()) / int(mask.sum()) for name, mask in masks.items()}
print(f"{'':<20} inputs seen after 1, 2, 3, 4 layers   pairs   twice the length")
for name, counts in seen.items():
    told = " ".join(f"{count:>5}" for count in counts)
    print(f"{name:<20} {told} {int(masks[name].sum()):>22,}   × {growth[name]:.1f}")

# %%
two_layers = draw_reach({name: influences(mask, 2) for name, mask in masks.items()}, query=QUERY, title="two layers")
show(two_layers, describe_reach(two_layers))

# %% tags=["claim-holds"]
law = [int(mine("03.5")([WINDOW] * depth, [1] * depth, N, False)) for depth in (1, 2, 3, 4)]
assert seen["window"] == law, "windows did not add up as 1 + l · (w − 1)"
assert seen["global, both ways"][0] < N, "one layer was enough: the message needs no second one"
assert seen["global, both ways"][1] == N, "two layers with a global token did not see everything"
assert int(influences(masks_twice["window"], 2).sum()) == law[1], "windows saw more in a longer sequence"
assert influences(masks_twice["global, both ways"], 2).all(), "a longer sequence needed more than two layers"
assert max(seen["control: reads all"][1], seen["control: is read"][1]) < N / 2, "one direction was enough"
assert growth["full"] == 4 and growth["global, both ways"] < 2.1, "the cost did not stay linear"
print("The claim holds: both directions, two layers, everything seen, at a cost that grows with n.")

# %% [markdown]
# Look at the controls. A token that reads all and is read by nobody keeps what it knows to itself. A token that all read
# but that sees only its own window has nothing to tell about the rest. The message needs the way in **and** the way out.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **Masking alone saves nothing.** You saw it in step 4. Measure what is stored, not what is allowed.
#
# **Three ways to count a window.** In the paper w has w / 2 positions a side. The authors' code counts *one* side: 256 there
# means 513 keys. Hugging Face counts both sides and leaves the query out: 512 there means 513 keys. In this course it is
# 513. Read a foreign configuration twice.
#
# **Padding.** Clips of a batch are filled up to one length. Filled-up tokens are ordinary keys to a window that does not know,
# and through a global token they reach everyone. Tell the attention which tokens are real.

# %%
q, k, v = (tensor[None] for tensor in one_head(20))
real = torch.arange(20)[None] < 16  # the last four are padding
is_global = torch.arange(20)[None] == 0
alone = sliding_window_attention(
    q[:, :, :16], k[:, :, :16], v[:, :, :16], window_size=5, global_mask=is_global[:, :16]
)
for name, valid_mask in (("without valid_mask", None), ("with valid_mask", real)):
    out = sliding_window_attention(q, k, v, window_size=5, global_mask=is_global, valid_mask=valid_mask)
    wrong = (out[:, :, :16] - alone).abs().amax(dim=(0, 1, 3)) > 1e-5
    print(f"{name}: real tokens whose output padding changed: {wrong.nonzero().flatten().tolist()}")

# %% [markdown]
# Token 0, the global one, is wrong at once. In the next layer all others read it.
#
# **Counting the global key twice.** A fast kernel computes the scores of the global tokens as extra columns beside the band.
# Near token 0 the band holds it, too. Then the softmax gives it two shares.
#
# Take equal scores, so that every key ought to get the same weight, and a window of 5.

# %%
def share_of_global(query: int, *, removed_from_band: bool) -> float:
    """Weight of token 0 when all scores are equal: one extra column for it, beside the band."""
    band = [key for key in range(query - 2, query + 3) if key >= 0]
    columns = [0] + [key for key in band if not (removed_from_band and key == 0)]
    return columns.count(0) / len(columns)


for query in (1, 2, 3, 10):
    twice, once = (share_of_global(query, removed_from_band=removed) for removed in (False, True))
    print(f"query {query:>2}: counted twice {twice:.3f}, removed from the band {once:.3f}")

# %% [markdown]
# Only the first few queries are wrong, so nothing looks broken. Longformer takes the global keys **out of the band** and puts
# them back once, as columns of their own, before one softmax over all of them.
#
# **Gaps too early.** Dilation in the lowest layers skips details that no later layer can get back. And a model that has
# learned without gaps does not take to them: on top of RoBERTa's weights dilation made results worse in the paper.
#
# **A causal stack has no global token.** It would carry the future into the past.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("03")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A pattern says who may attend to whom; a kernel computes it. They must agree.
# - A window costs n · w instead of n², but only if the other scores are never made.
# - l layers of windows see 1 + l · (w − 1) · dilation positions, and 3-D convolutions obey the same law along time; one token
#   that is global both ways shows everything in two layers, full attention in one.
# - Windows grow with depth; gaps belong to a few heads of the upper layers; training may begin short and end long.
#
# **Words:** *window_size* two-sided and odd; *dilation* positions between neighbouring keys, 1 = none; *global_mask* True =
# attends to all and is attended by all; *valid_mask* True = real, not padding. More in the glossary:
# [sliding window](../docs/glossary.md#sliding-window), [dilation](../docs/glossary.md#dilation),
# [causal](../docs/glossary.md#causal), [padding](../docs/glossary.md#padding). All names and symbols of the course stand in
# [the table of names](../docs/naming.md).
#
# **Next:** lesson 04, *ViT, patches and tubelets*: where the tokens come from.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Beltagy, Peters, Cohan: *Longformer: The Long-Document Transformer* (2020), arXiv 2004.05150
# - Liu and others: *RoBERTa: A Robustly Optimized BERT Pretraining Approach* (2019), arXiv 1907.11692
# - Neimark, Bar, Zohar, Asselmann: *Video Transformer Network* (2021), arXiv 2102.00719
# - Wang and others: *End-to-End Video Instance Segmentation with Transformers* (2020), VisTR, arXiv 2011.14503
# - Tran and others: *Learning Spatiotemporal Features with 3D Convolutional Networks* (2014), arXiv 1412.0767
# - Child, Gray, Radford, Sutskever: *Generating Long Sequences with Sparse Transformers* (2019), arXiv 1904.10509
# - Zaheer and others: *Big Bird: Transformers for Longer Sequences* (2020), arXiv 2007.14062
# - Vaswani and others: *Attention Is All You Need* (2017), arXiv 1706.03762
