"""The three questions of lesson 12."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="A VTN classifies an hour of video with its backbone in chunks of 16 frames. What grows with "
        "the length of the video?",
        options=(
            "only the table of vectors and the temporal part",
            "the memory of the backbone",
            "nothing: memory depends on the chunk alone",
        ),
        right=0,
        why="The backbone holds one chunk. One vector is kept for every frame until the temporal part has "
        "run, and time grows with every frame anyway.",
    ),
    Question(
        text="The class is 'hop then swell' against 'swell then hop'. Ten clips are classified and their "
        "answers averaged; each clip is shorter than either event. What can the average know?",
        options=(
            "the order, since the clips are in order",
            "at best which events occur, not which came first",
            "the order, if there are enough clips",
        ),
        right=1,
        why="No clip sees both events, and an average is the same in any order of the clips.",
    ),
    Question(
        text="Which of these can answer while the video is still running, without computing anything twice?",
        options=(
            "VTN with a window of 9 frames on each side",
            "a causal window with the last keys and values kept",
            "VTN from kept vectors",
        ),
        right=1,
        why="A two-sided window and the class token read frames that have not come yet. A causal window "
        "needs only the last ones, so its state stays small.",
    ),
]
