"""The three questions of lesson 02."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="A query has 4 keys, and all four scores are equal to 7. What are its weights?",
        options=("7, 7, 7, 7", "1/4 each", "it depends on √d"),
        right=1,
        why="A softmax looks at differences only. Equal scores share 1 equally, whatever their size; "
        "dividing them by √d keeps them equal.",
    ),
    Question(
        text="A clip has twice the tokens. You keep the width and double the number of heads as well. How "
        "many times as many numbers stand in the weight tables?",
        options=("4", "8", "2"),
        right=1,
        why="Each table has N² numbers, four times as many, and there are twice as many tables. The "
        "multiply-adds of the products only grow four times, since each head is half as wide.",
    ),
    Question(
        text="An encoder without positions answers with the mean of its output tokens. You play the video "
        "backwards. What happens to its answer?",
        options=("it is turned into the opposite", "nothing", "it becomes random"),
        right=1,
        why="Shuffled tokens give the same outputs, shuffled, and a mean does not care for their order. "
        "Playing backwards is one way to shuffle.",
    ),
]
