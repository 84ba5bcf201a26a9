# %% [markdown]
# # 11 · Seeing attention
#
# An attention weight is a number you can draw. Lay it over the video, and the model seems to say where it looked. It is the
# most popular picture of a transformer, and the easiest to believe too soon.
#
# In this lesson you record weights, join the maps of all layers to one, also for TimeSformer's two steps, and then do
# what is often left out: you test whether the map means anything.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **Remove from a clip the eighth of its patches that rollout ranks highest: TimeSformer changes most of its answers about
# motion. Remove as many by lot, and most answers stay; remove the lowest, and nearly all do. The same map from shuffled
# weights costs clearly fewer answers. But a map of plain contrast, made without any model, costs as many.**
#
# So the map finds what the answer rests on. It does not say why, and here a much simpler map finds it too. The lesson
# measures all five on clips that the model never trained on, and stops if this is false.

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - record attention weights, also from a model whose kernels never show them;
# - draw single heads, and the class token's weights over time;
# - join all layers by rollout, and say what it leaves out;
# - do the same for divided attention, whose blocks attend in two steps;
# - test a map: with random weights, and by deletion with a baseline;
# - say what a map of attention does not show.
#
# **Before this lesson:** lessons 02 (attention), 05 (VTN) and 06 (TimeSformer). **Time:** about 75 minutes for the
# three core exercises, 30 more for the two extras.

# %% tags=["setup"]
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vtlearn.attention import record_attention
from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_11 import AttentionOverlay
from vtlearn.data.memory import evaluation_batches
from vtlearn.study.shipped import load_shipped, sample_clips
from vtlearn.viz.frame_weights import draw_frame_weights, words_of_frame_weights
from vtlearn.viz.maps import describe_maps, draw_maps

start_lesson("11")

# %% [markdown]
# ## Clips and a model
#
# The model is the TimeSformer of the comparison: divided attention, four blocks, clips of 8 frames of 32 × 32 pixels.
# A patch has a side of 8, which makes 8 · 4 · 4 = 128 patches and one class token. The clips are from the test split.

# %% tags=["claim-part"]
held_out = sample_clips("test")
test = next(evaluation_batches(held_out, batch_size=320, num_frames=8))
chosen = torch.arange(320).view(-1, 8)[::4].flatten()  # eight neighbours hold each motion once
clips, index = test["clip"][chosen], test["frame_index"][chosen]  # (B, T, C, H, W), (B, T)
model = load_shipped("timesformer")


@torch.no_grad()
def answers(network: nn.Module, shown: Tensor) -> Tensor:
    """The motion that a network names for each clip, as a class number."""
    return network(shown)["motion"].argmax(-1)


before = answers(model, clips)
print(f"clips: {tuple(clips.shape)}")
print("over 90 % are named rightly:", float((before == test["labels"]["motion"][chosen]).float().mean()) > 0.9)

# %% [markdown]
# The first map: what the class token reads in the last block, in each frame. Grey frames, colours from little (dark
# blue) to much (yellow).

# %% tags=["picture"]
one = 12  # this clip is looked at throughout
picture = clips[one] * 0.225 + 0.45  # the pixels as they were before they were scaled
with torch.no_grad(), record_attention(model) as record:
    model(clips[one : one + 1])
last = record["trunk.blocks.3.attn"]  # (frames, heads, 1 + 16, 1 + 16)
figure = draw_maps(picture, {"last block,\nmean of heads": last.mean(1)[:, 0, 1:].reshape(8, 4, 4)})
show(figure, describe_maps(figure))

# %% [markdown]
# It is bright at the left edge of the shape. What may you conclude? Hold your answer until the end of the lesson.
#
# ## Recording weights
#
# Where do the numbers come from? `record_attention` knows this library's kernels. In other code you have to get them
# yourself, and a fast kernel never stores its table: it computes the output piece by piece. But q and k are there, as
# the output of one linear map, `qkv`. From them the weights follow:
#
# $$A = \mathrm{softmax}\left(\frac{q\,k^\top}{\sqrt d}\right) \qquad (B, \text{heads}, N, N).$$
#
# A **forward hook** is a function that PyTorch calls with each output of a module. It stays until you remove it.

# %% tags=["exercise"]
# 11.1

# %%
weights = mine("11.1")(model, clips[one : one + 1], 4)
for name, table in weights.items():
    same = torch.allclose(table.float(), record[name], atol=1e-5)
    print(f"{name:<29} {tuple(table.shape)!s:<17} equal to the library's: {same}")

# %% [markdown]
# Each block has two: `temporal_attn` over time, where the batch is 16 places and a table is 8 × 8 frames, and `attn` over
# space, where the batch is 8 frames and a table is 17 × 17, the class token and 16 patches.
#
# ## Head by head
#
# The mean over heads hides that heads differ. The class token's row in the last block, one head a row:

# %%
heads = weights["trunk.blocks.3.attn"][:, :, 0, 1:].float()  # (frames, heads, 16)
figure = draw_maps(picture, {f"head {h + 1}": heads[:, h].reshape(8, 4, 4) for h in range(4)})
show(figure, describe_maps(figure))

# %% [markdown]
# Each row has its own scale. Head 4 reads the ground and spares the shape; the mean of the heads showed nothing of that.
#
# In an image ViT that was trained without labels (DINO, arXiv 2104.14294) single heads of the last layer follow objects
# closely; in one trained with labels they do so less. Among many heads there is always a beautiful one: say how you
# chose.
#
# ## The class token over time
#
# VTN's temporal encoder has one token a frame. There the class token's row is a curve over time. The last layer, mean
# of the heads, of the same clip:

# %%
vtn = load_shipped("vtn")
with torch.no_grad(), record_attention(vtn) as of_vtn:
    vtn(clips[one : one + 1], index[one : one + 1])
over_frames = list(of_vtn.values())[-1].mean(1)[0, 0, 1:]  # (1, heads, 9, 9) -> (8)
figure = draw_frame_weights(picture, over_frames, index[one].tolist(), equal=1 / 9, title="VTN, last layer")
show(figure, words_of_frame_weights(figure))

# %% [markdown]
# The frames of the hop and of the swell get least, and yet the class is "hop then swell". Do not read it as "not used": the
# layer below has already carried these frames into the others.
#
# ViViT's factorised encoder has both: weights inside each tubelet's frame, then over time. What a patch gets is what
# its frame gets, times what the patch gets in it: `over_time[:, None] * in_frame`, with shapes (t, 1) and (t, s).

# %%
vivit = load_shipped("vivit")
sixteen = next(evaluation_batches(held_out, batch_size=int(chosen[one]) + 1, num_frames=16))["clip"][-1]
with torch.no_grad(), record_attention(vivit) as of_vivit:
    vivit(sixteen[None])
in_frame = of_vivit["trunk.encoder.spatial.blocks.3.attn"].mean(1)[:, 0, 1:]  # (8, 17, 17) -> (8, 16)
over_time = of_vivit["trunk.encoder.temporal.blocks.1.attn"].mean(1)[0, 0, 1:]  # (9, 9) -> (8)
factorised = (over_time[:, None] * in_frame).reshape(8, 4, 4)
figure = draw_maps(sixteen[::2] * 0.225 + 0.45, {"ViViT,\nlast of each": factorised})
show(figure, describe_maps(figure))

# %% [markdown]
# ## All layers: rollout
#
# A map of the last block has a flaw. What stands at a place in the last block is no longer the patch: three blocks have
# mixed it with others. **Attention rollout** follows the mixing. If layer 1 mixes the tokens by $A_1$ and layer 2 mixes
# the result by $A_2$, both together mix by $A_2 A_1$.
#
# But a layer does not replace its tokens. It **adds** to them: the residual. So half of each table is the identity:
#
# $$\hat A_l = \tfrac12 \bar A_l + \tfrac12 I, \qquad R = \hat A_L \cdots \hat A_2\, \hat A_1 \qquad (N, N),$$
#
# where $\bar A$ is the mean over heads. Rows of $R$ sum to 1. Row i says how much of each first token is in token i at
# the end. (Abnar and Zuidema, arXiv 2005.00928.)

# %% tags=["exercise"]
# 11.2

# %%
spatial = [table for name, table in of_vivit.items() if "spatial" in name]  # 4 layers, (8, 4, 17, 17)
joined = mine("11.2")(spatial)
print("rollout of ViViT's spatial layers:", tuple(joined.shape))
print("rows sum to 1:", torch.allclose(joined.sum(-1).float(), torch.ones(8, 17), atol=1e-4))
own = joined.diagonal(dim1=1, dim2=2)
print("each token holds at least 1/16 of itself:", bool((own >= 1 / 16).all()))
most = int((joined.argmax(-1) == torch.arange(17)).sum())
print("but in most tokens another one weighs more:", most < 0.5 * 8 * 17)

# %% [markdown]
# Four residuals leave at least (1/2)⁴ of a token to itself. Half and half is a convention: in a given layer the
# update may be larger or smaller than what it is added to. Rollout also leaves out the values, the MLPs and the norms. It
# asks where numbers *could* have come from, by attention alone.
#
# ## Rollout for divided attention
#
# TimeSformer has no table over all 129 tokens. Its block attends twice. Each step can be written as a large table that
# is mostly zero, with the class token first and then the patches, frame after frame:
#
# - **over time**, a patch reads its own place in every frame. The class token takes no part in this step: it keeps itself;
# - **over space**, a patch reads its frame and the class token. The class token has a copy in each frame, and the
#   copies are averaged: its row is the mean over the frames.
#
# Each step has a residual of its own. So a block counts as two layers, time first, and rollout takes it from there.

# %% tags=["exercise"]
# 11.3


# %% tags=["claim-part"]
def heat_of(network: nn.Module) -> Tensor:  # -> (B, 8, 4, 4)
    """Space-time rollout: what the class token of each clip holds of every patch."""
    weights = mine("11.1")(network, clips, 4)
    time = [table for name, table in weights.items() if "temporal" in name]
    space = [table for name, table in weights.items() if "temporal" not in name]
    tables = [table for pair in zip(time, space, strict=True) for table in mine("11.3")(*pair, 8)]
    joined = mine("11.2")([table[:, None].float() for table in tables]).float()  # eight tables, one head each
    return joined[:, 0, 1:].reshape(-1, 8, 4, 4)


by_rollout = heat_of(model)
print("rollout:", tuple(by_rollout.shape))

# %%
time, space = weights["trunk.blocks.0.temporal_attn"], weights["trunk.blocks.0.attn"]
over_time, over_space = mine("11.3")(time, space, 8)
both = over_space @ over_time
for name, table in (("over time", over_time), ("over space", over_space), ("one block, both", both)):
    print(f"{name:<16} {tuple(table.shape[1:])}, not zero: {float((table > 0).float().mean()):.0%}")

# %% [markdown]
# One block lets every patch reach every other, as lesson 06 said. The figure shows rollout of one clip, under the last
# block's map. The sixteen highest of 128 have a frame:

# %%
figure = draw_maps(
    picture,
    {"last block,\nmean of heads": last.mean(1)[:, 0, 1:].reshape(8, 4, 4), "rollout": by_rollout[one]},
    marked=16,
)
show(figure, describe_maps(figure))

# %% [markdown]
# They disagree. Rollout is brightest in frame 4, where the shape stands highest: a story comes to mind at once. Which
# map is right? Looking harder does not tell. A test can.
#
# ## First test: random weights
#
# Compute the same map from a network that has learned nothing. If it looks the same, the map shows the picture, not the
# model. For methods of saliency this test was a shock: some gave nearly the same picture from a random network, and
# much the same as an edge detector (Adebayo and others, arXiv 1810.03292).
#
# We shuffle the numbers inside every parameter. Sizes and spread stay as training left them; what they say is gone.

# %% tags=["exercise"]
# 11.4

# %% tags=["claim-part"]
shuffled = [heat_of(mine("11.4")(model, seed)) for seed in (1, 2, 3)]
far = (clips - clips.mean((3, 4), keepdim=True)).abs().mean(2)  # how far each pixel is from its frame's mean
contrast = F.avg_pool2d(far, 8)  # (B, 8, 4, 4): no model at all
by_lot = torch.rand(by_rollout.shape, generator=torch.Generator().manual_seed(11))
same = answers(mine("11.4")(model, 1), clips) == before
print("a shuffled network gives the model's answer to over half of the clips:", float(same.float().mean()) > 0.5)

# %%
figure = draw_maps(
    picture,
    {"rollout": by_rollout[one], "rollout,\nrandom weights": shuffled[0][one], "contrast,\nno model": contrast[one]},
    marked=16,
)
show(figure, describe_maps(figure))


# %%
def likeness(one: Tensor, other: Tensor) -> float:
    """The mean over clips of the correlation of two maps."""
    pairs = torch.stack([one.flatten(1), other.flatten(1)], 1)
    return float(torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs]).mean())


others = {f"random weights, seed {seed}": heat for seed, heat in zip((1, 2, 3), shuffled, strict=True)}
others |= {"contrast": contrast, "by lot": by_lot}
alike = {name: likeness(by_rollout, other) for name, other in others.items()}
for name, value in alike.items():
    print(f"{name:<24} {'much' if value > 0.57 else 'somewhat' if value > 0.05 else 'not'} like rollout")
print("most alike:", max(alike, key=alike.get))

# %% [markdown]
# Sobering: of all these maps that of **contrast** is most like rollout. The random networks find the shape as well,
# since even a random network passes on what is bright. A shape on a quiet ground is easy to find; that a map finds it
# proves little.

# %% [markdown]
# ## Second test: deletion
#
# If a place matters to the answer, the answer should suffer when the place is gone. So remove the places that a map ranks
# highest and count the answers that stay. A hole needs a filling: the mean colour of its frame.

# %% tags=["exercise"]
# 11.5

# %%
gone = mine("11.5")(clips, by_rollout, 16).float()
without = gone[one] * 0.225 + 0.45
figure = draw_maps(picture, {"rollout": by_rollout[one]}, marked=16, more={"without\nthe marked": without})
show(figure, describe_maps(figure))
names = held_out.class_names["motion"]
print("the model says:", names[int(before[one])], "- and without the marked:", names[int(answers(model, gone)[one])])

# %% [markdown]
# A changed answer alone says nothing: a clip with 16 holes is unlike anything in training, and **any** holes might do
# this. The baseline is as many holes by lot.

# %% [markdown]
# ## Try it: a map over a video
#
# 1. Which map marks what you would look at? Then see whether it changes the answer.
# 2. Take *by lot*. How many holes does the model bear?
# 3. Take *contrast, no model*, and then *rollout, random weights*. What is left of "it looked at the shape"?
# 4. Compare the four heads. Could you tell a story about each? Would it be true?

# %% tags=["panel"]
AttentionOverlay()

# %% [markdown]
# ## The experiment: whose holes hurt?
#
# Sixteen of 128 patches are removed from each clip. How many answers stay what they were? Five maps:
#
# - **rollout** of the trained model;
# - **lowest**: the sixteen that rollout ranks lowest;
# - **by lot**: the baseline;
# - **random weights**: rollout of shuffled networks, the mean of three; the negative control;
# - **contrast**: no model at all.

# %% tags=["signature", "claim-part"]
NUMBER = 16


def stay(heat: Tensor) -> float:
    """The share of answers that stay when the highest places of a map are gone."""
    return float((answers(model, mine("11.5")(clips, heat, NUMBER).float()) == before).float().mean())


stays = {
    "lowest by rollout": stay(-by_rollout),
    "by lot": stay(by_lot),
    "rollout, random weights": sum(stay(heat) for heat in shuffled) / len(shuffled),
    "rollout": stay(by_rollout),
    "contrast, no model": stay(contrast),
}


def level(share: float) -> str:
    """A share in words that do not change from machine to machine."""
    steps = ((0.9, "nearly all"), (0.68, "most"), (0.45, "about half"))
    return next((words for bar, words in steps if share > bar), "fewer than half")


for name, share in stays.items():
    print(f"{name:<24} {level(share)} answers stay")

# %% tags=["claim-holds"]
assert stays["rollout"] < 0.5, "most answers stay without what rollout ranks highest"
assert stays["by lot"] > 0.65, "holes by lot cost the answers as well"
assert stays["lowest by rollout"] > 0.9, "what rollout ranks lowest mattered"
assert stays["rollout, random weights"] > stays["rollout"] + 0.1, "the map of random weights did as well"
assert stays["contrast, no model"] < 0.5, "contrast did not find what the answer rests on"
print("The claim holds: rollout beats lot and random weights - and does not beat contrast.")

# %% [markdown]
# On all 320 test clips the shares that stayed were: lowest 1.00, by lot 0.81, random weights 0.52, 0.48, 0.74 and 0.60
# for four seeds, rollout 0.34, contrast 0.32. The last block's map alone gave 0.56, and rollout of *another* clip 0.45.
# Read them with care:
#
# - **Rollout passes.** What it ranks highest matters more than chance, and what it ranks lowest does not matter at all.
#   It is better than the map of one block.
# - **Part of that is cheap.** Random weights do better than lot, and so does the map of another clip: shapes are often
#   near the middle.
# - **Contrast is as good.** On these clips the shape is what moves and what stands out. Whoever had no contrast map
#   beside it would have praised the attention. On real videos with busy backgrounds contrast should do worse; measure
#   it before you say so.
# - **ViViT says the same:** with the product of its two rollouts 0.32 stayed, by lot 0.78, for contrast 0.35, with
#   random weights 0.45 and 0.59.

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# **Maps are not explanations.** Different weights can give the same output. If two tokens carry the same value, it does not
# matter which of them is read:

# %%
values = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 5.0]])
for row in ([0.7, 0.1, 0.2], [0.1, 0.7, 0.2]):
    print(f"weights {row} read {[round(x, 2) for x in (torch.tensor(row) @ values).tolist()]}")

# %% [markdown]
# Two maps, one output. *Attention is not Explanation* (arXiv 1902.10186) built such weights for trained networks.
# *Attention is not not Explanation* (1908.04626) answered: whether that matters depends on what you call an
# explanation, and on whether a whole trained model could really have such weights. Both agree that a map alone is no
# proof.
#
# **Forgetting the residual.** Without the identity every layer mixes again, nothing stays where it was, and the rows
# become alike: each token seems to hold the same. ViViT's four spatial layers, and the largest difference between a
# token's row and the mean row, layer by layer:

# %%
for name, share in (("with residual", 0.5), ("without", 0.0)):
    differ, product = [], torch.eye(17)
    for table in spatial:
        product = ((1 - share) * table.mean(1) + share * torch.eye(17)) @ product
        differ.append(round(float((product - product.mean(1, keepdim=True)).abs().max()), 2))
    print(f"{name:<14}", differ)

# %% [markdown]
# After four layers nothing is left to draw. In the deletion test on ViViT's clips the map without residual left 0.62 of
# the answers, the one with it 0.32.
#
# **The filling of the hole.** Zeros instead of the mean colour look harmless. After scaling, zero is a middling grey:
# brighter than most of these backgrounds. The same test, the same holes, another filling:

# %%
for name, heat in (("by lot", by_lot), ("rollout", by_rollout), ("contrast, no model", contrast)):
    holes = mine("11.5")(clips, heat, NUMBER) != clips
    share = float((answers(model, clips.masked_fill(holes, 0.0)) == before).float().mean())
    print(f"zeros, {name:<19} {level(share)} answers stay")

# %% [markdown]
# The order has turned round. Now holes by lot cost most: scattered grey squares are new shapes that flicker. And holes
# where the shape was are a grey shape that moves as it did: the answer stays. A deletion test measures the filling as
# well. (One remedy is to train anew on clips with holes: ROAR, arXiv 1806.10758. It is dear.)
#
# **One map for all questions.** The model has two heads, for appearance and for motion. Rollout knows neither: it ends
# at the class token and gives the same map for "which shape?" and "which motion?". Methods that multiply attention by
# gradients ask about one class (Chefer and others, arXiv 2012.09838).
#
# **The first row and column.** Row 0 is the class token as a query. Who takes column 0 draws who reads the class token.
#
# **A scale for each frame.** If every frame's map runs from its own least to its own most, a frame that nobody reads
# shines too. One scale a clip.
#
# **A fold read in the wrong order.** `(B · s)` and `(B · t)` are different batches. A reshape that mixes them draws
# stripes that look like a finding.
#
# ### On your own videos
#
# `vtlearn predict --overlay out.mp4` lays the last block's map over a video. You know now what it does not say.

# %% [markdown]
# ## Three questions

# %% tags=["quiz"]
quiz("11")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Weights can be recomputed from q and k; a hook gets them, and must be removed.
# - A map of one block shows what it read from tokens that were mixed before. Rollout joins all blocks: mean over heads,
#   half the identity, product, the first layer on the right.
# - A divided block is two tables, over time and over space; the class token keeps itself in the first, and is a mean
#   over copies in the second.
# - A map is a claim. Test it with random weights, by deletion against holes by lot, and against a map that needs no model.
# - Passing says that the places matter. It does not say why.
#
# **Words:** [attention map](../docs/glossary.md#attention-map), [rollout](../docs/glossary.md#rollout),
# [residual](../docs/glossary.md#residual), [deletion test](../docs/glossary.md#deletion-test),
# [negative control](../docs/glossary.md#negative-control).
#
# **Next:** lesson 12, *Long video*.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Abnar, Zuidema: *Quantifying Attention Flow in Transformers* (2020), arXiv 2005.00928
# - Adebayo and others: *Sanity Checks for Saliency Maps* (2018), arXiv 1810.03292
# - Jain, Wallace: *Attention is not Explanation* (2019), arXiv 1902.10186
# - Wiegreffe, Pinter: *Attention is not not Explanation* (2019), arXiv 1908.04626
# - Caron and others: *Emerging Properties in Self-Supervised Vision Transformers* (2021), arXiv 2104.14294
# - Chefer, Gur, Wolf: *Transformer Interpretability Beyond Attention Visualization* (2020), arXiv 2012.09838
# - Hooker and others: *A Benchmark for Interpretability Methods in Deep Neural Networks* (2018), arXiv 1806.10758
# - Bertasius, Wang, Torresani: *Is Space-Time Attention All You Need for Video Understanding?* (2021), arXiv 2102.05095
