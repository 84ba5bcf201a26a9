"""The three questions of lesson 00."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="A model reads single frames and averages what it finds. Which two can it never tell apart?",
        options=("a disc and a star", "sliding left and sliding right", "a slow clip and a still picture"),
        right=1,
        why="The two clips hold the same frames in opposite order, and a mean forgets the order.",
    ),
    Question(
        text="BERT reads at most 512 tokens. ViT makes 196 patches of one frame. How many frames fit?",
        options=("2", "8", "196"),
        right=0,
        why="2 × 196 = 392 fit, 3 × 196 = 588 do not: a video needs fewer tokens or other attention.",
    ),
    Question(
        text="A cell says: No module named 'vtlearn'. What is the likeliest reason?",
        options=(
            "the notebook runs in the kernel of another environment",
            "the sample clips are missing",
            "the machine has no graphics card",
        ),
        right=0,
        why="The package lives in the environment that make lab prepares; start there, or change the kernel.",
    ),
]
