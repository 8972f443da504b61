"""Files of other kinds given as a model are recognised and refused with a remedy."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest

from rnnlm import cli
from rnnlm.foreign import is_arpa, known_form
from rnnlm.language_model import LanguageModel

TEXT = "the town of Sandry\n" * 40
KENLM = b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(range(256)) * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text and its model; tests must not change them."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    model = ["-o", str(folder / "m.npz"), "--arpa", str(folder / "m.arpa")]
    assert cli.run(["ngram", "train", str(folder / "text.txt"), "--order", "2", *model]) == 0
    return folder


def saved_by_numpy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


# Content, description, and words of the remedy.
FILES = {
    "lm.binary": (KENLM, "binary file of KenLM", "Give the ARPA file"),
    "lm.arpa": (KENLM, "binary file of KenLM", "Give the ARPA file"),
    "lm.npz": (KENLM, "binary file of KenLM", "Give the ARPA file"),
    "lm.binary.gz": (gzip.compress(KENLM), "binary file of KenLM", "Give the ARPA file"),
    "srilm.lm": (b"SRILM_BINARY_NGRAM_001\n\0\1\2", "binary file of SRILM", "-write-lm"),
    "irstlm.lm": (b"iARPA\n\n\\data\\\nngram 1=3\n", "file of IRSTLM", "compile-lm"),
    "text.txt": (TEXT.encode(), "text", "rnnlm train"),
    "text.npz": ("我 昨天 上学\n".encode("gb18030") * 9, "text", "rnnlm train"),
    "text.txt.gz": (gzip.compress(TEXT.encode()), "text", "rnnlm train"),
    "utf16.txt": (TEXT.encode("utf-16"), "UTF-16", "iconv"),
    "pickle.pt": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "pickle", "torch.save"),
    "array.npy": (saved_by_numpy(), "single array of NumPy", "rnnlm import"),
    "keras.h5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5", "rnnlm import"),
    "llama.gguf": (b"GGUF\3\0\0\0", "GGUF", "rnnlm import"),
    "m.onnx": (b"\x08\x08\x12\x05rnnlm\x1a\x050.4.0", "ONNX", "exported from"),
    "pointer.npz": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS", "git lfs pull"),
    "page.arpa": (b"\n<!DOCTYPE html>\n<html>", "web page", "Download"),
    "m.vocabulary.json": (b'{\n "format": "rnnlm vocabulary",\n', "vocabulary of an exported model", "weights beside"),
    "text.xz": (b"\xfd7zXZ\0\0\4", "compressed by xz", "xz -dk"),
    "empty.npz": (b"", "empty", "another copy"),
    "noise.npz": (bytes(range(256)) * 9, "not a checkpoint", "rnnlm train"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_foreign_file_is_named_by_every_option_for_a_model(folder: Path, tmp_path: Path, name: str, rnnlm):
    content, what, remedy = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    model = ["-m", folder / "m.npz"]
    said = [
        rnnlm("score", "-m", path, "--text", "the town", code=1).err,
        rnnlm("info", path, code=1).err,
        rnnlm("score", *model, "--mix", f"{path}:0.5", "--text", "the town", code=1).err,
        rnnlm("eval", folder / "text.txt", *model, "--baseline", path, code=1).err,
        rnnlm("train", folder / "text.txt", "--init-from", path, "-o", tmp_path / "new.npz", code=1).err,
    ]
    if "binary" in what or "IRSTLM" in what:
        said.append(rnnlm("import", path, "-o", tmp_path / "new.npz", code=1).err)
    for each in said:
        assert str(path) in each
        assert what in each
        assert remedy in each


def test_a_folder_is_refused_with_the_model_in_it(folder: Path, tmp_path: Path, rnnlm):
    said = rnnlm("score", "-m", folder, "--text", "the town", code=1).err
    assert "a folder" in said
    assert str(folder / "m.arpa") in said
    assert "there is none" in rnnlm("info", tmp_path, code=1).err


def test_weights_of_other_programs_get_a_hint_to_import(tmp_path: Path, rnnlm):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.numpy")
    torch.save({"a": torch.zeros(3)}, tmp_path / "whole.pt")
    (tmp_path / "m.safetensors").write_bytes(safetensors.save({"a": np.zeros(3)}))
    for name, what in (("whole.pt", "PyTorch"), ("m.safetensors", "safetensors")):
        said = rnnlm("score", "-m", tmp_path / name, "--text", "the town", code=1).err
        assert what in said
        assert f"rnnlm import {tmp_path / name}" in said


def test_exported_files_of_rnnlm_are_recognised(folder: Path, tmp_path: Path, rnnlm):
    pytest.importorskip("onnx")
    small = ["--preset", "tiny", "--epochs", "1", "--threads", "1"]
    rnnlm("train", folder / "text.txt", *small, "-o", tmp_path / "n.npz")
    for to, what in (("onnx", "ONNX"), ("torch", "PyTorch"), ("safetensors", "safetensors")):
        output = tmp_path / f"n.{to}"
        rnnlm("export", "-m", tmp_path / "n.npz", "--to", to, "-o", output)
        assert what in rnnlm("score", "-m", output, "--text", "the town", code=1).err
    assert "weights beside" in rnnlm("score", "-m", tmp_path / "n.vocabulary.json", "--text", "a", code=1).err


def test_models_of_rnnlm_are_not_foreign(folder: Path, data_models: list[Path]):
    assert known_form(folder / "m.npz") is None
    assert known_form(folder / "m.arpa") is None
    assert data_models
    for path in data_models:
        assert known_form(path) is None
        assert not is_arpa(path)
        LanguageModel.load(path)


@pytest.fixture
def data_models() -> list[Path]:
    return sorted((Path(__file__).parent / "data").rglob("*.npz"))


def test_a_model_is_recognised_whatever_its_name(folder: Path, tmp_path: Path):
    for source, name in (("m.npz", "m.arpa"), ("m.npz", "m"), ("m.arpa", "m.npz"), ("m.arpa", "m.txt")):
        (tmp_path / name).write_bytes((folder / source).read_bytes())
        assert is_arpa(tmp_path / name) is (source == "m.arpa")
        assert LanguageModel.load(tmp_path / name).kind == "ngram"


def test_missing_files_are_reported_as_missing(tmp_path: Path, rnnlm):
    for name in ("none.npz", "none.arpa", "none", "none.lm.gz"):
        assert f"{name} does not exist" in rnnlm("score", "-m", tmp_path / name, "--text", "a", code=1).err


def test_json_that_is_not_a_vocabulary_is_called_a_text(tmp_path: Path, rnnlm):
    (tmp_path / "history.jsonl").write_text(json.dumps({"step": 1}) + "\n")
    assert "a text" in rnnlm("score", "-m", tmp_path / "history.jsonl", "--text", "a", code=1).err
