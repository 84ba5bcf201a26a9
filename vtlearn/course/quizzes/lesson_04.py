"""The three questions of lesson 04."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="A clip of 32 frames of 224 × 224, tubelets of 2 × 16 × 16 (frames, rows, columns). How many "
        "tokens, the class token not counted?",
        options=("196", "3,136", "6,272"),
        right=1,
        why="(32 / 2) · (224 / 16) · (224 / 16) = 16 · 14 · 14 = 3,136.",
    ),
    Question(
        text="You keep the clip, halve the patch side and halve the frames a tubelet covers. What happens to "
        "the pairs that attention of all with all weighs?",
        options=("8 times as many", "16 times as many", "64 times as many"),
        right=2,
        why="Each of three axes has twice the tokens, so there are 2³ = 8 times the tokens, and pairs grow "
        "with the square: 8² = 64.",
    ),
    Question(
        text="A tubelet kernel of 2 frames was inflated from an image kernel. You show it the two frames of "
        "a tubelet in the other order. What happens to the token at step 0?",
        options=("it stays the same", "it changes its sign", "it shows the other frame"),
        right=0,
        why="Both slots hold the same weights, so the token is that of the mean frame, and a mean has no "
        "order. Training must break this; a central-frame start would show the other frame.",
    ),
]
