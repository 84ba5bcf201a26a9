"""The benchmarks run, record what they say, and find what falls short; nothing is timed here."""

import doctest
import json
import os
import platform
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import attention, machine, models, peers, targets, timing
from vtlearn.viz.digest import describe

ROOT = Path(__file__).resolve().parents[2]
TINY = attention.Plan(
    lengths=(40,),
    reaches=(5,),
    dtypes=("float32",),
    peers=(targets.LONGFORMER, targets.LOCAL, targets.FULL, targets.MASKED),
    heads=2,
    head_dim=3,
    rounds=2,
    memory=False,
)
ROW = {
    "n": int,
    "mode": str,
    "device": str,
    "batch": int,
    "reach": int,
    "dtype": str,
    "implementation": str,
    "milliseconds": (float, type(None)),
    "ratio": (float, type(None)),
    "rounds": int,
    "peak_bytes": (int, type(None)),
    "left_out": (str, type(None)),
    "commit": str,
}


@pytest.fixture(scope="module")
def result():
    return attention.judged(attention.measure(TINY, say=lambda text: None), "cpu")


def test_every_row_has_the_same_fields_of_the_same_types(result):
    names = [peers.OURS, peers.DILATED, *TINY.peers]
    assert [row["implementation"] for row in result["rows"]] == names * 2
    for row in result["rows"]:
        extra = set(row) - set(ROW)
        assert extra <= {"useful_flops_per_second", "useful_bytes_per_second", "floor_ratio"}
        assert bool(extra) == (row["implementation"] == peers.OURS)
        for field, kind in ROW.items():
            assert isinstance(row[field], kind), field
        assert (row["ratio"] is None) == (row["rounds"] == 0)
    assert json.loads(machine.as_text(result)) == result


def test_a_row_is_measured_or_says_why_not(result):
    for row in result["rows"]:
        assert (row["ratio"] is None) == (row["left_out"] is not None)
    local = [row["left_out"] for row in result["rows"] if row["implementation"] == targets.LOCAL]
    if "not installed" in local:
        assert any(
            line.startswith(f"{targets.LOCAL}: not installed (n 40 reach 5") for line in result["left_out"]
        )


def test_useful_work_is_told_beside_the_ceilings(result):
    told = attention.rates(result["rows"], result["ceilings"]).splitlines()
    assert len(told) == 2
    (row,) = [row for row in result["rows"] if row["mode"] == "forward" and "floor_ratio" in row]
    share = row["useful_flops_per_second"] / result["ceilings"]["float32"]["matrix_flops_per_second"]
    assert f"({100 * share:.0f} % of matrix products alone)" in told[0]
    pairs = peers.Problem(40, 5).pattern().allowed_pairs(40) * 2
    flops = row["useful_flops_per_second"] * row["milliseconds"] / 1e3
    assert flops == pytest.approx(4 * pairs * 3)


def test_every_length_is_held_against_full_attention(result):
    judged = [line for line in result["targets"] if line.get("peer") == targets.FULL and line.get("n") == 40]
    assert {line["mode"] for line in judged} == {"forward", "training"}
    assert all(line["met"] in (True, False) for line in judged)


@pytest.mark.parametrize(
    "name", [peers.OURS, peers.DILATED, targets.LONGFORMER, targets.FULL, targets.MASKED]
)
def test_an_implementation_gives_the_reference_of_its_pattern(name):
    found = peers.check_equal((name,), peers.Problem(320, 5, heads=2, head_dim=3))
    assert found[name] < 1e-5


def test_a_peer_that_computes_something_else_is_refused(monkeypatch):
    wrong = peers.Implementation(peers.fused_full)  # everyone to everyone, said to be the window
    monkeypatch.setitem(peers.IMPLEMENTATIONS, targets.FULL, wrong)
    with pytest.raises(AssertionError, match="fused, full differs"):
        peers.check_equal((targets.FULL,), peers.Problem(40, 5, heads=2, head_dim=3))


def test_the_flex_block_mask_is_that_of_all_pairs():
    from torch.nn.attention.flex_attention import create_block_mask

    problem = peers.Problem(512, 37)
    made = peers._flex_block_mask(problem)
    asked = create_block_mask(problem.pattern().mask_mod(), None, None, 512, 512, device="cpu")
    assert torch.equal(made.to_dense(), asked.to_dense())


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (targets.Target(targets.PEER, {"n": 4096}, 4.3), 4.2, False),
        (targets.Target(targets.PEER, {"n": 4096}, 4.3), 4.3, True),
        (targets.Target(targets.MEMORY, {"n": 4096}, 13.0, at_least=False), 13.1, False),
        (targets.Target(targets.MEMORY, {"n": 4096}, 13.0, at_least=False), 12.9, True),
    ],
)
def test_a_made_up_shortfall_is_found(target, value, met):
    measured = {"quantity": target.quantity, "n": 4096, "reach": 64, "mode": "forward", "value": value}
    elsewhere = {**measured, "n": 1024, "value": value + 99}
    lines = targets.judge([target], [elsewhere, measured])
    assert [line["met"] for line in lines] == [met]
    told = targets.shortfalls(lines)
    assert (told == []) == met
    if not met:
        assert told[0].startswith(f"{target.quantity} (n 4096, reach 64, forward): {value:g}; ")
        assert told[0] in targets.verdict(lines)


def test_a_target_that_nothing_speaks_to_is_named():
    lines = targets.judge([targets.Target(targets.PEER, {"peer": targets.FLEX}, 2.0)], [])
    assert [line["met"] for line in lines] == [None]
    assert "Not measured" in targets.verdict(lines)
    assert targets.shortfalls(lines) == []


def test_a_stretch_is_judged_beside_its_goal():
    target = targets.Target(targets.PEER, {}, 4.0, stretch=5.0)
    (line,) = targets.judge([target], [{"quantity": targets.PEER, "value": 4.5}])
    assert (line["met"], line["stretch_met"]) == (True, False)


def test_the_record_names_the_machine_and_nobody(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "somebodys-host")
    facts = machine.machine()
    written = json.dumps(facts)
    for private in ("somebodys-host", os.environ.get("HOSTNAME"), str(Path.home()), str(ROOT)):
        assert private in (None, "", "/") or private not in written
    assert facts["name"].endswith(f"-{facts['cores']}-core{'' if facts['cores'] == 1 else 's'}")
    assert facts["name"] == machine.machine_name(facts["cpu"], facts["cores"])


@pytest.mark.parametrize(
    ("model", "cores", "name"),
    [
        ("AMD EPYC", 2, "amd-epyc-2-cores"),
        ("AMD Ryzen 9 7950X 16-Core Processor", 16, "amd-ryzen-9-7950x-16-cores"),
        ("Intel(R) Core(TM) i7-1185G7 @ 3.00GHz", 1, "intel-core-i7-1185g7-1-core"),
        ("../../etc", 1, "etc-1-core"),
    ],
)
def test_a_machine_is_named_by_model_and_cores(model, cores, name):
    assert machine.machine_name(model, cores) == name


def test_recording_one_benchmark_keeps_the_other(tmp_path):
    facts = {"name": "made-up-1-core"}
    machine.record("attention", facts, {"rows": [{"n": 1}, {"n": 2}]}, tmp_path)
    machine.record("models", facts, {"rows": []}, tmp_path)
    path = machine.record("attention", facts, {"rows": [{"n": 3}]}, tmp_path)
    assert json.loads(path.read_text()) == {
        "machine": facts,
        "attention": {"rows": [{"n": 3}]},
        "models": {"rows": []},
    }


def test_a_part_measured_again_replaces_that_part_alone(result):
    again = {**result, "rows": [{**row, "milliseconds": -1.0} for row in result["rows"][:3]]}
    whole = attention.judged(attention.merged(result, again), "cpu")
    assert len(whole["rows"]) == len(result["rows"])
    assert [row["milliseconds"] == -1.0 for row in whole["rows"]].count(True) == 3
    assert [row["implementation"] for row in whole["rows"]] == [
        row["implementation"] for row in result["rows"]
    ]
    assert len(whole["derived"]) == len(result["derived"])


def made_up_rows():
    times = {256: 1.5, 1024: 4.0}
    own = {"reach": 5, "mode": "forward", "dtype": "float32"}
    peer = [
        {**own, "n": n, "implementation": targets.LONGFORMER, "ratio": ratio} for n, ratio in times.items()
    ]
    return [*peer, {**own, "n": 256, "implementation": targets.LOCAL, "ratio": None}]


def test_the_picture_tells_what_was_measured():
    told = describe(attention.draw(made_up_rows(), "float32", "A machine"))
    assert 'figure "A machine"' in told
    assert 'panel "forward, reach 5"' in told
    assert (
        f'line "{targets.LONGFORMER}": 2 points, x from 256 to 1024, y starts at 1.5, ends at 4, lowest 1.5 '
        "at x = 256, highest 4 at x = 1024" in told
    )
    assert "level line at y = 1" in told
    assert targets.LOCAL not in told


def test_calls_take_turns_and_slow_ones_sit_out(monkeypatch):
    order = []

    def measured(call, device, repeats=1):
        order.append(call)
        return {"quick": 1.0, "slow": 5.0}[call]

    monkeypatch.setattr(timing, "seconds", measured)
    taken = timing.interleave({"a": "quick", "b": "slow"}, 4, "cpu", budget=8.0)
    assert taken == {"a": [1.0] * 4, "b": [5.0] * 2}
    assert order == ["quick", "slow", "slow", "quick", "quick", "quick"]
    assert timing.ratio(taken["b"], taken["a"]) == 5.0


def test_the_growth_of_memory_is_that_of_the_call():
    kept = []
    grown = timing.growth_of_resident_set(lambda: kept.append(torch.ones(12_000_000)))
    assert 48e6 <= grown < 60e6


def test_a_process_of_its_own_gives_its_answer_or_none():
    fresh = timing.FreshProcesses(("benchmarks.timing",))
    assert fresh.run(os.getpid) not in (None, os.getpid())
    assert fresh.run(os._exit, 3) is None


def test_a_long_call_is_left_out_by_what_shorter_ones_took():
    known = attention.Known()
    member = attention.Member(targets.FULL, None, "float32")
    known.times[member, "forward"] = 40, 30.0
    assert known.expected_seconds(member, "forward", 80) == 120.0
    assert known.expected_seconds(member, "training", 80) == 0.0
    _, left_out, _ = attention.prepare(TINY, 80, "forward", known)
    assert left_out[member] == "about 120 s a call"


@pytest.mark.parametrize("module", [targets, timing, machine, attention])
def test_the_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_record_tells_what_longer_calls_will_take(result):
    known = attention.Known.from_record(result)
    member = attention.Member(targets.FULL, None, "float32")
    own = [
        row for row in result["rows"] if (row["implementation"], row["mode"]) == (targets.FULL, "training")
    ]
    expected = known.expected_seconds(member, "training", 80)
    assert expected == pytest.approx(4 * own[0]["milliseconds"] / 1e3)
    assert known.bytes == {}


def test_only_the_whole_run_is_the_machines_record():
    assert attention.is_whole(attention.plan_of(attention.arguments([])))
    for part in (["--quick"], ["--lengths", "256"], ["--no-memory"], ["--dtypes", "float32"]):
        assert not attention.is_whole(attention.plan_of(attention.arguments(part)))


def test_the_peers_environment_takes_no_torchvision():
    assert "torchvision" not in (ROOT / "benchmarks" / "peers.txt").read_text()
    lines = (ROOT / "Makefile").read_text().splitlines()
    alone = [line for line in lines if "peers-alone.txt" in line and "pip install" in line]
    assert len(alone) == 1
    assert "--no-deps" in alone[0]


def test_models_share_weights_and_rows_have_the_same_fields():
    case = models.Case(
        "TimeSformer tiny",
        "8 × 32², width 24, 3 heads, depth 2",
        partial(models.timesformer_sides, 24, 3, 2, 32),
        partial(models.draw_clips, 2, 8, 32),
        True,
        ("float32",),
    )
    rows, apart = models.measure_case(case, "cpu", 1, True, None)
    assert apart is not None
    assert apart < 1e-5
    assert [row["implementation"] for row in rows] == [peers.OURS, targets.HF_TIMESFORMER] * 2
    fields = {key: kind for key, kind in ROW.items() if key not in ("n", "reach", "batch", "commit")}
    fields["model"] = str
    for row in rows:
        assert set(row) == set(fields)
        for field, kind in fields.items():
            assert isinstance(row[field], kind), field
    found = models.quantities(rows)
    assert {one["quantity"] for one in found} == {targets.PEER}
    assert "TimeSformer tiny" in models.table(rows)


def test_sides_that_differ_are_not_timed():
    def spoilt():
        sides = models.timesformer_sides(24, 3, 2, 32)
        with torch.no_grad():
            sides[peers.OURS].module.head.bias.add_(1.0)
        return sides

    case = models.Case("spoilt", "", spoilt, partial(models.draw_clips, 1, 8, 32), True, ("float32",))
    with pytest.raises(AssertionError, match="spoilt: outputs differ"):
        models.measure_case(case, "cpu", 1, True, None)


def test_vtns_temporal_encoder_agrees_with_its_peer():
    sides = models.temporal_sides(12, 3, 2)
    assert models.difference(sides, models.draw_vectors(37, 12)) < 1e-5


def test_every_record_is_named_by_its_machine_and_judged():
    records = {path.stem: json.loads(path.read_text()) for path in machine.RESULTS.glob("*.json")}
    records = {name: whole for name, whole in records.items() if "attention" in whole}
    assert records
    for name, whole in records.items():
        assert whole["machine"]["name"] == name
        assert all(row["commit"] for row in whole["attention"]["rows"])
        assert {row["n"] for row in whole["attention"]["rows"]} <= set(attention.LENGTHS)
        for part in {"attention", "models"} & set(whole):
            assert all(line["met"] in (True, False, None) for line in whole[part]["targets"])
