"""The three questions of lesson 01."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="A clip of 16 frames with stride 4, from a video at 32 frames per second: how much time does it "
        "stand for?",
        options=("half a second", "two seconds", "four seconds"),
        right=1,
        why="16 · 4 = 64 frames of the video, and 64 / 32 = 2 seconds.",
    ),
    Question(
        text="A network was trained with RGB, and now gets BGR frames. What happens?",
        options=(
            "an error: the shapes differ",
            "nothing: a network does not care about the order of channels",
            "no error, and quietly worse answers",
        ),
        right=2,
        why="The shape is the same, so nothing complains; red things look blue, and the weights expect red.",
    ),
    Question(
        text="The frames of every test clip are shuffled; a model stays as accurate as before. What follows?",
        options=(
            "the model does not use the order of frames on this data",
            "the model has understood motion very well",
            "the clips were shuffled during training too",
        ),
        right=0,
        why="Shuffling keeps every single frame and destroys only their order: what stayed did not need it.",
    ),
]
