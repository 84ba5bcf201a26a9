"""Answers to the exercises of lesson 10, as source: right ones in several styles, and the usual mistakes."""

# --------------------------------------------------------------------------------- 10.1 count operations

COUNT = {
    "forward hooks": '''
def linear_multiply_adds(model: nn.Module, x: Tensor) -> int:
    """Multiply-adds of all linear layers while the model runs on x."""
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        total += output.numel() * layer.in_features

    hooks = [part.register_forward_hook(count) for part in model.modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return total
''',
    "pre-hooks and shapes": """
def linear_multiply_adds(model, x):
    seen = []
    hooks = []
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            note = lambda layer, given: seen.append(given[0].shape[:-1].numel() * layer.weight.numel())
            hooks.append(layer.register_forward_pre_hook(note))
    try:
        model(x)
    finally:
        [hook.remove() for hook in hooks]
    return sum(seen)
""",
    "forward exchanged for a while": """
def linear_multiply_adds(model, x):
    rows = []
    plain = nn.Linear.forward

    def counting(layer, given):
        out = plain(layer, given)
        rows.append(given.reshape(-1, layer.in_features).shape[0] * layer.in_features * layer.out_features)
        return out

    nn.Linear.forward = counting
    try:
        model(x)
    finally:
        nn.Linear.forward = plain
    return int(np.sum(rows))
""",
}
_COUNT = COUNT["forward hooks"]
COUNT_PARAMETERS = """
def linear_multiply_adds(model, x):
    return sum(part.weight.numel() for part in model.modules() if isinstance(part, nn.Linear))
"""
COUNT_DOUBLED = _COUNT.replace("+= output", "+= 2 * output")
COUNT_BIAS = _COUNT.replace("* layer.in_features", "* (layer.in_features + 1)")
COUNT_HOOKS_LEFT = _COUNT.replace("hook.remove()", "pass")
COUNT_ONE_CLIP = _COUNT.replace("output.numel()", "output[0].numel()")
COUNT_ONCE = """
def linear_multiply_adds(model, x):
    seen, hooks = {}, []
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            def note(layer, given, out):
                seen[layer] = out.numel() * layer.in_features
            hooks.append(layer.register_forward_hook(note))
    model(x)
    for hook in hooks:
        hook.remove()
    return sum(seen.values())
"""

# ------------------------------------------------------------------------------------------ 10.2 latency

LATENCY = {
    "a list and its median": '''
def latency(run, synchronise, clock, num_warmup: int, num_runs: int) -> float:
    """Median seconds of one run, the device waited for."""
    for _ in range(num_warmup):
        run()
    seconds = []
    for _ in range(num_runs):
        synchronise()
        start = clock()
        run()
        synchronise()
        seconds.append(clock() - start)
    return sorted(seconds)[len(seconds) // 2]
''',
    "one loop": """
def latency(run, synchronise, clock, num_warmup, num_runs):
    times = []
    for number in range(num_warmup + num_runs):
        synchronise()
        before = clock()
        run()
        synchronise()
        after = clock()
        if number >= num_warmup:
            times.append(after - before)
    return float(np.median(times))
""",
    "an inner function": """
def latency(run, synchronise, clock, num_warmup, num_runs):
    import statistics

    def once():
        start = clock()
        run()
        synchronise()
        return clock() - start

    synchronise()
    for _ in range(num_warmup):
        once()
    return statistics.median(once() for _ in range(num_runs))
""",
    "torch": """
def latency(run, synchronise, clock, num_warmup, num_runs):
    times = torch.zeros(num_warmup + num_runs, dtype=torch.float64)
    synchronise()
    for i in range(len(times)):
        t = clock()
        run()
        synchronise()
        times[i] = clock() - t
    return times[num_warmup:].median()
""",
}
_LATENCY = LATENCY["a list and its median"]
LATENCY_NOT_WAITED = _LATENCY.replace("        run()\n        synchronise()\n", "        run()\n")
LATENCY_NO_SYNC = LATENCY_NOT_WAITED.replace("        synchronise()\n", "")
LATENCY_NOT_EMPTY = _LATENCY.replace("        synchronise()\n        start", "        start")
LATENCY_MEAN = _LATENCY.replace("sorted(seconds)[len(seconds) // 2]", "sum(seconds) / len(seconds)")
LATENCY_FASTEST = _LATENCY.replace("sorted(seconds)[len(seconds) // 2]", "min(seconds)")
LATENCY_NO_WARMUP = _LATENCY.replace("    for _ in range(num_warmup):\n        run()\n", "")

# ------------------------------------------------------------------------------------- 10.3 mean and interval

INTERVAL = {
    "tensor": '''
def mean_interval(scores: Tensor, quantile: float) -> tuple[float, float]:
    """Mean over seeds, and half the width of its 95 % interval."""
    half = quantile * scores.std(unbiased=True) / math.sqrt(len(scores))
    return float(scores.mean()), float(half)
''',
    "by hand": """
def mean_interval(scores, quantile):
    values = scores.tolist()
    n = len(values)
    mean = sum(values) / n
    spread = (sum((value - mean) ** 2 for value in values) / (n - 1)) ** 0.5
    return mean, quantile * spread / n**0.5
""",
    "numpy": """
def mean_interval(scores, quantile):
    x = scores.double().numpy()
    return np.mean(x), quantile * np.sqrt(np.var(x, ddof=1) / x.size)
""",
    "statistics": """
def mean_interval(scores, quantile):
    import statistics

    return [statistics.fmean(scores.tolist()),
            quantile * statistics.stdev(scores.tolist()) / len(scores) ** 0.5]
""",
}
_INTERVAL = INTERVAL["tensor"]
INTERVAL_POPULATION = _INTERVAL.replace("unbiased=True", "unbiased=False")
INTERVAL_NO_ROOT = _INTERVAL.replace(" / math.sqrt(len(scores))", "")
INTERVAL_BY_N = _INTERVAL.replace("math.sqrt(len(scores))", "len(scores)")
INTERVAL_NORMAL = _INTERVAL.replace("quantile *", "1.96 *")
INTERVAL_WHOLE = _INTERVAL.replace("half = quantile", "half = 2 * quantile")
INTERVAL_VARIANCE = _INTERVAL.replace("scores.std(", "scores.var(")
INTERVAL_NO_QUANTILE = _INTERVAL.replace("quantile * ", "")

# ------------------------------------------------------------------------------------------- 10.4 views

VIEWS = {
    "folded into the batch": '''
def with_views(model, clips: Tensor, multiply_adds: int) -> tuple[Tensor, int]:
    """Mean probabilities over the views of each video, and what a video costs."""
    videos, views = clips.shape[:2]
    logits = model(clips.flatten(0, 1))
    return logits.softmax(dim=-1).unflatten(0, (videos, views)).mean(dim=1), views * multiply_adds
''',
    "a loop over views": """
def with_views(model, clips, multiply_adds):
    total = 0
    for view in range(clips.shape[1]):
        total = total + torch.softmax(model(clips[:, view]), -1)
    return total / clips.shape[1], clips.shape[1] * multiply_adds
""",
    "einops": """
def with_views(model, clips, multiply_adds):
    v = clips.shape[1]
    shares = F.softmax(model(rearrange(clips, "b v t c h w -> (b v) t c h w")), dim=1)
    return reduce(shares, "(b v) k -> b k", "mean", v=v), multiply_adds * v
""",
    "a loop over videos": """
def with_views(model, clips, multiply_adds):
    each = [model(views).exp() / model(views).exp().sum(1, keepdim=True) for views in clips]
    return torch.stack([one.mean(0) for one in each]), multiply_adds * clips.size(1)
""",
}
_VIEWS = VIEWS["folded into the batch"]
VIEWS_LOGITS = _VIEWS.replace(
    "logits.softmax(dim=-1).unflatten(0, (videos, views)).mean(dim=1)",
    "logits.unflatten(0, (videos, views)).mean(dim=1).softmax(dim=-1)",
)
VIEWS_RAW = _VIEWS.replace(".softmax(dim=-1)", "")
VIEWS_PIXELS = _VIEWS.replace(
    "logits = model(clips.flatten(0, 1))", "logits = model(clips.mean(dim=1))"
).replace(".unflatten(0, (videos, views)).mean(dim=1)", "")
VIEWS_MIXED = _VIEWS.replace("unflatten(0, (videos, views)).mean(dim=1)",
                             "unflatten(0, (views, videos)).mean(dim=0)")  # fmt: skip
VIEWS_FIRST = _VIEWS.replace(".mean(dim=1)", "[:, 0]")
VIEWS_HIDDEN = _VIEWS.replace("views * multiply_adds", "multiply_adds")
VIEWS_ALL_VIDEOS = _VIEWS.replace("views * multiply_adds", "videos * views * multiply_adds")

# ------------------------------------------------------------------------------------------- 10.5 choose

CHOOSE = {
    "lists": '''
def choose(rows: dict, budget: int, margin: float) -> str | None:
    """The cheapest of those that tie with the best one within the budget."""
    cost = {name: one_view * views for name, (one_view, views, scores) in rows.items()}
    mean = {name: sum(scores) / len(scores) for name, (one_view, views, scores) in rows.items()}
    affordable = [name for name in rows if cost[name] <= budget]
    if not affordable:
        return None
    best = max(mean[name] for name in affordable)
    return min((name for name in affordable if mean[name] >= best - margin), key=cost.get)
''',
    "sorted by cost": """
def choose(rows, budget, margin):
    table = sorted((a * v, name, float(np.mean(s))) for name, (a, v, s) in rows.items() if a * v <= budget)
    top = max((mean for _, _, mean in table), default=None)
    for _, name, mean in table:
        if mean >= top - margin:
            return name
""",
    "torch": """
def choose(rows, budget, margin):
    names = [n for n, row in rows.items() if row[0] * row[1] <= budget]
    if len(names) == 0:
        return None
    means = torch.tensor([torch.tensor(rows[n][2], dtype=torch.float64).mean() for n in names])
    costs = torch.tensor([rows[n][0] * rows[n][1] for n in names], dtype=torch.float64)
    costs[means < means.max() - margin] = math.inf
    return names[costs.argmin()]
""",
}
_CHOOSE = CHOOSE["lists"]
CHOOSE_HIDDEN_VIEWS = _CHOOSE.replace("one_view * views for", "one_view for")
CHOOSE_BEST_SEED = _CHOOSE.replace("sum(scores) / len(scores)", "max(scores)")
CHOOSE_NO_MARGIN = _CHOOSE.replace("best - margin", "best")
CHOOSE_CHEAPEST = _CHOOSE.replace(" if mean[name] >= best - margin)", ")")
CHOOSE_BEST_OF_ALL = _CHOOSE.replace("max(mean[name] for name in affordable)", "max(mean.values())").replace(
    "key=cost.get)", "key=cost.get, default=None)"
)
CHOOSE_NO_NONE = _CHOOSE.replace("    if not affordable:\n        return None\n", "")
CHOOSE_BELOW = _CHOOSE.replace("<= budget", "< budget")
CHOOSE_FIRST_SEED = _CHOOSE.replace("sum(scores) / len(scores)", "scores[0]")

# ------------------------------------------------------------------------------------ 10.6 a flawed table

FAULTS = {
    "one question after the other": '''
def faults_of(rows: list[dict]) -> list[set[str]]:
    """The faults of each row of a table, by name."""
    first = rows[0]
    result = []
    for row in rows:
        found = set()
        if row["views"] is None:
            found.add("hidden views")
        if len(row["scores"]) < 3:
            found.add("few seeds")
        if row["chosen_on"] != "val":
            found.add("chosen on test")
        if row["start"] != first["start"]:
            found.add("another start")
        if row["attention_counted"] != first["attention_counted"]:
            found.add("another count")
        if row["device"] == "cuda" and not row["synchronised"]:
            found.add("unsynchronised")
        result.append(found)
    return result
''',
    "a rule for each name": """
RULES = {
    "hidden views": lambda row, base: row["views"] is None,
    "few seeds": lambda row, base: len(row["scores"]) <= 2,
    "chosen on test": lambda row, base: row["chosen_on"] in ("test", None),
    "another start": lambda row, base: row["start"] != base["start"],
    "another count": lambda row, base: row["attention_counted"] is not base["attention_counted"],
    "unsynchronised": lambda row, base: row["device"] != "cpu" and row["synchronised"] is not True,
}

def faults_of(rows):
    return [{name for name, rule in RULES.items() if rule(row, rows[0])} for row in rows]
""",
    "a generator of lists": """
def faults_of(rows):
    start, count = rows[0]["start"], rows[0]["attention_counted"]
    for row in rows:
        asked = [
            ("few seeds", np.size(row["scores"]) < 3),
            ("hidden views", row.get("views") is None),
            ("unsynchronised", row["device"] == "cuda" and row["synchronised"] in (False, None)),
            ("chosen on test", not row["chosen_on"] == "val"),
            ("another start", row["start"] != start),
            ("another count", row["attention_counted"] != count),
        ]
        yield [name for name, is_so in asked if is_so]
""",
    "a table column by column": """
def faults_of(rows):
    found = [[] for _ in rows]
    def note(name, bad):
        for place, is_bad in enumerate(bad):
            if is_bad:
                found[place].append(name)
    column = lambda name: [row[name] for row in rows]
    note("hidden views", [views is None for views in column("views")])
    note("few seeds", [len(scores) < 3 for scores in column("scores")])
    note("chosen on test", [chosen != "val" for chosen in column("chosen_on")])
    note("another start", [start != column("start")[0] for start in column("start")])
    counted = column("attention_counted")
    note("another count", [one != counted[0] for one in counted])
    note("unsynchronised", [d == "cuda" and not s for d, s in zip(column("device"), column("synchronised"))])
    return tuple(frozenset(one) for one in found)
""",
}
_FAULTS = FAULTS["one question after the other"]
FAULTS_ONE_VIEW = _FAULTS.replace('row["views"] is None', 'row["views"] in (None, 1)')
FAULTS_MANY_VIEWS = _FAULTS.replace('row["views"] is None', 'row["views"] is None or row["views"] > 10')
FAULTS_ONE_SEED = _FAULTS.replace("< 3", "== 1")
FAULTS_SILENT_CHOICE = _FAULTS.replace('!= "val"', '== "test"')
FAULTS_SILENT_TIME = _FAULTS.replace('not row["synchronised"]', 'row["synchronised"] is False')
FAULTS_CPU = _FAULTS.replace('row["device"] == "cuda" and not', "not")
FAULTS_ROW_ABOVE = _FAULTS.replace(
    "        result.append(found)\n", "        result.append(found)\n        first = row\n"
)
FAULTS_SCRATCH = _FAULTS.replace('row["start"] != first["start"]', 'row["start"] != "ImageNet-1K"')
FAULTS_CONVENTION = _FAULTS.replace(
    'row["attention_counted"] != first["attention_counted"]', 'not row["attention_counted"]'
)
FAULTS_FIRST_FOUND = _FAULTS.replace("        if ", "        elif ").replace(
    '        elif row["views"]', '        if row["views"]'
)
FAULTS_BASELINE_SPARED = _FAULTS.replace("return result", "return [set(), *result[1:]]")
FAULTS_WHOLE_TABLE = _FAULTS.replace("return result", "return set().union(*result)")
