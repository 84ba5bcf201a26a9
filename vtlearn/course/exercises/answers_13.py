"""Right and wrong answers to the exercises of lesson 13, as source."""

# ------------------------------------------------------------------------------------------ 13.1 the card

CARD = {
    "copied settings": """
test = {"sees": "neighbours", "times": "own", "hidden": 32, "rate": 0.003, "steps": 150}
card = {
    "question": "Does a head name a frame's event better when it also sees the frames around it?",
    "test": test,
    "baseline": {**test, "sees": "frame alone"},
    "control": {**test, "times": "another clip's"},
    "measure": "mean recall",
    "judged_on": "test",
    "least_gain": 0.05,
    "seeds": [0, 1, 2],
}
""",
    "written out": """
card = {
    "question": "Do neighbouring frames help to say when an event happens?",
    "measure": "mean recall",
    "judged_on": "test",
    "seeds": (0, 1, 2),
    "least_gain": 0.1,
    "baseline": {"sees": "frame alone", "times": "own", "hidden": 16, "rate": 0.01, "steps": 100},
    "test": {"sees": "neighbours", "times": "own", "hidden": 16, "rate": 0.01, "steps": 100},
    "control": {"sees": "neighbours", "times": "another clip's", "hidden": 16, "rate": 0.01, "steps": 100},
}
""",
    "built by a function": """
def settings(sees="neighbours", times="own"):
    return dict(sees=sees, times=times, hidden=64, rate=1e-3, steps=200)

card = dict(question="Is one frame enough to name its event?", test=settings(),
            baseline=settings(sees="frame alone"), control=settings(times="another clip's"))
card |= {"seeds": range(3), "least_gain": 0.03, "measure": "mean recall", "judged_on": "test"}
""",
}
_CARD = CARD["copied settings"]
CARD_TWO_THINGS = _CARD.replace(
    '{**test, "sees": "frame alone"}', '{**test, "sees": "frame alone", "hidden": 0}'
)
CARD_NOTHING = _CARD.replace('{**test, "sees": "frame alone"}', "dict(test)")
CARD_CONTROL_BLIND = _CARD.replace(
    '"control": {**test, "times": "another clip\'s"}',
    '"control": {**test, "sees": "frame alone", "times": "another clip\'s"}',
)
CARD_CONTROL_NONE = _CARD.replace(
    '"control": {**test, "times": "another clip\'s"}', '"control": {**test, "sees": "frame alone"}'
)
CARD_SAME_SEED = _CARD.replace("[0, 1, 2]", "[0, 0, 0]")
CARD_ONE_SEED = _CARD.replace("[0, 1, 2]", "[0]")
CARD_ANY_GAIN = _CARD.replace('"least_gain": 0.05', '"least_gain": 0.0')
CARD_PERCENT = _CARD.replace('"least_gain": 0.05', '"least_gain": 5.0')
CARD_TRAIN = _CARD.replace('"judged_on": "test"', '"judged_on": "train"')
CARD_SHARE = _CARD.replace("mean recall", "share of frames")
CARD_NO_CONTROL = _CARD.replace('    "control": {**test, "times": "another clip\'s"},\n', "")

# --------------------------------------------------------------------------------- 13.2 targets of frames

TARGETS = {
    "events in turn": '''
def frame_targets(events: list[dict], frame_index: Tensor, classes: list[str]) -> Tensor:
    """The class number of every shown frame."""
    targets = torch.zeros(len(frame_index), dtype=torch.long)
    for event in events:
        inside = (frame_index >= event["start_frame"]) & (frame_index <= event["end_frame"])
        targets[inside] = classes.index(event["name"])
    return targets
''',
    "a whole line of time": """
def frame_targets(events, frame_index, classes):
    last = max([int(frame_index.max()), *(event["end_frame"] for event in events)])
    line = torch.zeros(last + 1, dtype=torch.long)
    for event in events:
        line[event["start_frame"] : event["end_frame"] + 1] = classes.index(event["name"])
    return line[frame_index]
""",
    "frame by frame": """
def frame_targets(events, frame_index, classes):
    found = []
    for frame in frame_index.tolist():
        name = classes[0]
        for event in events:
            if event["start_frame"] <= frame <= event["end_frame"]:
                name = event["name"]
        found.append(classes.index(name))
    return torch.tensor(found)
""",
    "torch.where": """
def frame_targets(events, frame_index, classes):
    number = {name: place for place, name in enumerate(classes)}
    targets = torch.zeros_like(frame_index)
    for e in events:
        within = torch.logical_and(frame_index.ge(e["start_frame"]), frame_index.le(e["end_frame"]))
        targets = torch.where(within, number[e["name"]], targets)
    return targets
""",
}
_TARGETS = TARGETS["events in turn"]
TARGETS_END = _TARGETS.replace("frame_index <= event", "frame_index < event")
TARGETS_START = _TARGETS.replace("frame_index >= event", "frame_index > event")
TARGETS_PLACE = _TARGETS.replace(
    "    targets = torch.zeros(len(frame_index), dtype=torch.long)",
    "    targets = torch.zeros(len(frame_index), dtype=torch.long)\n"
    "    frame_index = torch.arange(len(frame_index))",
)
TARGETS_SHIFTED = _TARGETS.replace('classes.index(event["name"])', 'classes.index(event["name"]) - 1')
TARGETS_BINARY = _TARGETS.replace('classes.index(event["name"])', "1")
TARGETS_FLOAT = _TARGETS.replace(", dtype=torch.long", "")

# ----------------------------------------------------------------------------------- 13.3 the frames around

AROUND = {
    "padded": '''
def around(features: Tensor, reach: int) -> Tensor:  # (B, T, D) -> (B, T, (2 reach + 1) D)
    """Each frame's features with those of the frames around it, earliest first."""
    num_frames = features.shape[1]
    first, last = features[:, :1], features[:, -1:]
    longer = torch.cat([first.repeat(1, reach, 1), features, last.repeat(1, reach, 1)], dim=1)
    return torch.cat([longer[:, k : k + num_frames] for k in range(2 * reach + 1)], dim=2)
''',
    "indices": """
def around(features, reach):
    T = features.shape[1]
    places = torch.arange(T)[:, None] + torch.arange(-reach, reach + 1)  # (T, 2 reach + 1)
    return features[:, places.clamp(0, T - 1)].flatten(2)
""",
    "unfold": """
def around(features, reach):
    padded = F.pad(features.transpose(1, 2), (reach, reach), mode="replicate")
    return rearrange(padded.unfold(2, 2 * reach + 1, 1), "b d t k -> b t (k d)")
""",
    "a loop": """
def around(features, reach):
    B, T, D = features.shape
    out = features.new_zeros(B, T, (2 * reach + 1) * D)
    for t in range(T):
        for k in range(2 * reach + 1):
            out[:, t, k * D : (k + 1) * D] = features[:, min(max(t + k - reach, 0), T - 1)]
    return out
""",
}
_AROUND = AROUND["indices"]
AROUND_WRAPPED = _AROUND.replace("places.clamp(0, T - 1)", "places % T")
AROUND_ZEROS = """
def around(features, reach):
    T = features.shape[1]
    longer = F.pad(features, (0, 0, reach, reach))
    return torch.cat([longer[:, k : k + T] for k in range(2 * reach + 1)], dim=2)
"""
AROUND_LATEST = _AROUND.replace(
    "features[:, places.clamp(0, T - 1)]", "features[:, places.clamp(0, T - 1).flip(1)]"
)
AROUND_PAST = _AROUND.replace("torch.arange(-reach, reach + 1)", "torch.arange(-2 * reach, 1)")
AROUND_MEAN = _AROUND.replace(".flatten(2)", ".mean(dim=2).repeat(1, 1, 2 * reach + 1)")
AROUND_ALONE = """
def around(features, reach):
    return features.repeat(1, 1, 2 * reach + 1)
"""
AROUND_INTERLEAVED = _AROUND.replace(".flatten(2)", ".transpose(2, 3).flatten(2)")

# ------------------------------------------------------------------------------------------- 13.4 the runs

RUN = {
    "two loops": '''
def run_card(card: dict, run) -> list[dict]:
    """Every arm of the card with every seed, written down as it was run."""
    records = []
    for seed in card["seeds"]:
        for arm in ("baseline", "test", "control"):
            score = run(dict(card[arm]), seed)
            records.append({"arm": arm, "seed": seed, "settings": dict(card[arm]), "score": score})
    return records
''',
    "a product": """
def run_card(card, run):
    import copy, itertools
    pairs = itertools.product(["test", "baseline", "control"], card["seeds"])
    return [
        dict(arm=arm, seed=seed, settings=copy.deepcopy(card[arm]), score=run(copy.deepcopy(card[arm]), seed))
        for arm, seed in pairs
    ]
""",
    "arm by arm": """
def run_card(card, run):
    done = []
    for arm in ["control", "baseline", "test"]:
        settings = card[arm]
        scores = {seed: run({**settings}, seed) for seed in card["seeds"]}
        for s, v in scores.items():
            done.append({"seed": s, "score": float(v), "arm": arm, "settings": {**settings}})
    return done
""",
}
_RUN = RUN["two loops"]
RUN_ONE_SEED = _RUN.replace("run(dict(card[arm]), seed)", 'run(dict(card[arm]), card["seeds"][0])')
RUN_UNPAIRED = _RUN.replace("run(dict(card[arm]), seed)", "run(dict(card[arm]), seed + 10 * len(records))")
RUN_NO_CONTROL = _RUN.replace('("baseline", "test", "control")', '("baseline", "test")')
RUN_BY_REFERENCE = _RUN.replace('"settings": dict(card[arm])', '"settings": card[arm]')
RUN_WRONG_SETTINGS = _RUN.replace("run(dict(card[arm]), seed)", 'run(dict(card["test"]), seed)')
RUN_MEAN = """
def run_card(card, run):
    records = []
    for arm in ("baseline", "test", "control"):
        scores = [run(dict(card[arm]), seed) for seed in card["seeds"]]
        mean = sum(scores) / len(scores)
        for seed in card["seeds"]:
            records.append({"arm": arm, "seed": seed, "settings": dict(card[arm]), "score": mean})
    return records
"""
RUN_BEST = """
def run_card(card, run):
    records = []
    for arm in ("baseline", "test", "control"):
        tried = [(run(dict(card[arm]), seed), seed) for seed in card["seeds"]]
        score, seed = max(tried)
        records.append({"arm": arm, "seed": seed, "settings": dict(card[arm]), "score": score})
    return records
"""

# ------------------------------------------------------------------------------------ 13.5 the report's roots

UNPROVEN = {
    "scores by arm": '''
def unproven(report: dict, card: dict, records: list[dict]) -> list[str]:
    """What in the report does not follow from the records."""
    arms, wrong = ("baseline", "test", "control"), []
    score = {(r["arm"], r["seed"]): r["score"] for r in records if r["settings"] == card[r["arm"]]}
    if any((arm, seed) not in score for arm in arms for seed in card["seeds"]):
        return sorted(report)
    for arm in arms:
        mean = sum(score[arm, seed] for seed in card["seeds"]) / len(card["seeds"])
        if abs(report[arm] - mean) > 0.0006:
            wrong.append(arm)
    if sorted(report["seeds"]) != sorted(card["seeds"]):
        wrong.append("seeds")
    gains = [score["test", seed] - score["baseline", seed] for seed in card["seeds"]]
    verdict = "supported" if min(gains) >= card["least_gain"] else "not supported"
    if report["verdict"] != verdict:
        wrong.append("verdict")
    return sorted(wrong)
''',
    "what it should say": """
def unproven(report, card, records):
    import numpy as np
    seeds = list(card["seeds"])
    table = {}
    for arm in ("baseline", "test", "control"):
        own = {r["seed"]: r["score"] for r in records if r["arm"] == arm and r["settings"] == card[arm]}
        if not set(seeds) <= set(own):
            return list(report)
        table[arm] = np.array([own[s] for s in seeds])
    should = {arm: round(float(values.mean()), 3) for arm, values in table.items()}
    ok = (table["test"] - table["baseline"] >= card["least_gain"]).all()
    should |= {"seeds": set(seeds), "verdict": "supported" if ok else "not supported"}
    said = {**report, "seeds": set(report["seeds"])}
    close = lambda a, b: abs(a - b) < 0.0011 if isinstance(b, float) else a == b
    return [key for key in should if not close(said[key], should[key])]
""",
    "a set": """
def unproven(report, card, records):
    def scores(arm):
        return [r["score"] for s in card["seeds"] for r in records
                if r["arm"] == arm and r["seed"] == s and r["settings"] == card[arm]]

    found = {arm: scores(arm) for arm in ("baseline", "test", "control")}
    n = len(card["seeds"])
    if any(len(values) < n for values in found.values()):
        return set(report)
    bad = {arm for arm, values in found.items() if abs(sum(values) / n - report[arm]) >= 0.001}
    if set(report["seeds"]) != set(card["seeds"]):
        bad.add("seeds")
    ok = all(t - b >= card["least_gain"] for t, b in zip(found["test"], found["baseline"]))
    if (report["verdict"] == "supported") != ok:
        bad.add("verdict")
    return bad
""",
}
_UNPROVEN = UNPROVEN["scores by arm"]
UNPROVEN_MEAN_VERDICT = _UNPROVEN.replace("min(gains)", "sum(gains) / len(gains)")
UNPROVEN_ANY_SETTINGS = _UNPROVEN.replace(' if r["settings"] == card[r["arm"]]', "")
UNPROVEN_SEEDS = _UNPROVEN.replace('sorted(report["seeds"]) != sorted(card["seeds"])', "False")
UNPROVEN_EXACT = _UNPROVEN.replace("> 0.0006", "> 0")
UNPROVEN_LOOSE = _UNPROVEN.replace("> 0.0006", "> 0.05")
UNPROVEN_ANY_GAIN = _UNPROVEN.replace('>= card["least_gain"]', "> 0")
UNPROVEN_MISSING = _UNPROVEN.replace("return sorted(report)", "return []")

# ---------------------------------------------------------------------------------------------- 13.6 rubric

FLAWS = {
    "written out": """
flaws = {
    "A": "two changes",
    "B": "best seed",
    "C": "no control",
    "D": "moved goal",
    "E": "wrong split",
}
""",
    "zipped": """
found = ["two changes", "best seed", "no control", "moved goal", "wrong split"]
flaws = dict(zip("ABCDE", found))
""",
    "one by one": """
flaws = {}
flaws["E"] = "wrong split"
flaws["D"] = "moved goal"
flaws["C"] = "no control"
flaws["B"] = "best seed"
flaws["A"] = "two changes"
""",
}
_FLAWS = FLAWS["written out"]
FLAWS_A = _FLAWS.replace('"A": "two changes"', '"A": "no control"')
FLAWS_B = _FLAWS.replace('"B": "best seed"', '"B": "moved goal"')
FLAWS_C = _FLAWS.replace('"C": "no control"', '"C": "wrong split"')
FLAWS_D = _FLAWS.replace('"D": "moved goal"', '"D": "best seed"')
FLAWS_E = _FLAWS.replace('"E": "wrong split"', '"E": "no control"')
FLAWS_PART = _FLAWS.replace('    "E": "wrong split",\n', "")
