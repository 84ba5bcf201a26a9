"""The three questions of lesson 06."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="You double the frames of a clip. How many keys does one patch meet in divided attention?",
        options=("twice as many", "four times as many", "hardly more: t grows, s stays"),
        right=2,
        why="It meets t patches over time and s within its frame. With 8 frames of 196 patches that is 204, "
        "with 16 frames 212; joint attention goes from 1,568 to 3,136.",
    ),
    Question(
        text="A fresh TimeSformer starts from an image model. You show it a clip whose frames differ. Is its "
        "answer the mean of the image model's answers to the frames?",
        options=("yes, the step over time adds nothing yet", "no, since the frames share one class token"),
        right=1,
        why="The step over time adds nothing, that is true. But after every block the copies of the class "
        "token are averaged, so in the next block each frame sees a token that knows of the others. Only "
        "where all frames are alike does nothing change.",
    ),
    Question(
        text="x has shape (B, t, s, D). What does x.reshape(B·s, t, D) put into one row?",
        options=(
            "the t patches of one place",
            "t patches that lie side by side in memory: mostly of one frame",
            "an error: the sizes do not fit",
        ),
        right=1,
        why="A reshape never moves a number. In memory the patches of a frame lie side by side, so they fill "
        "the row. The axes must be exchanged first.",
    ),
]
