"""The three questions of lesson 13."""

from vtlearn.course.quiz import Question

QUESTIONS = [
    Question(
        text="You change the head and the learning rate, and gain 8 points in each of three seeds. "
        "What do you "
        "know?",
        options=(
            "the new head is better",
            "the two changes together gain 8 points",
            "each of the two changes gains about 4 points",
        ),
        right=1,
        why="Three seeds show that the gain is no chance. They do not show which change made it: one "
        "alone, both, "
        "or only the two together.",
    ),
    Question(
        text="With the event times of other clips for targets, the head still names 45 % of the "
        "classes right on "
        "test clips; with its own times, 49 %. What now?",
        options=(
            "4 points are shown, as the seeds agree",
            "most of the score does not come from the event times; look for what else it comes from",
            "nothing: a control says nothing about the score",
        ),
        right=1,
        why="The control removes the cause, and the score stays. Something else is measured, such as "
        "events that "
        "always lie at the same place.",
    ),
    Question(
        text="The card asks for 5 points in every seed. You measure 9, 7 and 3. Which report is honest?",
        options=(
            "supported: the mean is 6.3 points",
            "supported by two of three seeds",
            "not supported by the rule on the card; 9, 7 and 3 points were measured",
        ),
        right=2,
        why="The rule was written before the run. The numbers may be told, all three, and a new card may ask "
        "again.",
    ),
]
