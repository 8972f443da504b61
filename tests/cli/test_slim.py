"""A checkpoint without training state is smaller, gives equal answers and cannot be resumed."""

import pytest

import rnnlm as api
from rnnlm.errors import CheckpointError
from rnnlm.storage import checkpoint

LINES = ["我 昨天 上学 迟到 了 。", "老师 批评 了 我 。", "他 今天 没有 迟到 。"] * 20
SMALL = {"hidden_size": 16, "embedding_size": 8, "threads": 1, "epochs": 2, "progress": False}


@pytest.fixture
def model():
    return api.train(text=LINES, **SMALL)


def test_a_slim_file_is_smaller_and_answers_the_same(model, tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    model.save("rnnlm.npz")
    model.save("api.npz", slim=True)
    printed = rnnlm("export", "--to", "npz", "--slim")
    assert printed.out == ""
    assert "--resume cannot go on" in printed.err
    whole, slim = (tmp_path / name for name in ("rnnlm.npz", "rnnlm.slim.npz"))
    assert slim.read_bytes() == (tmp_path / "api.npz").read_bytes()
    assert slim.stat().st_size < 0.6 * whole.stat().st_size
    kept, all_arrays = checkpoint.load(slim)[1].keys(), checkpoint.load(whole)[1].keys()
    assert kept < all_arrays
    assert any(name.startswith("optimizer.") for name in all_arrays - kept)
    for line in LINES[:3]:
        assert api.load(slim).score(line).logprob_nats == api.load(whole).score(line).logprob_nats
    assert rnnlm("export", "--to", "npz", "--slim", "-m", slim, "-o", "again.npz").err.count("--resume") == 0
    assert (tmp_path / "again.npz").read_bytes() == slim.read_bytes()


def test_a_slim_file_cannot_be_resumed_but_started_from(model, tmp_path):
    model.save(tmp_path / "slim.npz", slim=True)
    with pytest.raises(CheckpointError, match="was saved without one"):
        api.train(text=LINES, resume=tmp_path / "slim.npz", progress=False)
    started = api.train(text=LINES, init_from=tmp_path / "slim.npz", threads=1, epochs=0.1, progress=False)
    assert started.network.config == model.network.config


@pytest.mark.parametrize("arguments", [["--to", "npz"], ["--to", "torch", "--slim"]])
def test_slim_needs_the_npz_format(arguments, rnnlm):
    assert "--slim and --to npz go together" in rnnlm("export", *arguments, code=2).err


def test_export_never_replaces_the_model_and_other_files_only_with_force(model, tmp_path, rnnlm):
    path = tmp_path / "m.npz"
    model.save(path)
    before = path.read_bytes()
    rnnlm("export", "--to", "npz", "--slim", "-m", path)
    for output, words in (("m.npz", "would replace the model"), ("m.slim.npz", "exists already")):
        said = rnnlm("export", "--to", "npz", "--slim", "-m", path, "-o", tmp_path / output, code=1).err
        assert words in said
    rnnlm("export", "--to", "npz", "--slim", "-m", path, "--force")
    assert path.read_bytes() == before
