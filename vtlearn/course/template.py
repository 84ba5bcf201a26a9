"""A new lesson that passes the gates as it stands: six small files, to be replaced piece by piece."""

from __future__ import annotations

import re
from pathlib import Path

from vtlearn.course.workspace import REPOSITORY
from vtlearn.errors import DataError, require
from vtlearn.files import write_text

SOURCE = r"""# %% [markdown]
# # @NN@ · @TITLE@
#
# This lesson is a template that already runs. Replace it from the top; its subject, for now, is what changes
# between neighbouring frames.

# %% [markdown] tags=["claim"]
# ## The claim
#
# **The changes between neighbouring frames add up to the last frame less the first, whatever happened in
# between.**

# %% [markdown] tags=["objectives"]
# ## What you will be able to do
#
# - compute the change from each frame to the next;
# - say what a sum over changes forgets.
#
# **Before this lesson:** tensors and shapes. **Time:** about 15 minutes.

# %% tags=["setup"]
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vtlearn.course.lesson import check, exercise_panel, mine, quiz, show, start_lesson
from vtlearn.course.panels.lesson_@NN@ import ChangeViewer
from vtlearn.viz.digest import describe

start_lesson("@NN@")

# %% [markdown]
# ## A picture
#
# One pixel of a clip of eight frames: how bright it is.

# %% tags=["claim-part"]
brightness = torch.tensor([0.1, 0.4, 0.2, 0.8, 0.5, 0.9, 0.3, 0.7])
clip = brightness[:, None, None, None].expand(8, 1, 2, 3)
print(f"a clip of shape {tuple(clip.shape)}")

# %% tags=["picture"]
figure = Figure(figsize=(6, 2.5), layout="constrained")
axes = figure.subplots()
axes.plot(range(8), brightness.numpy(), marker="o", label="one pixel")
axes.set(xlabel="frame", ylabel="brightness", title="One pixel over time")
show(figure, describe(figure))

# %% tags=["exercise"]
# @NN@.1

# %% [markdown]
# From here on the lesson goes on with your function, once it has passed.

# %% tags=["claim-part"]
changes = mine("@NN@.1")(clip)
print(f"{len(clip)} frames, {len(changes)} changes")

# %% [markdown]
# ## Try it

# %% tags=["panel"]
ChangeViewer()

# %% [markdown]
# ## What a sum of changes knows
#
# The clip against a control whose frames between the first and the last stand in another order. Sizes of the
# changes, the baseline, notice; the sum does not.

# %% tags=["signature", "claim-part"]
order = torch.tensor([0, 3, 5, 1, 6, 2, 4, 7])
other = mine("@NN@.1")(clip[order])
total, total_of_other = changes.sum(dim=0), other.sum(dim=0)
path, path_of_other = changes.abs().sum(dim=0), other.abs().sum(dim=0)
print(f"sum of changes:  {total.mean():.2f}, other order {total_of_other.mean():.2f}")
print(f"sum of sizes:    {path.mean():.2f}, other order {path_of_other.mean():.2f}")

# %% tags=["claim-holds"]
ends = clip[-1] - clip[0]
assert torch.allclose(total, ends), "the changes do not add up to last less first"
assert torch.allclose(total_of_other, ends), "the order between the ends changed the sum"
assert not torch.allclose(path, path_of_other), "the baseline noticed nothing: the control is none"
print("claim holds")

# %% [markdown] tags=["pitfalls"]
# ## What can go wrong
#
# - The change is taken backwards: every sign is wrong, and nothing else.
# - One frame too many: a clip of T frames has T − 1 changes.

# %% tags=["quiz"]
quiz("@NN@")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - T frames have T − 1 changes.
# - Their sum knows the two ends only.

# %% [markdown] tags=["reading"]
# ## Further reading
#
# - Simonyan and Zisserman 2014, two streams, one of them for motion, arXiv 1406.2199
# - Words of the field: the [glossary](../docs/glossary.md)
"""

EXERCISES = r'''"""The exercises of lesson @NN@: what changes from one frame to the next."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_@NN@ as answers
from vtlearn.course.judge import call, expect, expect_close, expect_tensor


def check_changes(frame_changes: Callable[[Tensor], Tensor]) -> None:
    """Type and shape, a still clip, then values with the usual slips named."""
    clip = torch.rand(5, 3, 7, 11)
    changes = expect_tensor(
        call(frame_changes, clip),
        (4, 3, 7, 11),
        kind="float",
        name="the changes",
        likely={
            (5, 3, 7, 11): "five frames have four changes: the last one has no next",
            (5, 2, 7, 11): "these are changes from channel to channel; time is the first axis",
        },
    )
    still = clip[:1].repeat(5, 1, 1, 1)
    expect(bool((call(frame_changes, still) == 0).all()), "a still clip changes, and must not")
    right = torch.stack([clip[place + 1] - clip[place] for place in range(4)])
    expect_close(
        changes,
        right,
        name="the changes",
        likely={
            "the sign is wrong: what comes later, less what came before": -right,
            "these are sizes; a change also has a sign": right.abs(),
            "each frame is compared with the first; compare it with the one before": clip[1:] - clip[:1],
        },
        otherwise="take each frame from the one after it",
    )


EXERCISES = [
    Exercise(
        id="@NN@.1",
        title="From each frame to the next",
        core=True,
        difficulty=1,
        importance=3,
        minutes=5,
        why="What changes is what moves.",
        contract=(
            "`clip` is a float tensor of shape `(T, C, H, W)`, with T at least 2",
            "returns the change from every frame to the one after it, `(T − 1, C, H, W)`",
            "a pixel that becomes brighter has a positive change",
        ),
        stub="""
        def frame_changes(clip: Tensor) -> Tensor:  # (T, C, H, W) -> (T - 1, C, H, W)
            \"\"\"The change from each frame to the next.\"\"\"
            raise NotImplementedError("@NN@.1")
        """,
        check=check_changes,
        probe=lambda answer: answer(torch.tensor([0.1, 0.7, 0.2]).reshape(3, 1, 1, 1)),
        hints=(
            "Line the clip up with itself, one frame later.",
            "Two slices of the time axis, each of T − 1 frames.",
            "All frames but the first, less all frames but the last.",
        ),
        solution=answers.CHANGES["slices"],
        right_answers=answers.CHANGES,
        wrong_answers=(
            WrongAnswer(
                name="backwards",
                answer=answers.BACKWARDS,
                says="the sign is wrong",
                right_on=lambda answer: answer(torch.ones(3, 1, 2, 2)).abs(),
            ),
            WrongAnswer(
                name="sizes only",
                answer=answers.SIZES,
                says="a change also has a sign",
                right_on=lambda answer: answer(torch.arange(3.0).reshape(3, 1, 1, 1)),
            ),
            WrongAnswer(
                name="against the first frame",
                answer=answers.AGAINST_FIRST,
                says="compare it with the one before",
                right_on=lambda answer: answer(torch.tensor([0.2, 0.9]).reshape(2, 1, 1, 1)),
            ),
            WrongAnswer(name="round the end", answer=answers.ROUND, says="has no next"),
            WrongAnswer(name="along the channels", answer=answers.CHANNELS, says="from channel to channel"),
        ),
        what_to_see="Seven changes for a clip of eight frames.",
    ),
]
'''

ANSWERS = r'''"""Right and wrong answers to the exercises of lesson @NN@, as source."""

CHANGES = {
    "slices": """
def frame_changes(clip: Tensor) -> Tensor:
    later, earlier = clip[1:], clip[:-1]
    return later - earlier
""",
    "torch": """
def frame_changes(clip):
    return torch.diff(clip, dim=0)
""",
    "loop": """
def frame_changes(clip):
    found = []
    for place in range(1, len(clip)):
        found.append(clip[place] - clip[place - 1])
    return torch.stack(found)
""",
}

BACKWARDS = """
def frame_changes(clip):
    return clip[:-1] - clip[1:]
"""

SIZES = """
def frame_changes(clip):
    return (clip[1:] - clip[:-1]).abs()
"""

AGAINST_FIRST = """
def frame_changes(clip):
    return clip[1:] - clip[:1]
"""

ROUND = """
def frame_changes(clip):
    return clip.roll(-1, dims=0) - clip
"""

CHANNELS = """
def frame_changes(clip):
    return torch.diff(clip, dim=1)
"""
'''

PANEL = r'''"""The panel of lesson @NN@: changes between frames that stand some way apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import torch
from matplotlib.figure import Figure

from vtlearn.course.panels.base import Drawing, Move, Panel, integer
from vtlearn.viz.digest import describe

BRIGHTNESS = torch.tensor([0.1, 0.4, 0.2, 0.8, 0.5, 0.9, 0.3, 0.7])


class ChangeViewer(Panel):
    """One pixel over time, and its change over a chosen number of frames."""

    title = "Change viewer"
    first_move = Move("apart", "ArrowRight", {"apart": 2})

    def controls(self) -> dict[str, widgets.Widget]:
        """How many frames apart."""
        return {"apart": integer("frames apart", 1, 1, 6)}

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Bars: one change for each pair of frames."""
        apart = state["apart"]
        changes = (BRIGHTNESS[apart:] - BRIGHTNESS[:-apart]).tolist()
        figure = Figure(figsize=(6, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.bar(range(len(changes)), changes, color="#0072B2", label="change")
        axes.axhline(0, color="black", linewidth=1)
        axes.set(xlabel="from frame", ylabel="change", title=f"Change over {apart} frames", ylim=(-1, 1))
        caption = f"{len(changes)} changes are left of 8 frames: each frame further apart costs one."
        return Drawing(figure, caption=caption, text=describe(figure))


PANELS = [ChangeViewer]
'''

QUIZ = r'''"""The three questions of lesson @NN@."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="How many changes has a clip of 8 frames?",
        options=("7", "8", "9"),
        right=0,
        why="The last frame has no next one.",
    ),
    Question(
        text="A pixel goes from 0.2 to 0.9 and back to 0.2. What is the sum of its changes?",
        options=("0.7", "0", "1.4"),
        right=1,
        why="0.7 and −0.7 cancel: first and last are the same.",
    ),
    Question(
        text="A clip is played backwards. What becomes of its changes?",
        options=("they stay", "they change sign and order", "they change sign only"),
        right=1,
        why="The last change comes first, and what became brighter becomes darker.",
    ),
]
'''

CLAIM_TEST = r'''"""The claim of lesson @NN@ holds, and falls when its mechanism is broken."""

import pytest

from vtlearn.course.notebooks import run_claim


def test_claim_holds():
    run_claim("@NN@")


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        ({"changes.sum(dim=0), other.sum(dim=0)": "changes[1:].sum(dim=0), other.sum(dim=0)"}, "add up"),
        ({"[0, 3, 5, 1, 6, 2, 4, 7]": "[0, 3, 5, 1, 6, 2, 7, 4]"}, "between the ends"),
        ({"[0, 3, 5, 1, 6, 2, 4, 7]": "[0, 1, 2, 3, 4, 5, 6, 7]"}, "the control is none"),
    ],
)
def test_claim_falls(swap, message):
    with pytest.raises(AssertionError, match=message):
        run_claim("@NN@", swap)
'''

FILES = {
    "notebooks/source/@NN@_@SLUG@.py": SOURCE,
    "vtlearn/course/exercises/lesson_@NN@.py": EXERCISES,
    "vtlearn/course/exercises/answers_@NN@.py": ANSWERS,
    "vtlearn/course/panels/lesson_@NN@.py": PANEL,
    "vtlearn/course/quizzes/lesson_@NN@.py": QUIZ,
    "tests/course/test_claim_@NN@.py": CLAIM_TEST,
}


def new_lesson(number: str, slug: str, title: str, repository: Path = REPOSITORY) -> list[Path]:
    """Write the files of a lesson that does not exist yet; returns their paths.

    Args:
        number: one or two digits.
        slug: its name in file names, such as "long_video".
        title: what stands above it.

    Raises:
        ArgumentError: a number, slug or title that cannot be.
        DataError: one of the files, or a lesson of this number, exists already; nothing was written.
    """
    require(bool(re.fullmatch(r"\d{1,2}", number)), "number", number, "one or two digits")
    require(bool(re.fullmatch(r"[a-z][a-z0-9_]*", slug)), "slug", slug, "small letters, digits and _")
    require(title.isprintable() and bool(title.strip()), "title", title, "one line of text")
    folder = repository / "notebooks" / "source"
    if not folder.is_dir():
        raise DataError(f"{folder}: not there; work from a clone of the repository")
    number = number.zfill(2)

    def filled(text: str) -> str:
        return text.replace("@NN@", number).replace("@SLUG@", slug).replace("@TITLE@", title.strip())

    texts = {repository / filled(name): filled(text) for name, text in FILES.items()}
    taken = [*folder.glob(f"{number}_*.py"), *(path for path in texts if path.exists())]
    if taken:
        raise DataError(f"{taken[0].relative_to(repository)}: exists already; nothing was written")
    return [write_text(path, text) for path, text in texts.items()]
