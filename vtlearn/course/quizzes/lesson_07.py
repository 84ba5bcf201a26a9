"""The three questions of lesson 07."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="Which of ViViT's models have more parameters than model 1, at the same width and depth?",
        options=("2 and 3", "2, 3 and 4", "none: factorising saves parameters"),
        right=0,
        why="Model 2 adds a second transformer, model 3 a second attention to each block. Model 4 only "
        "shares its heads out between time and space: not one weight more, not one less.",
    ),
    Question(
        text="16 temporal indices of 14 × 14 places. About how many pairs does one block of model 1 weigh "
        "for each pair that one spatial block of model 2 weighs?",
        options=("4", "16", "196"),
        right=1,
        why="(t·h·w)² against t·(h·w)²: the ratio is t = 16.",
    ),
    Question(
        text="You shuffle the frame vectors of a trained model 2 before its second transformer. What "
        "suffers most?",
        options=("naming the shape", "naming the motion", "both alike"),
        right=1,
        why="Each vector still holds what its frames show, and a shape is there in every one of them. What "
        "is lost is which came first, and that is all that tells a motion from its reverse.",
    ),
]
