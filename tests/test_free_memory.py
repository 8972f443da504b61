"""Free memory is the minimum of machine, container and process; larger needs are refused with a remedy."""

import sys

import pytest

from rnnlm import free_memory as memory
from rnnlm.errors import RnnlmError


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_free_memory_of_the_machine_is_known():
    assert 0 < memory._machine() < 2**60


@pytest.mark.parametrize(
    ("known", "free"),
    [((3, None, None), 3), ((3, 2, None), 2), ((3, 2, 1), 1), ((3, 5, 9), 3), ((None, None, None), None)],
)
def test_the_minimum_counts_and_unknown_values_are_ignored(known, free, monkeypatch):
    for name, value in zip(("_machine", "_container", "_process"), known, strict=True):
        monkeypatch.setattr(memory, name, lambda value=value: value)
    assert memory.free_bytes() == free


@pytest.mark.parametrize(
    ("limit", "used", "cached", "left"),
    [("1000", "400", 0, 600), ("1000", "400", 100, 700), ("1000", "1200", 0, 0), ("max", "400", 0, None)],
)
def test_a_container_has_the_rest_of_its_limit(limit, used, cached, left, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text(used + "\n")
    (tmp_path / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\n")
    assert memory._container() == left


def test_without_a_container_there_is_no_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory._container() is None


def test_the_limit_of_the_address_space_counts():
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        pytest.skip("the limit is lowered already")
    resource.setrlimit(resource.RLIMIT_AS, (2**50, hard))
    try:
        assert 2**49 < memory._process() < 2**50
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_a_need_beyond_the_free_memory_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 5 * 10**9)
    memory.require_memory(5e9, "This", "Use less.")
    with pytest.raises(RnnlmError, match=r"This needs about 5\.1 GB of memory; 5\.0 GB is free\. Use less\."):
        memory.require_memory(5.1e9, "This", "Use less.")
    monkeypatch.setattr(memory, "free_bytes", lambda: None)
    memory.require_memory(1e30, "This", "Use less.")


def test_a_huge_network_is_refused_in_one_sentence_before_training(tmp_path, rnnlm):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("我 昨天 上学\n" * 50, encoding="utf-8")
    arguments = ["train", str(corpus), "-o", str(tmp_path / "m.npz"), "--hidden-size", "65536", "--num-layers", "100"]
    assert "of memory" in rnnlm(*arguments, code=1).err
    assert [each.name for each in tmp_path.iterdir() if each.name != "cache"] == ["corpus.txt"]
