"""Lesson 10 beyond its listed answers: other right ways pass, others are named, the panel tells costs."""

import pytest
import torch
from torch import nn

from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_10 import ParetoExplorer, points_of, recorded
from vtlearn.models import create_model


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "wrapped forwards": ("10.1", '''
def linear_multiply_adds(model, x):
    counts = []
    layers = [m for m in model.modules() if type(m) is nn.Linear]
    for layer in layers:
        def forward(given, layer=layer):
            counts.append(math.prod(given.shape) * layer.weight.shape[0])
            return F.linear(given, layer.weight, layer.bias)
        layer.forward = forward
    model(x)
    for layer in layers:
        del layer.forward
    return sum(counts)
'''),
    "a class with a total": ("10.1", '''
def linear_multiply_adds(model, x):
    class Counter:
        total = torch.tensor(0)
        def __call__(self, m, i, o):
            self.total = self.total + torch.tensor(o.shape).prod() * m.in_features
    counter = Counter()
    handles = [m.register_forward_hook(counter) for _, m in model.named_modules() if isinstance(m, nn.Linear)]
    model.eval()(x)
    for h in handles: h.remove()
    return counter.total
'''),
    "numpy percentile": ("10.2", '''
def latency(run, synchronise, clock, num_warmup, num_runs):
    for _ in range(num_warmup):
        run()
    synchronise()
    out = []
    while len(out) < num_runs:
        t0 = clock(); run(); synchronise(); t1 = clock()
        out += [t1 - t0]
    return np.percentile(out, 50)
'''),
    "var": ("10.3", '''
def mean_interval(scores, quantile):
    return torch.stack([scores.mean(), quantile * (scores.var() / scores.numel()).sqrt()])
'''),
    "float64": ("10.4", '''
def with_views(model, clips, multiply_adds):
    B, V, *rest = clips.shape
    p = torch.stack([model(clips[:, v]).double().softmax(1) for v in range(V)], 1)
    return p.sum(1) / V, V * multiply_adds
'''),
    "view and log": ("10.4", '''
def with_views(model, clips, multiply_adds):
    s = clips.shape
    z = F.log_softmax(model(clips.reshape(s[0] * s[1], *s[2:])), dim=1).exp()
    return z.view(s[0], s[1], -1).mean(1), int(s[1]) * multiply_adds
'''),
    "a loop": ("10.5", '''
def choose(rows, budget, margin):
    fits = {}
    for name in rows:
        a, v, s = rows[name]
        if a * v > budget:
            continue
        fits[name] = (a * v, np.mean(s))
    best = max([m for _, m in fits.values()], default=0)
    chosen = None
    for name, (cost, mean) in fits.items():
        if best - mean <= margin and (chosen is None or cost < fits[chosen][0]):
            chosen = name
    return chosen
'''),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "inputs counted": ("10.1", '''
def linear_multiply_adds(model, x):
    total = x.numel() // x.shape[-1]
    return sum(total * m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
''', "10.1"),
    "a float": ("10.1", '''
def linear_multiply_adds(model, x):
    return 1.5
''', "use // instead of /"),
    "total over runs": ("10.2", '''
def latency(run, synchronise, clock, num_warmup, num_runs):
    for _ in range(num_warmup): run()
    synchronise()
    t = clock()
    for _ in range(num_runs): run()
    synchronise()
    return (clock() - t) / num_runs
''', "this is the mean"),
    "the ends": ("10.3", '''
def mean_interval(scores, quantile):
    half = quantile * scores.std() / len(scores) ** 0.5
    return scores.mean() - half, scores.mean() + half
''', "these are the ends"),
    "the range": ("10.3", '''
def mean_interval(scores, quantile):
    return scores.mean(), (scores.max() - scores.min()) / 2
''', "half the range"),
    "votes": ("10.4", '''
def with_views(model, clips, multiply_adds):
    p = torch.stack([F.one_hot(model(clips[:, v]).argmax(1), 3).float() for v in range(clips.shape[1])])
    return p.mean(0), multiply_adds * clips.shape[1]
''', "these are votes"),
    "views left": ("10.4", '''
def with_views(model, clips, multiply_adds):
    return model(clips.flatten(0, 1)).softmax(1), multiply_adds * clips.shape[1]
''', "still a row for each view"),
    "a row": ("10.5", '''
def choose(rows, budget, margin):
    return max(rows.values(), key=lambda row: sum(row[2]))
''', "expected the name of one row"),
    "most accurate of all": ("10.5", '''
def choose(rows, budget, margin):
    return max(rows, key=lambda name: sum(rows[name][2]))
''', "needs 30 views"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    message = said(exercise_id, source)
    assert message != "passed"
    if sentence != exercise_id:
        assert sentence in message


def test_counting_agrees_with_the_formula_of_one_block():
    block = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    assert exercise("10.1").compile()(block, torch.zeros(3, 5, 8)) == 2 * 15 * 8 * 32


def test_counting_runs_on_a_model_of_the_catalogue():
    model = create_model("vivit_samples", image_size=32, num_frames=4, num_classes=2)
    one, two = (exercise("10.1").compile()(model, torch.zeros(n, 4, 3, 32, 32)) for n in (1, 2))
    assert two == 2 * one > 0


def test_the_explorer_charges_views_to_one_model_and_one_cost():
    state = {"labelling": "motion", "cost": "multiply-adds of a video", "model": "vtn", "views": 10}
    one, ten = points_of(state | {"views": 1}), points_of(state)
    assert ten["vtn"][0] == 10 * one["vtn"][0]
    assert {name: ten[name] for name in ten if name != "vtn"} == {n: one[n] for n in one if n != "vtn"}
    assert points_of(state | {"cost": "parameters"}) == points_of(state | {"cost": "parameters", "views": 1})
    words = ParetoExplorer.render(state)
    assert "vtn with 10 views" in words.text
    front = words.text.split("Not beaten at their cost: ")[1].split(".")[0]
    assert "timesformer" in front
    assert "vtn" not in front


def test_the_record_has_three_seeds_and_every_row():
    assert recorded()["seeds"] == [0, 1, 2]
    assert all(len(run["rows"]) == 2 * len(recorded()["summary"]) for run in recorded()["runs"])
