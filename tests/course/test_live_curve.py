"""The live curve follows the loop, and a run of another process."""

import json
import threading
import time

import torch
from torch import nn

from vtlearn.course.panels.live_curve import LiveCurve
from vtlearn.train.loop import train_steps


def steps(count):
    model = nn.Linear(3, 2)
    batches = [(torch.ones(4, 3), torch.tensor([0, 1, 0, 0]))] * count
    return train_steps(model, batches, optimizer=torch.optim.SGD(model.parameters(), lr=0.5))


def test_the_curve_stands_around_the_loop_and_changes_nothing():
    torch.manual_seed(0)
    plain = [step.loss for step in steps(7)]
    torch.manual_seed(0)
    curve = LiveCurve(every=3)
    pictures = []
    for step in curve.follow(steps(7)):
        pictures.append(bytes(curve.image.value))
        assert curve.points[-1] == (step.step, step.loss)
    assert [value for _, value in curve.points] == plain
    assert pictures[0] == pictures[1] == b"", "not drawn at every step"
    assert pictures[2].startswith(b"\x89PNG")
    assert len({pictures[2], pictures[5], bytes(curve.image.value)}) == 3
    assert f"step 7: loss {plain[-1]:.4f}" in curve.words.value
    bundle = curve._repr_mimebundle_()
    assert bundle["text/plain"] == curve.words.value
    assert bundle["image/png"]


def test_the_figure_shows_the_points():
    curve = LiveCurve("val_top1", momentum=0.0)
    for step, value in [(1, None), (2, 0.25), (3, None), (4, 0.5)]:
        curve.add({"step": step, "val_top1": value})
    (line,) = curve.figure().axes[0].lines
    assert list(zip(line.get_xdata(), line.get_ydata(), strict=True)) == [(2, 0.25), (4, 0.5)]


def test_steps_that_are_done_again_replace_the_lost_ones():
    curve = LiveCurve()
    for step, loss in [(1, 3.0), (2, 2.0), (3, 1.0), (2, 2.5), (3, 1.5)]:
        curve.add({"step": step, "loss": loss})
    assert curve.points == [(1, 3.0), (2, 2.5), (3, 1.5)]


def test_a_run_of_another_process_is_followed_to_its_end(tmp_path):
    def write():
        for step in range(1, 6):
            with (tmp_path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, "loss": 1 / step}) + "\n")
            time.sleep(0.02)
        (tmp_path / "result.json").write_text("{}")

    writer = threading.Thread(target=write)
    writer.start()
    curve = LiveCurve().watch(tmp_path, seconds=0.01)
    writer.join()
    assert curve.points == [(step, 1 / step) for step in range(1, 6)]
    assert LiveCurve().watch(tmp_path, until=2).points
