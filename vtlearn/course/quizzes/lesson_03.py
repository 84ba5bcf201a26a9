"""The three questions of lesson 03."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="A window of 9 (two-sided, the query included), 4 equal layers, no dilation, no global token. "
        "How many positions can influence one output?",
        options=("9", "33", "36"),
        right=1,
        why="Each layer widens the field by 9 − 1 = 8, and it starts at 1: 1 + 4 · 8 = 33.",
    ),
    Question(
        text="You compute all n² scores and set those outside the window to −∞. What have you saved?",
        options=("most of the memory", "most of the multiplications", "neither"),
        right=2,
        why="The whole table was made before most of it was thrown away. Only a computation that never makes "
        "those scores saves anything.",
    ),
    Question(
        text="Every token may attend to the class token, but the class token attends to its own window only. "
        "Two layers, and the class token's output is classified. What can the answer depend on?",
        options=("the whole video", "the frames near the class token", "the class token alone"),
        right=1,
        why="It collects through its own row of the mask, and that row is a window. Being read by all "
        "spreads what it knows; it does not help it to know more.",
    ),
]
