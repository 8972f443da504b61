"""N-best lists from files, folders of ESPnet, JSON and Python values."""

import json

import pytest

from rnnlm.errors import CorpusError, RnnlmError
from rnnlm.inference.list_files import lists_of, read_files
from rnnlm.inference.list_formats import FORMATS, BadLineError
from rnnlm.inference.nbest import OUTPUTS, output_lines, read_lists

OBJECTS = [
    {"id": "u1", "audio": "a.wav", "hypotheses": [{"text": "a b", "score": -1.5, "frames": [1, 2]}, {"text": "c"}]},
    {"hypotheses": [{"text": "", "score": 2}]},
    {"id": 7, "hypotheses": [{"text": "老师 d", "score": -1e-3}]},
]
LINES = [json.dumps(each, ensure_ascii=False) + "\n" for each in OBJECTS]


def texts_of(lists):
    return [[candidate.text for candidate in each.candidates] for each in lists]


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_a_line_of_json_is_a_list():
    lists = list(read_lists([f"\ufeff{LINES[0]}", *LINES[1:]], "json", "file"))
    assert texts_of(lists) == [["a b", "c"], [""], ["老师 d"]]
    assert [each.list_id for each in lists] == ["u1", "2", "7"]
    assert [c.incoming for each in lists for c in each.candidates] == [-1.5, 0, 2, -0.001]


def test_json_is_written_with_all_its_fields_and_the_scores():
    (found,) = read_lists(LINES[:1], "json", "file")
    places = {"ranked": [1, 0], "best": [1], "scores": [0, 1]}
    for output in OUTPUTS:
        (line,) = output_lines(found, FORMATS["json"], [1, 0], [-3.0, -2.0], [-4.5, -2.0], output)
        given, came = OBJECTS[0]["hypotheses"], json.loads(line)
        assert came["audio"] == "a.wav"
        scores = [{"logprob_nats": -3.0, "total_nats": -4.5}, {"logprob_nats": -2.0, "total_nats": -2.0}]
        assert came["hypotheses"] == [given[place] | scores[place] for place in places[output]]
        (again,) = read_lists([line], "json", "file")
        assert [c.incoming for c in again.candidates] == [[-1.5, 0.0][place] for place in places[output]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("the cat\n", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"id": "a"}\n', "no object with hypotheses"),
        ('["a"]\n', "no object with hypotheses"),
        ('{"hypotheses": []}\n', "no object with hypotheses"),
        ('{"hypotheses": ["a"]}\n', "'a' as hypothesis 1, which has no text"),
        ('{"hypotheses": [{"text": "a"}, {"score": 1}]}\n', "as hypothesis 2"),
        ('{"hypotheses": [{"text": "a\\nb"}]}\n', "one line of characters"),
        ('{"hypotheses": [{"text": "a\\ud800b"}]}\n', "one line of characters"),
        ('{"hypotheses": [{"text": "a", "score": "-1"}]}\n', "'-1' as the score of hypothesis 1"),
        ('{"hypotheses": [{"text": "a", "score": NaN}]}\n', "NaN is not a JSON number"),
        ('{"hypotheses": [{"text": "a", "score": 1e999}]}\n', "inf as the score"),
        ('{"hypotheses": [{"text": "a", "score": true}]}\n', "True as the score"),
        ('{"id": {}, "hypotheses": [{"text": "a"}]}\n', "the id {}"),
        ("a\udcff\n", "0xff"),
    ],
)
def test_a_bad_line_of_json_is_refused_or_passed_through(line, words):
    with pytest.raises(BadLineError, match="Line 2 of file ") as raised:
        list(read_lists([LINES[0], line], "json", "file"))
    assert words in str(raised.value)
    warnings = []
    lists = list(read_lists([LINES[0], line, "\n", None, LINES[2]], "json", "file", warnings.append))
    assert len(warnings) == 1
    assert [each and each.list_id for each in lists] == ["u1", None, None, None, "7"]
    assert lists[1].entries == [line]


# --- ESPnet ---------------------------------------------------------------------------------------------------------


def espnet(folder, lists, score="tensor({})".format):
    """Write lists as ESPnet's DatadirWriter does, in one folder for each rank."""
    for place in range(max(map(len, lists.values()))):
        there = folder / f"{place + 1}best_recog"
        there.mkdir(parents=True)
        with (there / "text").open("w") as text, (there / "score").open("w") as scores:
            for name, candidates in lists.items():
                if place < len(candidates):
                    print(name, candidates[place][0], file=text)
                    print(name, score(candidates[place][1]), file=scores)
    return folder


LISTS = {"u2": [("a b", -1.5), ("a", -2.0)], "u1": [("c d e", -3.25)], "u3": [("", -1.0), ("f", -2e-3), ("g", -3.0)]}


@pytest.mark.parametrize(
    "score", ["tensor({})".format, "{}".format, "tensor({}, device='cuda:0')".format, "tensor([{}])".format]
)
def test_folders_of_espnet_are_read(tmp_path, score):
    lists = list(lists_of(espnet(tmp_path / "out", LISTS, score), "espnet"))
    assert [each.list_id for each in lists] == ["u2", "u1", "u3"]
    for each, candidates in zip(lists, LISTS.values(), strict=True):
        assert [(c.text, c.incoming) for c in each.candidates] == candidates


def test_jobs_and_a_logdir_are_read_in_order(tmp_path):
    for job, name in [(1, "a"), (2, "b"), (10, "c")]:
        espnet(tmp_path / "logdir" / f"output.{job}", {name: [("x", -1.0), ("y", -2.0)]})
    for path in (tmp_path, tmp_path / "logdir"):
        assert [each.list_id for each in lists_of(path, "espnet")] == ["a", "b", "c"]
    (only,) = lists_of(tmp_path / "logdir" / "output.2", "espnet")
    assert only.list_id == "b"


def test_lists_of_espnet_are_written_in_kaldis_format(tmp_path):
    first, *_ = lists_of(espnet(tmp_path / "out", LISTS), "espnet")
    form = FORMATS["espnet"]
    out = {name: list(output_lines(first, form, [1, 0], [-4.0, -5.0], [0, 1], name)) for name in OUTPUTS}
    assert out == {
        "ranked": ["u2-2 a\n", "u2-1 a b\n"],
        "best": ["u2 a\n"],
        "scores": ["u2-1 4.000000\n", "u2-2 5.000000\n"],
    }
    (again,) = read_lists(out["ranked"], "kaldi", "file")
    assert (again.list_id, texts_of([again])) == ("u2", [["a", "a b"]])


def test_inconsistent_folders_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="no folder 1best_recog"):
        list(lists_of(tmp_path, "espnet"))
    folder = espnet(tmp_path / "out", LISTS)
    with pytest.raises(CorpusError, match="--format espnet"):
        list(lists_of(folder, "plain"))
    (folder / "2best_recog" / "text").write_text("u9 a\n")
    with pytest.raises(BadLineError, match=r"2best_recog/text has the id 'u9' where .*1best_recog/text has it not"):
        list(lists_of(folder, "espnet"))
    (folder / "2best_recog" / "text").write_text("u2 a\n")
    (folder / "2best_recog" / "score").write_text("u2 high\n")
    with pytest.raises(BadLineError, match="'high' as the score of 'u2'"):
        list(lists_of(folder, "espnet"))
    (folder / "2best_recog" / "score").write_text("u1 -1\n")
    with pytest.raises(BadLineError, match="has no score of 'u2'"):
        list(lists_of(folder, "espnet"))
    (folder / "2best_recog" / "score").unlink()
    (folder / "3best_recog" / "text").write_text("")
    assert [c.incoming for c in next(lists_of(folder, "espnet")).candidates] == [-1.5, 0]


# --- several files and Python values --------------------------------------------------------------------------------


def test_several_files_are_read_one_after_the_other(tmp_path):
    for name, text in [("a", "x\ny\n\nz\n"), ("b", "w\n")]:
        (tmp_path / name).write_text(text)
    found = [each for each in read_files([tmp_path / "a", tmp_path / "b"], "plain") if each is not None]
    assert texts_of(found) == [["x", "y"], ["z"], ["w"]]


def test_lists_can_be_python_values():
    given = [["a b", "c"], [("a", -1), ("b", -2.5)], {"id": 4, "hypotheses": [{"text": "d", "score": 3}, "e"]}]
    lists = list(lists_of(given))
    assert texts_of(lists) == [["a b", "c"], ["a", "b"], ["d", "e"]]
    assert [c.incoming for each in lists for c in each.candidates] == [0, 0, -1, -2.5, 3, 0]
    assert [each.list_id for each in lists] == ["1", "2", "4"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "lists is 5; expected a path"),
        ([["a"], "b c"], "List 2 is 'b c'"),
        ([["a", ("b", "high")]], "List 1 has the candidate"),
        ([[("b\nc", 1)]], "a text of one line"),
        ([[7]], "List 1 has the candidate 7"),
    ],
)
def test_other_python_values_are_refused(given, message):
    with pytest.raises(RnnlmError, match=message):
        list(lists_of(given))
    with pytest.raises(RnnlmError, match="format is 'xml'"):
        list(lists_of([], "xml"))
