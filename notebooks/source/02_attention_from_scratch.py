# %% [markdown]
# # 02 · Attention from scratch
#
# A model for video must let one moment learn from another. Attention is the way in which all models of this course do that:
# each token asks a question, and takes most from the tokens whose answer fits.
#
# In this lesson you write it, from one product of two tables to a network that you train. Everything later stands on it.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **Attention does not know what comes first. Shuffle the tokens, and the outputs are shuffled alike; nothing else changes. So
# an encoder without positions can learn *what* happened, but never *what came first*: there it is as good as a coin. Tell
# each token when it was, and the same network answers both. Hand the times out backwards, and it says the opposite.**
#
# You train this network below, and the lesson stops if the claim is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - compute attention weights, with masks, and without a nan;
# - write multi-head attention and a pre-norm encoder block;
# - say what they cost before you run them, and why n² hurts video;
# - test in one line whether a layer can know about order;
# - train a small encoder with a loop of 15 lines;
# - spot four mistakes that run without an error.
#
# **Before this lesson:** lesson 00, and a little PyTorch (tensors, matrix products, `nn.Module`). **Time:** about 90 minutes
# for the four core exercises, 20 more for the two extras.

# %% tags=["setup"]
import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.attention import Full, MultiHeadAttention, count_multiply_adds, full_attention, reference_weights
from vtlearn.course.footprint import footprint
from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_02 import QueryExplorer
from vtlearn.layers.block import EncoderBlock as LibraryBlock
from vtlearn.viz.weights import describe_lookup, describe_tables, draw_lookup, draw_tables

start_lesson("02")

# %% [markdown]
# ## A question, and who answers it
#
# Think of a search. You have a **query**: what you look for. Every entry has a **key**: what it can be found by. And it has a
# **value**: what you get. Attention is such a search, made soft: instead of the one best entry you get a mean of all, and the
# better a key fits, the more its value counts.
#
# In the picture the query and five keys are arrows in a plane (d = 2).

# %% tags=["picture"]
query = torch.tensor([1.4, 1.4])
keys = torch.tensor([[1.0, 0.1], [0.5, 1.5], [-0.8, 0.7], [-0.6, -0.9], [0.7, -0.8]])
values = torch.tensor([[0.1, 1.5], [-1.4, 0.5], [1.3, 0.7], [0.9, -1.2], [-1.0, -1.1]])
lookup = draw_lookup(query, keys, values, names="ABCDE", divisor=math.sqrt(2))
show(lookup, describe_lookup(lookup))

# %% [markdown]
# Left: B points nearly where the query points, and it is long. D points away. Middle: each arrow's product with the query is its
# **score**; the scores become **weights**, positive numbers that sum to 1. Right: the **output** is the mean of the values
# under these weights. It lies near B's value, drawn a little towards A's.
#
# A mean never leaves the area between the values. Attention chooses and mixes; it makes nothing new. That is left to other
# layers.

# %% [markdown]
# ## Step 1: scores and weights
#
# Now N queries and M keys at once. Put the queries into the rows of Q, of shape `(N, d)`, and the keys into K, `(M, d)`. Then
#
# $$S = \frac{Q K^\top}{\sqrt d} \ \ (N, M), \qquad A_{ij} = \frac{e^{S_{ij}}}{\sum_{m} e^{S_{im}}} \ \ (N, M).$$
#
# A **row** of A belongs to one query. Its **softmax** runs along the row, over the keys, so that each query has 1 to give
# away.
#
# Why divide by √d? A product of two random vectors adds up d terms. Its spread grows like √d. Without the division the
# softmax of a wide head would put everything on one key, and learn no more. You will measure it under *What can go wrong*.
#
# (Some summaries write √D, the width of a token. It is the width of a *head*, d. With one head they are the same.)

# %% tags=["exercise"]
# 02.1

# %% [markdown]
# From here on the lesson runs on `mine("02.1")`: your function once it has passed, the library's until then.
#
# Five tokens that show three things: *jump, rest, rest, jump, wave*. Each looks for what resembles it.

# %%
jump, rest, wave = 2 * torch.eye(3)
tokens = torch.stack([jump, rest, rest, jump, wave])  # (N, d) = (5, 3)
weights = mine("02.1")(tokens, tokens).float()
drawn = draw_tables({"jump, rest, rest, jump, wave": weights})
show(drawn, describe_tables(drawn))

# %% [markdown]
# The two jumps have found each other, three places apart, and so have the two rests. **Attention goes by content, not by
# place.** A convolution would have to be told how far away to look.
#
# With values V of shape `(M, d)` the output is
#
# $$O = A V \ \ (N, d), \qquad o_i = \sum_j A_{ij}\, v_j .$$

# %%
output = weights @ tokens  # here the values are the tokens themselves
print("first token before:", tokens[0].tolist())
print("first token after: ", [round(number, 2) for number in output[0].tolist()])

# %% [markdown]
# ### Where do Q, K and V come from?
#
# From the tokens themselves. Three learned matrices make them: $Q = X W_q$, $K = X W_k$, $V = X W_v$, with X of shape
# `(N, D)`. That is **self-attention**. The same token asks with one vector, is found by another, and gives a third. So *jump*
# can learn to look for *landing*, which does not resemble it at all.

# %% [markdown]
# ## Step 2: masks
#
# Not everyone may look at everyone. A clip is filled up with padding that nobody should read. A model that answers while the
# video runs must not see the future. A **mask** says who may: **True = may attend**.
#
# The formula stays. A forbidden score becomes −∞, and $e^{-\infty} = 0$:
#
# $$S_{ij} \leftarrow -\infty \quad \text{where } M_{ij} \text{ is False.}$$
#
# One case needs thought. What if a row may attend to **nothing**: padding that looks at padding? Then the sum in the softmax
# is 0, and 0 / 0 is nan. In this course such a row is all zeros: it takes nothing from anyone.

# %% tags=["exercise"]
# 02.2

# %%
scores = tokens @ tokens.T / math.sqrt(3)
past = torch.ones(5, 5, dtype=torch.bool).tril()  # a query sees itself and what came before
past[2] = False  # and token 2 may see nothing at all
masks = {"no mask": torch.ones_like(past), "only the past": past}
drawn = draw_tables({name: mine("02.2")(scores, mask) for name, mask in masks.items()})
show(drawn, describe_tables(drawn))

# %% [markdown]
# Token 0 sees only itself now, so it takes all of itself. Token 3, the second jump, still finds the first. Row 2 is empty,
# and no nan came of it.

# %% [markdown]
# ## Step 3: several heads
#
# One softmax has one thing to look for. A token may have several questions: who looks like me, who stands beside me, where
# does something start? So the width D is cut into **heads** of width d = D / heads. Each head has its own queries, keys and
# values, its own table of weights, and its own answer:
#
# $$\text{head}_h = \mathrm{softmax}\!\left(\frac{Q_h K_h^\top}{\sqrt d}\right) V_h \ \ (N, d), \qquad
#   \text{out} = [\text{head}_1, \dots, \text{head}_H]\; W_o \ \ (N, D).$$
#
# The last matrix, W_o, lets the heads' answers mix. In code the three projections are one layer, `qkv`, from D to 3 · D, and
# W_o is called `proj`.
#
# More heads cost no more multiplications: twice the heads, each half as wide.

# %% tags=["exercise"]
# 02.3

# %%
library = MultiHeadAttention(12, num_heads=3)
clips = torch.randn(2, 7, 12)  # (B, N, D)
with torch.no_grad():
    ours, theirs = mine("02.3")(clips, library.qkv, library.proj, 3), library(clips)
print("shape:", tuple(ours.shape))
print("same as the library with the same weights:", torch.allclose(ours, theirs, atol=1e-5))

# %% [markdown]
# ## Step 4: the encoder block
#
# Attention alone is a mean, and a mean of means soon has nothing left to tell. Take eight random tokens and attend again and
# again. How far are they apart?

# %%
start = torch.randn(8, 16, generator=torch.Generator().manual_seed(2))


def spread(x: Tensor) -> float:
    """Mean distance of the tokens from their common mean."""
    return float((x - x.mean(dim=0)).norm(dim=1).mean())


replaced, added = start, start
print(f"layers: {'0':>6}   replaced {spread(replaced):.2f}   added {spread(added):.2f}")
for layer in range(1, 9):
    replaced = mine("02.1")(replaced, replaced).float() @ replaced
    normed = F.layer_norm(added, (16,))
    added = added + mine("02.1")(normed, normed).float() @ normed
    if layer in (2, 4, 8):
        print(f"layers: {layer:>6}   replaced {spread(replaced):.2f}   added {spread(added):.2f}")

# %% [markdown]
# Where each layer **replaces** the tokens, all become one and the same. Where it **adds** to them, they stay themselves. That
# sum is the **residual** connection. It also gives the gradient a straight way back to the first layer.
#
# A sum that grows needs a **norm**: `nn.LayerNorm` brings each token to mean 0 and spread 1, over its own D numbers. In a
# **pre-norm** block the norm stands before each step, inside the branch, and the stream of sums is left alone. (BERT and the
# published Longformer norm after the sum: post-norm. It works, but it needs a slow start of the learning rate.)
#
# And since a mean makes nothing new, an **MLP** follows: two linear layers with a GELU between, for each token by itself. It
# usually widens D to 4 · D and back. Together:
#
# $$x' = x + \mathrm{Attention}(\mathrm{LN}_1(x)), \qquad y = x' + \mathrm{MLP}(\mathrm{LN}_2(x')), \qquad
#   \text{all of shape } (B, N, D).$$

# %% tags=["exercise"]
# 02.4

# %%
theirs = LibraryBlock(12, 3, 48)
ours = mine("02.4")(12, 48, MultiHeadAttention(12, num_heads=3)).eval()  # eval: without dropout, if any
count = [sum(parameter.numel() for parameter in block.parameters()) for block in (ours, theirs)]
print(f"parameters: {count[0]:,}; as many as the library's block: {count[0] == count[1]}")
with torch.no_grad():
    x = clips
    for block in [ours] * 8:
        x = block(x)
print("after eight blocks the tokens still differ:", spread(x[0]) > 0.5)

# %% [markdown]
# ViT, TimeSformer and ViViT are stacks of such blocks, 12 or 24 of them. What differs between the models of this course is
# hardly the block. It is who attends to whom.

# %% [markdown]
# ## Step 5: the bill
#
# Every token meets every token: n² pairs. Each pair needs a score (d multiply-adds) and its share of the output (d more), in
# every head. Each pair also has one weight in the table of each head. So there are two bills, one of operations and one of
# memory, and both have an n² in them.

# %% tags=["exercise"]
# 02.5

# %% [markdown]
# Now measure. The first counter watches the multiplications that really run, the second the numbers that are really stored.

# %%
layer = MultiHeadAttention(48, num_heads=4)
print(f"{'tokens':>6} {'multiply-adds':>14} {'as predicted':>13} {'weights stored':>15} {'as predicted':>13}")
for n in (32, 64, 128):
    operations, numbers = (int(number) for number in mine("02.5")(n, 48, 4))
    counted = count_multiply_adds(layer, torch.zeros(1, n, 48))
    q = torch.zeros(1, 4, n, 12)
    stored = footprint(reference_weights, q, q, Full()).largest
    print(f"{n:>6} {counted:>14,} {counted == operations!s:>13} {stored:>15,} {stored == numbers!s:>13}")

# %%
with torch.no_grad():
    once, twice = (
        footprint(mine("02.3"), torch.zeros(1, n, 12), library.qkv, library.proj, 3).total for n in (256, 512)
    )
print(f"your multi-head attention, twice the tokens: all it stores grows × {twice / once:.0f}")
q = torch.zeros(1, 4, 128, 12)
fused = footprint(full_attention, q, q, q).largest
print(
    f"a fused kernel, 128 tokens: its largest tensor holds {fused:,} numbers, the table would be {4 * 128**2:,}"
)

# %% [markdown]
# A **fused** kernel works through the table in tiles and never stores it. So memory need not grow with n². The operations
# still do: every pair is computed.
#
# What does it mean for video? Take the layer of ViT-Base: D = 768, 12 heads.

# %%
print(f"{'':<27} {'tokens':>7} {'multiply-adds':>16} {'in the pairs':>13} {'weights, MiB':>13}")
sizes = {"one image": 197, "BERT's longest text": 512}
sizes |= {"8 frames": 8 * 196, "96 frames": 96 * 196}
for name, n in sizes.items():
    operations, numbers = (int(number) for number in mine("02.5")(n, 768, 12))
    share = 2 * n**2 * 768 / operations
    print(f"{name:<27} {n:>7,} {operations:>16,} {share:>13.0%} {4 * numbers / 2**20:>13,.0f}")

# %% [markdown]
# For an image the pairs are a detail: the projections cost more as long as N is below 2 · D. For 96 frames they are nearly
# everything, and the tables of **one layer** would fill almost 16 GiB. BERT stops at 512 tokens. A video of 96 frames has 37 times
# as many.
#
# The rest of this course is about that line of the table: Longformer looks near (lesson 03), VTN folds each frame into one
# token (05), TimeSformer and ViViT take space and time apart (06, 07).

# %% [markdown]
# ## Step 6: does it know the order?
#
# Let P shuffle the tokens. Look at the formula: a shuffled X gives shuffled rows of Q, K and V. The scores are the same
# numbers in other places, each softmax shares among the same keys, and the sum over keys does not care for their order. So
#
# $$\mathrm{Attention}(P X) = P\, \mathrm{Attention}(X).$$
#
# This is called **permutation equivariance**. Norms, MLP and residuals treat each token by itself, so it holds for the whole
# block, and for any stack of blocks.

# %% tags=["exercise"]
# 02.6

# %%
shuffled = torch.randperm(7, generator=torch.Generator().manual_seed(1))
exact, block = clips.double(), ours.double()
times = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]  # (N, 1): when each token was
layers = {
    "a block": block,
    "three blocks": nn.Sequential(block, block, block),
    "a linear layer": nn.Linear(12, 12).double(),
    "a running sum": lambda x: x.cumsum(dim=1),
    "times added, then a block": lambda x: block(x + times),
}
for name, one in layers.items():
    blind = bool(mine("02.6")(one, exact, shuffled))
    print(f"{name:<26} {'cannot know the order' if blind else 'knows the order'}")

# %% [markdown]
# For a set of things that is a virtue. For a video it is a hole: *picking up* and *putting down* are the same frames in
# another order. The hole is closed by **positions**: a vector for each place, added to the token that stands there.

# %% [markdown]
# ## Try it: the Q/K/V explorer
#
# Move a slider with the mouse or with the arrow keys. Four things to find out:
#
# 1. Turn the query once round. Which key wins most often, which least? Compare the lengths of their arrows.
# 2. Make the query longer. What happens to the weights, and to the output?
# 3. Divide by nothing instead of √d. Which other control has the same effect?
# 4. Mask the winner. Who inherits?

# %% tags=["panel"]
QueryExplorer()

# %% [markdown]
# ## The experiment
#
# Made-up clips of 12 tokens. Each is noise, but for two events, one in the first half and one in the second. There are two
# pairs of events, and each pair comes in two orders. So there are two questions: **what** happened (which pair), and which of
# the pair came **first**.
#
# Every test clip is there twice, forwards and backwards. Played backwards, *what* stays, and *first* turns round.

# %% tags=["claim-part"]
TOKENS, WIDTH, HEADS = 12, 16, 2
chance = torch.Generator().manual_seed(0)
looks = torch.randn(4, WIDTH, generator=chance)  # events 0 and 1 are one pair, 2 and 3 the other


def make_clips(number: int) -> tuple[Tensor, Tensor]:  # -> (B, N, D), (B, 2)
    """Noise with two events; the answers to: what, and first."""
    x = 0.3 * torch.randn(number, TOKENS, WIDTH, generator=chance)
    what, first = torch.randint(2, (2, number), generator=chance)
    early, late = torch.randint(TOKENS // 2, (2, number), generator=chance)
    every = torch.arange(number)
    x[every, early] += looks[2 * what + first]
    x[every, TOKENS // 2 + late] += looks[2 * what + 1 - first]
    return x, torch.stack([what, first], dim=1).float()


training = make_clips(2048)
forwards, answers = make_clips(256)
test = torch.cat([forwards, forwards.flip(1)])
turned = torch.stack([answers[:, 0], 1 - answers[:, 1]], dim=1)
test_answers = torch.cat([answers, turned])

# %% [markdown]
# The network is one of your blocks, with your attention inside. Its answer is read from the mean of the output tokens.


# %% tags=["claim-part"]
class Attention(nn.Module):
    """Your multi-head attention, with the two layers that it learns."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.attend = mine("02.3")

    def forward(self, x: Tensor) -> Tensor:  # (B, N, D) -> (B, N, D)
        return self.attend(x, self.qkv, self.proj, HEADS)


class Network(nn.Module):
    """Positions, one block, the mean over tokens, two answers."""

    def __init__(self, positions: Tensor):  # (N, D)
        super().__init__()
        self.positions = positions
        self.block = mine("02.4")(WIDTH, 2 * WIDTH, Attention())
        self.norm, self.answer = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:  # (B, N, D) -> (B, 2)
        tokens = self.norm(self.block(x + self.positions))
        return self.answer(tokens.mean(dim=1))


# %% [markdown]
# And here is a training loop, whole. Every training in this course is this one, with more around it: take a batch, answer,
# measure the loss, compute gradients, take a step.


# %% tags=["claim-part"]
def train(positions: Tensor, steps: int = 150) -> Network:
    """Train a network that is given these positions."""
    torch.manual_seed(0)  # all networks start from the same weights
    network = Network(positions)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    x, wanted = training
    batches = torch.arange(len(x)).repeat(steps).split(32)[:steps]
    for batch in batches:
        loss = F.binary_cross_entropy_with_logits(network(x[batch]), wanted[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


# %% [markdown]
# - **Baseline:** no positions.
# - **Under test:** each token is told when it was. A number from −1 to 1 is added along one direction.
# - **Negative controls:** the same vector is added to every token, so that there is as much to read, but nothing about time;
#   and the trained network under test, with the times handed out backwards.

# %% tags=["claim-part"]
direction = torch.randn(WIDTH, generator=chance)
ramp = torch.linspace(-1, 1, TOKENS)[:, None] * direction  # (N, D)
position_tables = {
    "no positions": torch.zeros(TOKENS, WIDTH),
    "with positions": ramp,
    "control: one vector for all": direction.expand(TOKENS, WIDTH),
}
networks = {name: train(table) for name, table in position_tables.items()}


def share_right(network: Network) -> list[float]:
    """How often the answers to *what* and *first* are right on the test clips."""
    with torch.no_grad():
        said = (network(test) > 0).float()
    return (said == test_answers).float().mean(dim=0).tolist()


# %% tags=["signature", "claim-part"]
right = {name: share_right(network) for name, network in networks.items()}
backwards = Network(ramp.flip(0)).eval()
backwards.load_state_dict(networks["with positions"].state_dict())
right["control: times backwards"] = share_right(backwards)


def in_words(share: float) -> str:
    if abs(share - 0.5) < 0.05:
        return "like a coin"
    return "nearly always" if share > 0.9 else "nearly never" if share < 0.1 else "sometimes"


print(f"{'right':<28} {'what happened':<16} which came first")
for name, (what, first) in right.items():
    print(f"{name:<28} {in_words(what):<16} {in_words(first)}")


# %% tags=["claim-part"]
def order_blind(network: Network) -> bool:
    """The shuffle test on a trained network's positions and block."""
    exact = copy.deepcopy(network).double()
    order = torch.randperm(TOKENS, generator=torch.Generator().manual_seed(1))
    return bool(mine("02.6")(lambda x: exact.block(x + exact.positions.double()), test.double(), order))


# %% tags=["claim-holds"]
with torch.no_grad():
    there, back = networks["no positions"](forwards), networks["no positions"](forwards.flip(1))
blind = {name: order_blind(network) for name, network in networks.items()}
assert blind["no positions"], "the encoder without positions noticed that its tokens were shuffled"
assert not blind["with positions"], "the encoder with positions did not notice the shuffling"
assert torch.allclose(there, back, atol=1e-3), "played backwards, a clip got another answer without positions"
assert min(what for what, _ in right.values()) > 0.9, "a network did not even learn what happened"
assert abs(right["no positions"][1] - 0.5) < 0.02, "without positions the order was told"
assert right["with positions"][1] > 0.9, "with positions the order was not learned"
assert abs(right["control: one vector for all"][1] - 0.5) < 0.02, "a vector without time told the order"
assert right["control: times backwards"][1] < 0.1, "the times backwards did not turn the answer round"
print("The claim holds: attention learns what; only positions tell it what came first.")

# %% [markdown]
# Without positions the network was trained on thousands of clips with the right answers beside them, and it could not learn
# the order. It is not a matter of more training. It gives a clip and its reversal **the same answer**, so it must be wrong on
# one of the two.
#
# And the last row shows what the trained network goes by: only the times. Hand them out backwards, and the clip is, to the
# network, the reversed clip.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **The softmax on the wrong axis.** A table of weights is square in self-attention, so `dim=0` runs without an error. Then the
# columns sum to 1: every *key* shares itself out among the queries, and a query can end up with much or with nothing. Look at
# the row sums.

# %%
generator = torch.Generator().manual_seed(4)
q, k = torch.randn(2, 5, 8, generator=generator)
scores = q @ k.T / math.sqrt(8)
axes = draw_tables(
    {"dim=-1: over the keys": scores.softmax(-1), "dim=0: over the queries": scores.softmax(0)}
)
show(axes, describe_tables(axes))

# %% [markdown]
# **The √d forgotten.** With small heads nothing seems wrong. Here are random queries and 16 random keys, in narrow heads and
# in wide ones.

# %%
print(f"{'head width d':>12} {'spread of q · k':>16} {'largest weight':>15} {'with √d':>8}")
for width in (4, 64, 1024):
    q, k = (torch.randn(count, width, generator=generator) for count in (400, 16))
    products = q @ k.T
    undivided = products.softmax(-1).amax(-1).mean()
    divided = (products / math.sqrt(width)).softmax(-1).amax(-1).mean()
    print(f"{width:>12} {products.std():>16.0f} {undivided:>15.1f} {divided:>8.1f}")

# %% [markdown]
# Undivided, the widest head gives almost all its weight to one key before it has learned anything. There the softmax is flat:
# a small change of a score hardly changes a weight, and almost no gradient comes back.
#
# **The mask's sign.** In this course, and in `F.scaled_dot_product_attention`, True means *may attend*. In
# `nn.MultiheadAttention` True means *may not*. Both take the same table without a word.

# %%
past = torch.ones(4, 4, dtype=torch.bool).tril()
x = torch.randn(1, 4, 8, generator=generator)
module = nn.MultiheadAttention(8, num_heads=1, batch_first=True)
may = F.scaled_dot_product_attention(x, x, torch.eye(4)[None], attn_mask=past)[0]  # values 1: the weights
may_not = module(x, x, x, attn_mask=past)[1][0]
for name, table in (("may attend", may), ("may not", may_not)):
    print(f"True = {name:<10}: keys of token 1: {(table[1] > 0).nonzero().flatten().tolist()};"
          f" rows of nan: {table.isnan().any(-1).nonzero().flatten().tolist()}")  # fmt: skip

# %% [markdown]
# Read the other way, "only the past" becomes "only the future", and the last token, which has no future, becomes nan.
#
# **Rows of nan.** One row that may attend to nothing is enough. In the next layer every token looks at it, and nan times any
# weight is nan.

# %%
mask = torch.ones(6, 6, dtype=torch.bool)
mask[5] = False  # token 5 is padding: it looks at nothing, but others may look at it
x = torch.randn(6, 8, generator=generator)
for layer in (1, 2):
    x = (x @ x.T / math.sqrt(8)).masked_fill(~mask, -math.inf).softmax(-1) @ x
    print(f"after layer {layer}: tokens with nan: {x.isnan().any(-1).nonzero().flatten().tolist()}")

# %% [markdown]
# Wiping the nan away afterwards is not always enough: it may still be in the **gradient**. Two ways to forbid a
# whole row, both mended afterwards:

# %%
x = torch.randn(3, 3, generator=generator, requires_grad=True)
forbidden = torch.zeros(3, 3, dtype=torch.bool)
forbidden[2] = True
ways = {
    "−∞ added to the scores": x + torch.zeros(3, 3).masked_fill(forbidden, -math.inf),
    "−∞ instead of the scores": x.masked_fill(forbidden, -math.inf),
}
for name, hidden in ways.items():
    mended = torch.nan_to_num(hidden.softmax(dim=-1))
    (gradient,) = torch.autograd.grad(mended.square().sum(), x)
    print(
        f"{name:<25} nan in the output: {bool(mended.isnan().any())!s:<6} in the gradient: {bool(gradient.isnan().any())}"
    )

# %% [markdown]
# A score that is *replaced* gets no gradient at all, so none of the nan comes through. Better still, let no row be empty before
# the softmax.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("02")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Attention is softmax(QKᵀ / √d) V: each row shares out 1 among the keys, and the output is a mean of values.
# - A mask makes scores −∞; a row with nothing left needs care.
# - Heads are slices of the width with a table each. A block is attention and MLP, each normed before and added after.
# - N tokens have N² pairs: four times the work for twice the length.
# - Attention is equivariant: without positions no stack of blocks knows what came first.
#
# **Words:** *query, key, value* what a token asks with, is found by, and gives; *head_dim* d, the width of a head; *mask*
# True = may attend; *pre-norm* the norm stands inside the branch; *equivariant* shuffled in, shuffled out. More in the
# glossary: [softmax](../docs/glossary.md#softmax), [multi-head attention](../docs/glossary.md#multi-head-attention),
# [residual](../docs/glossary.md#residual), [position](../docs/glossary.md#position). All names and symbols of the course stand
# in [the table of names](../docs/naming.md).
#
# **Next:** lesson 03, *Longformer attention*: fewer pairs.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Vaswani and others: *Attention Is All You Need* (2017), arXiv 1706.03762
# - Wang, Girshick, Gupta, He: *Non-local Neural Networks* (2017), attention for video before transformers, arXiv 1711.07971
# - Devlin and others: *BERT* (2018), arXiv 1810.04805
# - Dosovitskiy and others: *An Image is Worth 16x16 Words* (2020), the pre-norm block for images, arXiv 2010.11929
# - Xiong and others: *On Layer Normalization in the Transformer Architecture* (2020), pre-norm against post-norm, arXiv
#   2002.04745
# - Dong, Cordonnier, Loukas: *Attention is Not All You Need* (2021), what happens without residuals, arXiv 2103.03404
# - Dao and others: *FlashAttention* (2022), the table that is never stored, arXiv 2205.14135
