"""Lesson 13 beyond its listed answers: other right ways pass, other mistakes are named."""

import pytest

from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_13 import ExperimentBoard, scores_of


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "tensor seeds": ("13.1", '''
import copy
a = {"hidden": 8, "steps": 50, "rate": 1e-2, "times": "own", "sees": "neighbours"}
b = copy.deepcopy(a); b["sees"] = "frame alone"
c = dict(a, times="another clip's")
card = {"seeds": torch.arange(4), "least_gain": 0.02, "judged_on": "test", "measure": "mean recall",
        "test": a, "baseline": b, "control": c, "question": "Does it? "}
'''),
    "einsum of masks": ("13.2", '''
def frame_targets(events, frame_index, classes):
    out = frame_index * 0
    for event in events:
        first, last, name = event["start_frame"], event["end_frame"], event["name"]
        out += classes.index(name) * ((first <= frame_index) * (frame_index <= last)).long()
    return out
'''),
    "isin": ("13.2", '''
def frame_targets(events, frame_index, classes):
    y = torch.full(frame_index.shape, 0)
    for e in events:
        inside = torch.isin(frame_index, torch.arange(e["start_frame"], e["end_frame"] + 1))
        y[inside] = classes.index(e["name"])
    return y
'''),
    "stacked shifts": ("13.3", '''
def around(features, reach):
    B, T, D = features.shape
    t = torch.arange(T)
    near = [features.index_select(1, (t + k).clamp(min=0, max=T - 1)) for k in range(-reach, reach + 1)]
    return rearrange(torch.stack(near, dim=2), "b t k d -> b t (k d)")
'''),
    "gather": ("13.3", '''
def around(features, reach):
    B, T, D = features.shape
    at = [[min(max(t + k, 0), T - 1) for k in range(-reach, reach + 1)] for t in range(T)]
    return torch.stack([features[:, row].reshape(B, -1) for row in at], dim=1)
'''),
    "a tuple of records": ("13.4", '''
def run_card(card, run):
    import json
    arms = [key for key in card if key in ("test", "baseline", "control")]
    copy = lambda x: json.loads(json.dumps(x))
    return tuple({"score": run(copy(card[a]), s), "arm": a, "seed": int(s), "settings": copy(card[a])}
                 for s in card["seeds"] for a in arms)
'''),
    "numpy means": ("13.5", '''
def unproven(report, card, records):
    rows = [r for r in records if r["settings"] == card[r["arm"]] and r["seed"] in card["seeds"]]
    value = {(r["arm"], r["seed"]): r["score"] for r in rows}
    if len(value) < 3 * len(card["seeds"]):
        return tuple(report.keys())
    by = {a: np.array([value[a, s] for s in card["seeds"]]) for a in ("baseline", "test", "control")}
    bad = [a for a in by if not np.isclose(np.round(by[a].mean(), 3), report[a], atol=1e-6)]
    bad += ["seeds"] * (set(report["seeds"]) != set(card["seeds"]))
    holds = np.min(by["test"] - by["baseline"]) >= card["least_gain"]
    bad += ["verdict"] * int((report["verdict"] == "supported") != holds)
    return bad
'''),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


def card_with(**changes):
    return exercise("13.1").solution + "".join(
        f"card[{key!r}] = {value!r}\n" for key, value in changes.items()
    )


TEST = {"sees": "neighbours", "times": "own", "hidden": 32, "rate": 0.003, "steps": 150}
OTHER_WRONG = {
    "no question": ("13.1", card_with(question="Neighbours help."), "does not end with"),
    "exchanged": (
        "13.1",
        card_with(
            test={**TEST, "sees": "frame alone"},
            baseline=TEST,
            control={**TEST, "sees": "frame alone", "times": "another clip's"},
        ),
        "exchanged",
    ),
    "asks about steps": ("13.1", card_with(baseline={**TEST, "steps": 10}), "differ in 'steps'"),
    "another word": ("13.1", card_with(control={**TEST, "times": "shuffled"}), "expected 'own' or"),
    "a setting forgotten": ("13.1", card_with(baseline={"sees": "frame alone"}), "must be exactly"),
    "a number of seeds": ("13.1", card_with(seeds=3), "a list of at least three"),
    "thousand seeds": ("13.1", card_with(seeds=list(range(9))), "too long"),
    "a list": ("13.1", "card = [1, 2]", "expected a dict"),
    "tiny gain": ("13.1", card_with(least_gain=0.001), "below one point"),
    "one hot": ("13.2", '''
def frame_targets(events, frame_index, classes):
    y = torch.zeros(len(frame_index), dtype=torch.long)
    for e in events:
        y[(frame_index >= e["start_frame"]) & (frame_index <= e["end_frame"])] = classes.index(e["name"])
    return F.one_hot(y, len(classes))
''', "not a row of five"),
    "valid only": ("13.3", '''
def around(features, reach):
    return features.unfold(1, 2 * reach + 1, 1).transpose(2, 3).flatten(2)
''', "frames at the edges are lost"),
    "not joined": ("13.3", '''
def around(features, reach):
    T = features.shape[1]
    return features[:, (torch.arange(T)[:, None] + torch.arange(-reach, reach + 1)).clamp(0, T - 1)]
''', "join the last two"),
    "twice": ("13.4", '''
def run_card(card, run):
    best = lambda a, s: max(run(dict(card[a]), s) for _ in range(2))
    return [{"arm": a, "seed": s, "settings": dict(card[a]), "score": best(a, s)}
            for a in ("test", "baseline", "control") for s in card["seeds"]]
''', "was called 18 times"),
    "a dict of scores": ("13.4", '''
def run_card(card, run):
    return {a: [run(dict(card[a]), s) for s in card["seeds"]] for a in ("test", "baseline", "control")}
''', "expected a list of records"),
    "settings lent": ("13.4", '''
def run_card(card, run):
    out = []
    for s in card["seeds"]:
        for a in ("test", "baseline", "control"):
            mine = dict(card[a])
            out.append({"arm": a, "seed": s, "score": run(mine, s), "settings": mine})
    return out
''', "keep a copy"),
    "yes or no": ("13.5", '''
def unproven(report, card, records):
    return True
''', "expected a list of names"),
    "wrong row": ("13.6", 'flaws = dict.fromkeys("ABCDE", "overfitting")', "no row of the rubric"),
    "all the same": ("13.6", 'flaws = dict.fromkeys("ABCDE", "no control")', "two ways at once"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


@pytest.mark.parametrize("exercise_id", ["13.1", "13.6"])
def test_an_untouched_value_is_not_attempted(exercise_id):
    assert said(exercise_id, exercise(exercise_id).stub) == "not attempted yet"


def board(**state):
    return {"changed": "one thing", "effect": 8, "spread": 2, "seeds": 3} | state


def test_more_seeds_help_against_chance_and_not_against_a_second_cause():
    def share(**state):
        baseline, test = scores_of(board(effect=0, **state))
        return ((test - baseline) >= 5).all(axis=1).mean()

    assert share(spread=6, seeds=1) > 0.2 > 0.05 > share(spread=6, seeds=3)
    assert share(changed="two things", spread=0, seeds=8) == 1.0
    assert "no number of seeds" in ExperimentBoard.render(board(changed="two things")).caption


def test_the_board_tells_the_gains_it_shows():
    words = ExperimentBoard.render(board(spread=0)).text
    assert "gains of 8.0, 8.0, 8.0 points" in words
    assert "supported in 100%" in words
