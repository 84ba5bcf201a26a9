"""Files appear whole or not at all."""

import pytest

from vtlearn.files import write_json, write_text, written_aside


def test_a_block_that_raises_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = write_text(tmp_path / "log.txt", "old")

    def stop_halfway():
        with written_aside(path) as aside:
            aside.write_text("half of the n")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stop_halfway()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["log.txt"]


def test_the_old_file_is_there_until_the_block_ends(tmp_path):
    path = write_text(tmp_path / "log.txt", "old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
        assert aside.parent == path.parent
    assert path.read_text() == "new"


def test_what_has_no_form_in_json_is_refused_before_anything_is_written(tmp_path):
    path = write_json(tmp_path / "deep" / "facts.json", {"a": [1, None]})
    with pytest.raises(TypeError):
        write_json(path, {"a": {1, 2}})
    assert path.read_text() == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'


def test_line_ends_are_kept(tmp_path):
    assert write_text(tmp_path / "a.csv", "x\r\ny\n").read_bytes() == b"x\r\ny\n"
