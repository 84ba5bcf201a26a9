"""Lesson 10 beyond its listed answers: other right ways pass, others are named, the panel tells costs."""

import contextlib
import io
import json

import jupytext
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vtlearn.course import notebooks
from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_10 import ParetoExplorer, points_of, recorded
from vtlearn.course.published import _rounded
from vtlearn.models import create_model, model_config
from vtlearn.models.cost import model_cost


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


FAULTS = """
def faults_of(rows):
    b = rows[0]
    out = []
    for r in rows:
        s = set()
        if r["views"] is None: s.add("hidden views")
        if len(r["scores"]) < 3: s.add("few seeds")
        if r["chosen_on"] != "val": s.add("chosen on test")
        if r["start"] != b["start"]: s.add("another start")
        if r["attention_counted"] != b["attention_counted"]: s.add("another count")
        if r["device"] == "cuda" and not r["synchronised"]: s.add("unsynchronised")
        out.append(s)
    return out
"""


def giving(verdicts):
    return FAULTS.replace("return out", f"return {verdicts}")


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
    "a mode of torch": ("10.1", '''
def linear_multiply_adds(model, x):
    from torch.overrides import TorchFunctionMode
    class Count(TorchFunctionMode):
        total = 0
        def __torch_function__(self, f, types, args=(), kwargs=None):
            out = f(*args, **(kwargs or {}))
            if f is F.linear:
                self.total += out.numel() * args[1].shape[1]
            return out
    with Count() as count:
        model(x)
    return count.total
'''),
    "stamps": ("10.2", '''
def latency(run, synchronise, clock, num_warmup, num_runs):
    for _ in range(num_warmup):
        run()
    synchronise()
    stamps = [clock()]
    for _ in range(num_runs):
        run(); synchronise(); stamps.append(clock())
    return torch.tensor(stamps, dtype=torch.float64).diff().quantile(0.5)
'''),
    "std_mean": ("10.3", '''
def mean_interval(scores, quantile):
    s, m = torch.std_mean(scores.double(), dim=0, keepdim=True)
    return [m, quantile * s / math.sqrt(len(scores))]
'''),
    "each view alone": ("10.4", '''
def with_views(model, clips, multiply_adds):
    out = [sum(F.softmax(model(view[None]), dim=-1)[0] for view in video) / len(video) for video in clips]
    return [torch.stack(out), torch.tensor(len(clips[0]) * multiply_adds)]
'''),
    "a dataclass": ("10.5", '''
import dataclasses

@dataclasses.dataclass
class Row:
    name: str
    cost: int
    mean: float

def choose(rows, budget, margin):
    table = [Row(k, a * b, float(torch.tensor(s).mean())) for k, (a, b, s) in rows.items()]
    table = [row for row in table if row.cost <= budget]
    best = max((row.mean for row in table), default=None)
    tied = [row for row in table if row.mean >= best - margin]
    return min(tied, key=lambda row: row.cost).name if tied else None
'''),
    "numpy of strings": ("10.5", '''
def choose(rows, budget, margin):
    names = np.array(list(rows))
    cost = np.array([rows[n][0] * rows[n][1] for n in rows])
    mean = np.array([np.mean(rows[n][2]) for n in rows])
    fits = cost <= budget
    if not fits.any(): return None
    fits &= mean >= mean[fits].max() - margin
    return names[fits][cost[fits].argmin()]
'''),
    "arrays of names": ("10.6", giving("[np.array(sorted(o)) for o in out]")),
    "an iterator": ("10.6", giving("iter([tuple(o) for o in out])")),
    "generators": ("10.6", giving("[(name for name in o) for o in out]")),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


COUNT = """
def linear_multiply_adds(model, x):
    total = 0
    def hook(layer, i, o):
        nonlocal total
        total += o.numel() * layer.in_features
    hooks = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, nn.Linear)]
    model(x)
    for h in hooks: h.remove()
    return total
"""
TIMES = """
def latency(run, synchronise, clock, num_warmup, num_runs):
    for _ in range(num_warmup): run()
    out = []
    for _ in range(num_runs):
        synchronise(); t = clock(); run(); synchronise(); out.append(clock() - t)
    return np.median(out)
"""
CHOOSE = """
def choose(rows, budget, margin):
    fit = [n for n, r in rows.items() if r[0] * r[1] <= budget]
    if not fit: return None
    mean = {n: np.mean(rows[n][2]) for n in fit}
    top = max(mean.values())
    tied = [n for n in fit if mean[n] >= top - margin]
    return min(tied, key=lambda n: rows[n][0] * rows[n][1])
"""
OTHER_WRONG = {
    "inputs counted": ("10.1", '''
def linear_multiply_adds(model, x):
    total = x.numel() // x.shape[-1]
    return sum(total * m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
''', "each layer is counted once, and with all tokens"),
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
    "children": ("10.1", COUNT.replace("modules", "children"), "only layers directly in the model"),
    "all parameters": ("10.1", '''
def linear_multiply_adds(model, x):
    return sum(p.numel() for p in model.parameters())
''', "all parameters of the model"),
    "out features": ("10.1", COUNT.replace("in_features", "out_features"), "times out_features"),
    "another clock": ("10.2", TIMES.replace("clock()", "__import__('time').perf_counter()"), "no other"),
    "not sorted": ("10.2", TIMES.replace("np.median(out)", "out[num_runs // 2]"), "in the middle of"),
    "warm-up counted": ("10.2", TIMES.replace("for _ in range(num_warmup): run()", "num_runs += num_warmup"),
                        "the warm-up's times are among"),
    "all runs": ("10.2", TIMES.replace("np.median(out)", "sum(out)"), "the time of all runs together"),
    "backwards": ("10.2", TIMES.replace("clock() - t", "t - clock()"), "below zero"),
    "n − 1 twice": ("10.3", '''
def mean_interval(scores, quantile):
    return scores.mean(), quantile * scores.std() / math.sqrt(len(scores) - 1)
''', "the root is that of n"),
    "in percent": ("10.3", '''
def mean_interval(scores, quantile):
    return 100 * scores.mean(), 100 * quantile * scores.std() / len(scores) ** 0.5
''', "in percent"),
    "over the clips": ("10.4", '''
def with_views(model, clips, multiply_adds):
    p = model(clips.flatten(0, 1)).softmax(0)
    return p.unflatten(0, clips.shape[:2]).mean(1), multiply_adds * clips.shape[1]
''', "the softmax runs over the clips"),
    "exchanged": ("10.4", '''
def with_views(model, clips, multiply_adds):
    p = model(clips.flatten(0, 1)).softmax(1)
    return multiply_adds * clips.shape[1], p.unflatten(0, clips.shape[:2]).mean(1)
''', "the two are exchanged"),
    "medians": ("10.5", CHOOSE.replace("np.mean", "np.median"), "one that failed"),
    "worst seeds": ("10.5", CHOOSE.replace("np.mean", "min"), "best of the worst seeds"),
    "a share for a margin": ("10.5", CHOOSE.replace("top - margin", "top * (1 - margin)"), "not a share"),
    "best left out": ("10.5",
                      CHOOSE.replace("margin]", "margin and mean[n] < top] or [max(fit, key=mean.get)]"),
                      "the best row ties with itself"),
    "a verdict by model": ("10.6", giving("{r['model']: o for r, o in zip(rows, out)}"),
                           "this is a dict"),
    "joined": ("10.6", giving("[', '.join(o) for o in out]"), "not a single name"),
    "fair rows dropped": ("10.6", giving("[o for o in out if o]"), "empty set"),
    "one set for all": ("10.6",
                        FAULTS.replace("        s = set()\n", "").replace("out = []", "out, s = [], set()"),
                        "a new, empty set for each row"),
    "the last row": ("10.6", FAULTS.replace("rows[0]", "rows[-1]"), "compared with the last row"),
    "popped": ("10.6", FAULTS.replace("rows[0]", "rows.pop(0)"), "4 verdicts on 5 rows"),
    "or": ("10.6", FAULTS.replace('"cuda" and not', '"cuda" or not'), "if the clock waited"),
    "underscores": ("10.6", FAULTS.replace("hidden views", "hidden_views"), "none of the six names"),
    "True and False": ("10.6", giving("[[bool(o)] for o in out]"), "names of faults"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    message = said(exercise_id, source)
    assert message != "passed"
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


# ----------------------------------------------------------------------------------------- the real video


def _hub_folder(folder, config, sizes):
    """Random weights of these sizes, with a configuration, in the hub's layout."""
    folder.mkdir()
    named = {"id2label": {str(number): f"deed {number}" for number in range(7)}}
    shared = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    (folder / "config.json").write_text(json.dumps(config | shared | named))
    generator = torch.Generator().manual_seed(0)
    weights = {name: 0.1 * torch.randn(size, generator=generator) for name, size in sizes.items()}
    save_file(weights, folder / "model.safetensors")
    return folder


def _linear(*names, given=24, wanted=24):
    return {
        f"{name}.{part}": size
        for name in names
        for part, size in (("weight", (wanted, given)), ("bias", (wanted,)))
    }


def _norm(*names):
    return {f"{name}.{part}": (24,) for name in names for part in ("weight", "bias")}


def _mlp(layer):
    return _linear(f"{layer}.intermediate.dense", wanted=48) | _linear(f"{layer}.output.dense", given=48)


def tiny_timesformer(folder):
    sizes = {
        "timesformer.embeddings.cls_token": (1, 1, 24),
        "timesformer.embeddings.position_embeddings": (1, 5, 24),
        "timesformer.embeddings.time_embeddings": (1, 3, 24),
        "timesformer.embeddings.patch_embeddings.projection.weight": (24, 3, 16, 16),
        "timesformer.embeddings.patch_embeddings.projection.bias": (24,),
    }
    for number in range(2):
        layer = f"timesformer.encoder.layer.{number}"
        sizes |= _linear(
            f"{layer}.attention.attention.qkv", f"{layer}.temporal_attention.attention.qkv", wanted=72
        )
        sizes |= _linear(
            *(f"{layer}.{one}.output.dense" for one in ("attention", "temporal_attention")),
            f"{layer}.temporal_dense",
        )
        sizes |= _norm(*(f"{layer}.{one}" for one in ("layernorm_before", "layernorm_after")))
        sizes |= _norm(f"{layer}.temporal_layernorm") | _mlp(layer)
    sizes |= _norm("timesformer.layernorm") | _linear("classifier", wanted=7)
    config = {"model_type": "timesformer", "image_size": 32, "patch_size": 16, "num_frames": 3}
    processor = {"image_mean": [0.45] * 3, "image_std": [0.225] * 3}
    _hub_folder(folder, config | {"attention_type": "divided_space_time"}, sizes)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def tiny_vivit(folder):
    sizes = {
        "vivit.embeddings.cls_token": (1, 1, 24),
        "vivit.embeddings.position_embeddings": (1, 9, 24),
        "vivit.embeddings.patch_embeddings.projection.weight": (24, 3, 2, 16, 16),
        "vivit.embeddings.patch_embeddings.projection.bias": (24,),
    }
    for number in range(2):
        layer = f"vivit.encoder.layer.{number}"
        sizes |= _linear(*(f"{layer}.attention.attention.{one}" for one in ("query", "key", "value")))
        sizes |= _linear(f"{layer}.attention.output.dense")
        sizes |= _norm(*(f"{layer}.{one}" for one in ("layernorm_before", "layernorm_after"))) | _mlp(layer)
    sizes |= _norm("vivit.layernorm") | _linear("classifier", wanted=7)
    config = {"model_type": "vivit", "image_size": 32, "num_frames": 4, "tubelet_size": [2, 16, 16]}
    config |= {"num_channels": 3, "hidden_act": "gelu_fast", "layer_norm_eps": 1e-6, "qkv_bias": True}
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return _hub_folder(folder, config, sizes)


def _run_real_video(published_cell_changed=lambda text: text):
    (source,) = notebooks.sources(["10"])
    code = [cell.source for cell in jupytext.reads(source.read_text(), "py:percent").cells]
    setup = next(text for text in code if "start_lesson(" in text)
    (first,) = (text for text in code if text.startswith("my_video"))
    (last,) = (text for text in code if text.startswith("published = "))
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec("\n\n".join([setup, first.split("own = ")[0], published_cell_changed(last)]), {})
    return told.getvalue()


TIMESFORMER, VIVIT = "facebook/timesformer-base-finetuned-k400", "google/vivit-b-16x2-kinetics400"


def test_without_the_weights_the_section_says_how_to_get_both(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    told = _run_real_video()
    assert told.count("is not on this machine") == 2
    assert f'load_published("{TIMESFORMER}")' in told
    assert f'load_published("{VIVIT}")' in told
    assert "every list" not in told


def test_two_folders_in_the_hubs_layout_are_compared_on_one_clip(tmp_path):
    one, other = tiny_timesformer(tmp_path / "one"), tiny_vivit(tmp_path / "other")
    told = _run_real_video(
        lambda text: text.replace(repr(TIMESFORMER)[1:-1], str(one)).replace(VIVIT, str(other))
    )
    assert "TimeSformer: 3 views of 3 frames" in told
    assert "ViViT: 12 views of 4 frames" in told
    assert len([line for line in told.splitlines() if " %  deed " in line]) == 2 * 5
    shared = told.split("in every list: ")[1].splitlines()[0].split(", ")
    blocks = told.split("ViViT: ")
    assert shared
    assert all(name in blocks[0] and name in blocks[1] for name in shared)  # two lists of 5 out of 7 meet
    assert "TimeSformer: frame 0: most at row" in told
    assert "ViViT: frame 0: most at row" in told


def test_one_model_alone_is_shown_too(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    other = tiny_vivit(tmp_path / "other")
    told = _run_real_video(lambda text: text.replace(VIVIT, str(other)))
    assert f"{TIMESFORMER} is not on this machine" in told
    assert told.count(" %  deed ") == 5


def test_views_cost_what_the_lesson_says():
    divided, joint = (
        model_cost(model_config(name)).multiply_adds for name in ("timesformer_base", "vivit_base_joint")
    )
    assert [_rounded(3 * divided), _rounded(12 * joint)] == ["587 G", "5.42 T"]
    assert round(12 * joint / (3 * divided)) == 9
