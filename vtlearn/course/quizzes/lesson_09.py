"""The three questions of lesson 09."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="You cut each of 1,000 videos into ten clips and draw a tenth of the clips for testing. About "
        "how "
        "many test clips have a clip of the same video in the training set?",
        options=("about a tenth", "about half", "practically all"),
        right=2,
        why="A test clip is alone only if its nine brothers are all in the test set: 0.1⁹. Draw videos, not "
        "clips.",
    ),
    Question(
        text="Your copy of a test list has 90 of its 100 clips, and your model is right on 81. What is its "
        "accuracy on the whole list?",
        options=("between 81 % and 91 %", "90 %", "81 %"),
        right=0,
        why="90 % is measured on the clips that are there. The ten others could all be wrong (81 of 100) or "
        "all be right (91 of 100).",
    ),
    Question(
        text="A model scores 60 % on a data set, and 59 % with the frames of each clip shuffled. What "
        "follows?",
        options=(
            "this model needs hardly any order to score 60 % there",
            "the data set holds nothing that needs order",
            "the model has no positions in time",
        ),
        right=0,
        why="The test speaks of this model on these clips. Another model may find the order; and this one "
        "may "
        "have positions and not need them.",
    ),
]
