"""The three questions of lesson 10."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="Model A: 80.0 %, 200 G multiply-adds a view, 30 views. Model B: 79.5 %, 600 G, 3 views. Which "
        "needs fewer operations for a video?",
        options=("A, by a factor of three", "B, by more than a factor of three", "both the same"),
        right=1,
        why="A needs 30 · 200 = 6,000 G and B 3 · 600 = 1,800 G. The number of views belongs in the table.",
    ),
    Question(
        text="With three seeds each, A scores 0.5 points more than B, and the 95 % interval of the "
        "difference is 0.5 ± 1.2. What may you write?",
        options=(
            "A is better than B",
            "these seeds do not tell A and B apart",
            "A and B are equally good",
        ),
        right=1,
        why="The interval holds zero, so the sign is open. That is no proof of equality either: more seeds "
        "may show a difference.",
    ),
    Question(
        text="On a GPU you read the clock, call the model, read the clock: 0.3 ms, for a small model and for "
        "a large one. Why?",
        options=(
            "the call only starts the work; nobody waited for its end",
            "the large model was cached",
            "a GPU does every model in the same time",
        ),
        right=0,
        why="Work on a GPU is queued. Synchronise before each reading of the clock.",
    ),
]
