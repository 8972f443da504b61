"""The PyTorch engine gives the same steps, optimizer slots and evaluations as NumPy, in one or more processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the engine on PyTorch needs it: pip install 'rnnlm-cli[torch]'")

from rnnlm.errors import CheckpointError, TrainingError
from rnnlm.nn.cells import CELLS
from rnnlm.nn.layers import dropout_mask
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.nn.outputs import LOSSES, OUTPUTS
from rnnlm.storage import checkpoint
from rnnlm.training.torch_engine import TorchEngine, TorchSettings
from rnnlm.training.torch_network import Dropout, Table
from rnnlm.training.torch_optimizer import RULES
from rnnlm.training.torch_segments import Segments
from tests.training import torch_cases as cases

HERE = Path(__file__).parent
CPU = torch.device("cpu")


def test_the_cases_cover_all_members_of_all_families():
    networks = [cases.network(options).config for options, *_ in cases.CASES.values()]
    assert {config.cell for config in networks} == set(CELLS)
    assert {config.activation for config in networks} == set(ACTIVATIONS)
    assert {config.output for config in networks} == set(OUTPUTS)
    _, optimizers, contexts, objectives = map(
        set, zip(*[("", *case[1:]) for case in cases.CASES.values()], strict=True)
    )
    assert optimizers == set(OPTIMIZERS) == set(RULES)
    assert contexts == {"stream", "sentence"}
    assert objectives == set(LOSSES)


def check(differences):
    assert differences.pop("clipped") > 0
    assert max(differences.values()) < 1e-8, differences


@pytest.mark.parametrize("name", cases.CASES)
def test_twenty_steps_agree_with_numpy(name):
    check(cases.compare(name, TorchEngine))


def test_single_precision_agrees_with_numpy():
    differences = cases.compare("lstm", TorchEngine, dtype=np.float32)
    assert max(differences["parameters"], differences["slots"], differences["results"]) < 1e-4


# --- state resets within a window ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_segments_hold_each_position_once_and_end_at_resets(rate):
    T, B = 11, 7
    keep = np.random.default_rng(8).random((T, B)) >= rate
    segments = Segments.of(keep, CPU)
    order, sizes = segments.order.numpy(), segments.sizes.numpy()
    assert sorted(order) == list(range(T * B))
    np.testing.assert_array_equal(order[segments.inverse.numpy()], np.arange(T * B))
    assert (np.diff(sizes) <= 0).all()
    places = np.split(order, np.cumsum(sizes)[:-1])  # positions of each time step
    for segment in range(sizes[0]):
        own = [step[segment] for step in places if segment < len(step)]
        times, columns = np.divmod(own, B)
        assert set(columns) == {segments.columns[segment].item()}
        np.testing.assert_array_equal(np.diff(times), 1)
        assert keep[times[1:], columns[1:]].all()  # no reset within the segment
        assert times[0] == 0 or not keep[times[0], columns[0]]  # a reset before it
        assert segments.carried[segment].item() == (times[0] == 0 and keep[0, columns[0]])
        if times[-1] == T - 1:
            assert segments.last[columns[0]].item() == segment


# --- options -------------------------------------------------------------------------------------------------------


def engine(settings=None, **options):
    return TorchEngine(cases.network(options, np.float32), "adam", "sentence", settings=settings)


def losses(settings=None, **options):
    return [result.nats for result in cases.steps(engine(settings, **options), "adam", "sentence")[0]]


def test_bf16_is_near_float32_but_differs():
    plain, rounded = losses(), losses(TorchSettings(precision="bf16"))
    assert rounded != plain
    np.testing.assert_allclose(rounded, plain, rtol=0.02)


def test_dropout_depends_on_the_key_and_has_an_effect():
    assert losses(dropout=0.3) == losses(dropout=0.3)
    assert losses(dropout=0.3) != losses()
    assert losses(dropout=0.3, locked_dropout=True) not in (losses(dropout=0.3), losses())
    assert losses(input_dropout=0.3) not in (losses(dropout=0.3), losses())
    assert losses(weight_dropout=0.3) not in (losses(embedding_dropout=0.3), losses())
    first, second = engine(dropout=0.5), engine(dropout=0.5)
    batch = cases.Batches(cases.text(), 5, 9, "sentence", seed=1).batch(0, 0)
    assert first.train_step(batch, None, 0.1, (1, 1))[0] != second.train_step(batch, None, 0.1, (1, 2))[0]


class NumpysDropout:
    """Dropout with the masks of NumPy's network in one thread, drawn from the same generator."""

    def __init__(self, network, inputs, T, rng):
        self.shape, self.rng = (1 if network.config.locked_dropout else T, inputs.shape[1]), rng
        self.read = iter([np.unique(ids) for ids in network.reads(inputs).values()])
        self.tables = network.tables

    def units(self, x, rate, segments=None):
        T, B = self.shape
        if not rate:
            return x
        mask = dropout_mask((T, B, x.shape[1]), rate, self.rng, np.float64)
        mask = torch.tensor(mask).expand(len(x) // B, B, -1).reshape(x.shape)
        return x * (mask if segments is None else mask.index_select(0, segments.order))

    def rows(self, rows, rate):
        """Drop entries of the rows that a direction reads; NumPy looks up no others."""
        if not rate:
            return rows
        places = np.searchsorted(self.tables["embedding.weight"].read.numpy(), read := next(self.read))
        mask = np.ones(rows.shape)
        mask[places] = dropout_mask((len(read), rows.shape[1]), rate, self.rng, np.float64)
        return rows * torch.tensor(mask)


@pytest.mark.parametrize("how", [{}, {"locked_dropout": True}, {"shared_input_dropout": True}], ids=str)
@pytest.mark.parametrize("options", [{}, {"embedding_size": 0}, {"bidirectional": True}], ids=str)
def test_losses_with_the_dropout_masks_of_numpy_agree(options, how):
    ours = cases.network(options, dropout=0.4, input_dropout=0.2, **how)
    theirs = TorchEngine(ours, "adam", "sentence").network
    two_sided = ours.config.bidirectional
    kind = cases.SentenceBatches if two_sided else cases.Batches
    arguments = (cases.text(), 5, 9, 1) if two_sided else (cases.text(), 5, 9, "sentence", 1)
    batch = kind(*arguments).batch(0, 1)
    T, columns = batch.inputs.shape
    loss, final, _ = ours.loss(
        batch.inputs, batch.targets, ours.zero_state(columns), batch.keep, np.random.default_rng(4)
    )
    reads = theirs.reads(batch.inputs)
    for name, table in theirs.tables.items():
        table.begin([ids for direction, ids in reads.items() if theirs.table_of(direction) == name])
    drop = NumpysDropout(theirs, batch.inputs, T - 2 * two_sided, np.random.default_rng(4))
    hidden, state = theirs.hidden(batch.inputs, theirs.zero_state(columns), batch.keep, drop)
    targets = (batch.targets[1:-1] if two_sided else batch.targets).reshape(-1)
    counted = np.flatnonzero(targets >= 0)
    found = theirs.losses(hidden[counted], targets[counted], "cross-entropy")
    assert found.nats.sum().item() == pytest.approx(loss.nats, rel=1e-12)
    np.testing.assert_allclose(state.detach().numpy(), final, rtol=1e-10, atol=1e-14)


def test_shared_input_dropout_drops_the_same_entries_of_equal_tokens():
    rows = Dropout((1, 2), (7, 6, slice(2, 5)), CPU).rows(torch.ones((50, 40), dtype=torch.float64), 0.5)
    assert set(rows.unique().tolist()) == {0.0, 2.0}
    assert len({row.numpy().tobytes() for row in rows}) == 50
    table, ids = Table(torch.ones((9, 40), dtype=torch.float64)), np.array([[1, 4], [4, 1], [8, 4]])
    table.begin([ids])
    drop = Dropout((1, 2), (3, 2, slice(0, 2)), CPU)
    read = table(ids, lambda rows: drop.rows(rows, 0.5))
    assert (read[1] == read[2]).all()
    assert (read[1] == read[5]).all()
    assert (read[0] == read[3]).all()
    assert len(read.unique(dim=0)) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_locked_dropout_drops_the_same_units_in_all_steps(packed):
    T, columns, own = 7, 6, slice(2, 5)
    keep = np.random.default_rng(8).random((T, 3)) >= 0.3
    segments = Segments.of(keep, CPU) if packed else None
    x = torch.ones((3 * T, 40), dtype=torch.float64)
    mask = Dropout((1, 2), (T, columns, own), CPU, locked=True).units(x, 0.5, segments)
    mask = (mask if segments is None else mask.index_select(0, segments.inverse)).view(T, 3, 40)
    assert (mask == mask[:1]).all()
    assert len({column.numpy().tobytes() for column in mask[0]}) == 3
    assert set(mask.unique().tolist()) == {0.0, 2.0}


def test_evaluation_uses_no_dropout():
    dropping = engine(dropout=0.5, input_dropout=0.5, weight_dropout=0.5, embedding_dropout=0.5)
    assert dropping.evaluate(cases.text()) == engine().evaluate(cases.text())


@pytest.mark.parametrize("name", ["lstm", "one-hot"])
def test_params_are_copies_and_can_be_restored(name):
    options = cases.CASES[name][0]
    one, other = engine(**options), engine(**options)
    cases.steps(one, "adam", "sentence", number=2)
    params, (count, slots) = one.params(), one.optimizer_state()
    kept = {key: array.copy() for key, array in (params | slots).items()}
    cases.steps(one, "adam", "sentence", number=2)
    other.restore(params, count, slots)
    assert cases.difference(params | slots, kept) == 0
    cases.steps(other, "adam", "sentence", number=2)
    assert cases.difference(other.params(), one.params()) == 0
    with pytest.raises(CheckpointError, match=r"mean\.output\.bias"):
        other.restore(params, count, {key: array for key, array in slots.items() if key != "mean.output.bias"})


def test_a_non_finite_gradient_changes_nothing():
    one = engine()
    broken = one.params()
    broken["output.weight"][3, 2] = np.inf
    one.restore(broken, *one.optimizer_state())
    (result, *_), _ = cases.steps(one, "adam", "sentence", number=1)
    assert not np.isfinite(result.gradient_norm)
    for name, array in one.params().items():
        np.testing.assert_array_equal(array, broken[name])
    assert one.optimizer_state()[0] == 0


def test_a_state_of_wrong_shape_is_refused():
    batch = cases.Batches(cases.text(), 5, 9, "sentence", seed=1).batch(0, 1)
    with pytest.raises(CheckpointError, match="without --resume"):
        engine().train_step(batch, np.zeros((2, 1, 5, 8)), 0.1, (1, 1))


def test_a_missing_device_is_refused():
    with pytest.raises(TrainingError, match="cuda:7 is not available"):
        engine(TorchSettings("cuda:7"))


def test_an_interrupted_evaluation_returns_none():
    text = np.tile(np.array([3, 4, 1], dtype=np.int32), 100)
    asked = iter([False, False, True, True, True])
    assert engine().evaluate(text, stop=lambda: next(asked)) is None
    assert engine().evaluate(text, stop=lambda: False)[1] == 300


# --- several processes, and moving between engines -----------------------------------------------------------------

SIZES = ["--hidden-size", "12", "--embedding-size", "6", "--bptt", "8", "--batch-size", "5", "--dropout", "0"]
OPTIONS = [*SIZES, "--schedule", "constant", "--warm-up", "0", "--threads", "1", "--valid-fraction", "0.2"]


def torchrun(processes, *arguments, code=0):
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    found = subprocess.run(
        [*launcher, str(HERE / "torch_cases.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == code, found.stderr
    return found.stderr


@pytest.fixture
def corpus(tmp_path):
    """Write sentences of a few words."""
    rng = np.random.default_rng(3)
    path = tmp_path / "corpus.txt"
    words = ["上学 迟到", "买 手机", "坏 了 ， 批评", "打算 换 一个 新 书包"]
    path.write_text("".join(f"{'我他'[rng.integers(2)]} {words[rng.integers(4)]} 。\n" for _ in range(430)))
    return str(path)


def training(path):
    return checkpoint.read_header(path)["training"]["state"]["progress"]


def test_two_processes_agree_with_one_and_trainings_move_between_engines(corpus, tmp_path, rnnlm):
    hopping, straight = str(tmp_path / "hopping.npz"), str(tmp_path / "straight.npz")
    begin = ["train", corpus, "-o", hopping, *OPTIONS, "--epochs", "2"]
    rnnlm(*begin)
    others = [
        ["train", corpus, "-o", hopping, "--resume", "--epochs", "4", "--threads", "1"],
        ["train", corpus, "-o", str(tmp_path / "timed.npz"), *SIZES, "--threads", "1", "--time", "1s"],
        [
            "train",
            corpus,
            "-o",
            str(tmp_path / "both.npz"),
            *SIZES,
            "--threads",
            "1",
            "--epochs",
            "1",
            "--bidirectional",
        ],
    ]
    said = torchrun(2, str(tmp_path / "found.json"), *map(json.dumps, others))
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["codes"] == [0, 0, 0]
    assert said.count("Best valid loss") == 3  # only the first process prints
    assert (found["largest"], found["of the first"]) == (1, 0)
    for differences in found["differences"].values():
        check(differences)
    np.testing.assert_allclose(found["dropout"], cases.dropout_run(TorchEngine), rtol=1e-10)
    assert training(tmp_path / "timed.npz")["finished"]
    rnnlm("train", corpus, "-o", hopping, "--resume", "--epochs", "6", "--threads", "1")
    rnnlm("train", corpus, "-o", straight, *OPTIONS, "--epochs", "6")
    assert training(hopping)["step"] == training(straight)["step"] > 300
    assert training(hopping)["best_nats_per_token"] == pytest.approx(
        training(straight)["best_nats_per_token"], rel=1e-4
    )
    parameters = [checkpoint.load(path)[1] for path in (hopping, straight)]
    assert cases.difference(*[{k: a for k, a in each.items() if k.startswith("rnn.")} for each in parameters]) < 1e-3


def test_four_processes_agree_with_one(tmp_path):
    torchrun(4, str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    for differences in found["differences"].values():
        check(differences)
    np.testing.assert_allclose(found["dropout"], cases.dropout_run(TorchEngine), rtol=1e-10)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_gives_an_error_and_a_checkpoint_to_resume(corpus, tmp_path, lost, rnnlm):
    path, undisturbed = str(tmp_path / "model.npz"), str(tmp_path / "undisturbed.npz")
    arguments = ["train", corpus, "-o", path, *OPTIONS, "--epochs", "3"]
    said = torchrun(2, str(lost), "37", json.dumps(arguments), code=1)
    assert "Error: One of the 2 workers is gone" in said
    assert f"{path} holds step 37. Go on with --resume." in said
    assert training(path)["step"] == 37
    rnnlm("train", corpus, "-o", path, "--resume", "--threads", "1")
    rnnlm("train", corpus, "-o", undisturbed, *OPTIONS, "--epochs", "3")
    assert training(path)["step"] == training(undisturbed)["step"]
    assert training(path)["best_nats_per_token"] == pytest.approx(
        training(undisturbed)["best_nats_per_token"], abs=1e-3
    )
