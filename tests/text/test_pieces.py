"""Files of pieces made by other programs: tokenizing, joining, storing in a checkpoint."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.errors import TokenizerError
from rnnlm.model_header import tokenizer_from_header
from rnnlm.text.pieces import HUGGING_FACE, OPTIONS, SENTENCEPIECE, PieceTokenizer
from tests.pages import ROOT

SENTENCES = (ROOT / "corpora" / "english.txt").read_text(encoding="utf-8").splitlines()[:800]
KINDS = ["unigram", "bpe", "bytes", "lossless", "byte-level", "wordpiece"]


def sentencepiece_model(**options):
    spm = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    written = io.BytesIO()
    usual = {"vocab_size": 300, "hard_vocab_limit": False, "minloglevel": 2, "character_coverage": 0.98}
    spm.SentencePieceTrainer.train(sentence_iterator=iter(SENTENCES), model_writer=written, **(usual | options))
    return written.getvalue()


def hugging_face_model(kind):
    hf = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    if kind == "wordpiece":
        tokenizer = hf.Tokenizer(hf.models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = hf.normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = hf.pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = hf.decoders.WordPiece()
        trainer = hf.trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]"], show_progress=False)
    else:
        tokenizer = hf.Tokenizer(hf.models.BPE())
        tokenizer.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = hf.decoders.ByteLevel()
        alphabet = hf.pre_tokenizers.ByteLevel.alphabet()
        special = ["<s>", "</s>", "<unk>"]
        trainer = hf.trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer.to_str().encode("utf-8")


def file_of(kind):
    """Return the kind of a file and its content."""
    identity = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    options = {
        "unigram": {},
        "bpe": {"model_type": "bpe"},
        "bytes": {"byte_fallback": True},
        "lossless": {"byte_fallback": True, **identity},
    }
    if kind in options:
        return SENTENCEPIECE, sentencepiece_model(**options[kind])
    return HUGGING_FACE, hugging_face_model(kind)


@pytest.fixture(scope="module")
def made():
    """A function that returns a tokenizer by its kind, trained only once."""
    known = {}

    def make(kind):
        if kind not in known:
            known[kind] = PieceTokenizer(*file_of(kind))
        return known[kind]

    return make


LINES = [*SENTENCES[:4], "Zürich 我 昨天 \U0001f600 qxz", "two  spaces", "a<b", " ", ""]


def as_engine_writes(tokenizer, line):
    """Return the text of a line as the other program decodes its own pieces."""
    engine = tokenizer._engine
    return engine.decode(engine.cut(line)) if line else ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", LINES)
def test_pieces_are_joined_as_by_the_other_program(kind, line, made):
    tokenizer = made(kind)
    assert tokenizer.join(tokenizer.tokenize(line)) == as_engine_writes(tokenizer, line)


@pytest.mark.parametrize("kind", ["lossless", "byte-level"])
@given(line=st.text(st.characters(codec="utf-8", exclude_characters="\n\r\u2581"), max_size=30))
@settings(max_examples=60)
def test_any_line_survives_a_round_trip_without_normalisation(kind, line, made):
    tokenizer = made(kind)
    assert tokenizer.keeps_spaces
    marks = ("<unk>", "<s>", "</s>", "\0", "\ufffd", "\ue000")
    if not any(mark in line for mark in marks):
        assert tokenizer.join(tokenizer.tokenize(line)) == line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", LINES)
def test_spans_cover_a_line_in_order(kind, line, made):
    tokenizer = made(kind)
    tokens = tokenizer.tokenize(line)
    spans = tokenizer.spans(line, tokens)
    assert len(spans) == len(tokens)
    ends = [0, *(end for _, end in spans)]
    assert all(before <= start <= end for before, (start, end) in zip(ends, spans, strict=False))
    between = [line[before:start] for before, (start, _) in zip(ends, spans, strict=False)]
    assert "".join([*between, line[ends[-1] :]]).strip() == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_contains_the_file_of_pieces(kind, made):
    tokenizer = made(kind)
    header = json.loads(json.dumps({"name": tokenizer.name, "options": tokenizer.options()}))
    restored = tokenizer_from_header(header)
    assert restored.tokenize(SENTENCES[0]) == tokenizer.tokenize(SENTENCES[0])
    assert restored.settings() == tokenizer.settings()
    assert restored.adopt(tokenizer.options())
    assert not restored.adopt(tokenizer.options() | {"sha256": ""})


@pytest.mark.parametrize("kind", KINDS)
def test_marks_between_spaces_are_unk_or_removed(kind, made):
    tokenizer = made(kind)
    plain = tokenizer.tokenize("a new lamp")
    marked = tokenizer.tokenize("<s> a new lamp </s>")
    assert marked == plain
    tokens = tokenizer.tokenize("a <unk> new lamp")
    assert tokens.count("<unk>") == 1
    assert [token for token in tokens if token != "<unk>"] == plain
    assert tokenizer.join(tokens) == "a <unk> new lamp"
    line = "<s> a <unk> new lamp </s>"
    assert "<unk>" in [line[start:end] for start, end in tokenizer.spans(line, tokens)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_inventory_has_all_pieces_of_text_and_no_special_tokens(kind, made):
    inventory = made(kind).inventory()
    assert len(set(inventory)) == len(inventory) > 50
    assert not {"<s>", "</s>", "<unk>", "[UNK]", "[CLS]", ""} & set(inventory)
    used = {piece for line in SENTENCES for piece in made(kind).tokenize(line)}
    assert len(used & set(inventory)) > 50
    for token in used - set(inventory):  # unknown tokens contain a character that is in no piece
        assert any(character not in "".join(inventory) for character in token), token


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_unknown_text_is_a_token_as_written(kind, made):
    tokenizer = made(kind)
    assert "我" in tokenizer.tokenize("a 我 b")
    assert "我" not in tokenizer.inventory()


@pytest.mark.parametrize("kind", ["bytes", "byte-level"])
def test_a_character_of_several_tokens_is_written_when_complete(kind, made):
    tokenizer = made(kind)
    tokens = tokenizer.tokenize("x 我")
    pieces = list(tokenizer.pieces(tokens))
    assert [piece for piece in pieces if "我" in piece] == pieces[-1:]
    assert pieces[-3:-1] == ["", ""]
    spacing = tokenizer.spacing()
    assert len(tokens) >= 4
    for token, piece in zip(tokens, pieces, strict=True):
        assert spacing.piece(token) == piece  # without changing the state
        assert spacing.add(token) == piece


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"[1, 2]", b'{"model": 1}', b"\x00" * 50], ids=["empty", "text", "list", "json", "zeros"]
)
def test_other_files_are_refused_in_a_sentence(kind, content, tmp_path):
    pytest.importorskip(kind, reason=f"{kind} is not installed")
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=r"file is not a (model of SentencePiece|tokenizer\.json)") as caught:
        PieceTokenizer.read(path, kind)
    assert "\n" not in str(caught.value)


def test_a_file_for_the_other_option_is_refused_with_its_name(tmp_path, made):
    for kind, option in (("bpe", "--sentencepiece"), ("byte-level", "--tokenizer")):
        tokenizer = made(kind)
        path = tmp_path / kind
        path.write_bytes(tokenizer._file)
        other = next(each for each in OPTIONS if each != tokenizer.kind)
        with pytest.raises(TokenizerError, match=f"Give it as {option}"):
            PieceTokenizer.read(path, other)


@pytest.mark.parametrize(
    "changed", [{"file": "!"}, {"file": ""}, {"file": "eJw="}, {"file": 3}, {"pieces": "other"}, {"pieces": None}]
)
def test_damaged_options_of_a_checkpoint_are_refused(changed):
    with pytest.raises(TokenizerError, match="are damaged"):
        PieceTokenizer.from_options(PieceTokenizer(SENTENCEPIECE, b"anything").options() | changed)


def test_a_compressed_file_may_not_exceed_the_largest_file(monkeypatch):
    options = PieceTokenizer(SENTENCEPIECE, bytes(1000)).options()
    assert PieceTokenizer.from_options(options).settings()["sha256"] == options["sha256"]
    monkeypatch.setattr("rnnlm.text.pieces.LARGEST_FILE", 999)
    with pytest.raises(TokenizerError, match="are damaged"):
        PieceTokenizer.from_options(options)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_missing_package_is_named_with_the_remedy(kind, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, kind, None)
    path = tmp_path / "file"
    path.write_bytes(b"{}")
    with pytest.raises(TokenizerError, match=rf"package {kind}.*rnnlm-cli\[pieces\]"):
        PieceTokenizer.read(path, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_lowercase_gives_the_pieces_of_the_text_in_lower_case(kind):
    engine, file = file_of(kind)
    plain, lower = PieceTokenizer(engine, file), PieceTokenizer(engine, file, lowercase=True)
    for text in ("The Ferry LEFT at Noon", "<s> The <unk> Ferry"):
        tokens = lower.tokenize(text)
        assert tokens == plain.tokenize(text.lower())
        assert lower.spans(text, tokens) == plain.spans(text.lower(), tokens)
    assert "lowercase" not in plain.settings()
    assert tokenizer_from_header({"name": "token", "options": lower.options()}).lowercase
