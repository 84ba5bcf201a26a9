"""The three questions of lesson 05."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="A VTN of the published size reads 250 frames. Its windows are replaced by full attention. How "
        "much more does it have to multiply?",
        options=("about 13 times as much", "about twice as much", "less than a thousandth more"),
        right=2,
        why="Nearly all multiplications are the image backbone's. The Longformer has 0.2 % of them at 250 "
        "frames, and the products of attention are a small part of that.",
    ),
    Question(
        text="The backbone's parameters ask for no gradients, and model.train() is called each epoch. The "
        "backbone has batch norms. Is it frozen?",
        options=(
            "yes: without gradients nothing in it can change",
            "no: the running statistics of its norms still move",
            "only if weight decay is zero",
        ),
        right=1,
        why="Gradients move weights; the mode moves statistics. A frozen network needs both switched off, "
        "and train() of the model around it switches the mode on again.",
    ),
    Question(
        text="A clip shows frames 40, 48, 56, … of its video. It was decoded alone, so its frames were "
        "numbered 0, 8, 16, …. At test time the whole video is decoded. What happens?",
        options=(
            "an error: the ids differ in number",
            "no error: the positions that frame 40 and later ones get at test time were hardly trained",
            "nothing: positions are relative in a Longformer",
        ),
        right=1,
        why="The table is indexed by absolute place. Rows that training never used keep their first, random "
        "values, and nothing complains.",
    ),
]
