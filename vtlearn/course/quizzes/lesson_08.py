"""The three questions of lesson 08."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="With float16 and a loss scaler, in which order?",
        options=(
            "backward, clip, unscale, step",
            "backward, unscale, clip, step",
            "unscale, backward, clip, step",
        ),
        right=1,
        why="The gradients that backward leaves are tens of thousands of times too long. Clipped "
        "before they are "
        "scaled back, every gradient is cut, and what is left of it is next to nothing.",
    ),
    Question(
        text="Batches of 6 clips do not fit, so you accumulate parts of 4 and 2 clips and average the two "
        "gradients. What does a clip of the small part count, against one of the large part?",
        options=("the same", "twice as much", "half as much"),
        right=1,
        why="Each part gets 1/2. In the part of 4 a clip has 1/8, in the part of 2 it has 1/4. "
        "Weigh each part by "
        "its clips, and all have 1/6.",
    ),
    Question(
        text="An augmentation makes the training accuracy sink to 75 %, and the validation "
        "accuracy is 75 %, too. "
        "Before, they were 100 % and 98 %. What has happened?",
        options=(
            "the gap is closed: keep it",
            "the training is too short by a factor of four",
            "it destroys or contradicts something that the label depends on",
        ),
        right=2,
        why="A gap of 0 is no aim in itself. The model cannot even learn the training clips any "
        "more, and the "
        "validation got worse: what the augmentation varies is what the label speaks of.",
    ),
]
