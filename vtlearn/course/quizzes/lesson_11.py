"""The three questions of lesson 11."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="The last block's map is bright on the ball. What does that show about the first "
        "block's tokens?",
        options=(
            "the answer rests on the ball's pixels",
            "little: what the last block read there had been mixed by the blocks below",
            "the ball's tokens are larger than the others",
        ),
        right=1,
        why="A token of the last block stands at a place, but holds pieces of many. Rollout follows the "
        "mixing, and even it leaves out values and MLPs.",
    ),
    Question(
        text="A network with random weights gives nearly the same map as the trained one. What do "
        "you conclude?",
        options=(
            "the random network has learned something",
            "the map is proven: it does not depend on chance",
            "the map tells more about the picture than about what was learned",
        ),
        right=2,
        why="Nothing was learned, so nothing learned can be in its map. Edges and contrast are "
        "enough for it.",
    ),
    Question(
        text="In a deletion test the holes of a map cost 60 of 100 answers. Which number do you "
        "need beside it?",
        options=(
            "what as many holes by lot cost",
            "the accuracy of another model",
            "the highest weight in the map",
        ),
        right=0,
        why="Any hole makes a clip unlike those of training. Holes by lot say what that alone costs.",
    ),
]
