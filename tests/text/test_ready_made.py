import pytest

from rnnlm.text.ready_made import advice

LINE = "a company said it would not sell the shares that were bought last year"


@pytest.mark.parametrize(
    "line",
    [
        "mr. <unk> sold u.s. N shares",
        "the <UNK> came",
        "a well @-@ known 1 @,@ 000",
        "the ferr@@ y cro@@ ss@@ ed",
        "▁the ▁ferr y ▁cross ed .",
        "the ferr ##y cross ##ed",
        "the</w> low er</w>",
        "Ġthe Ġferry",
    ],
)
def test_tokenized_text_gets_one_sentence_of_advice(line):
    found = advice(f"{LINE}\n{line}\n" * 20)
    assert found is not None
    assert "--level token" in found
    assert "\n" not in found


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{LINE}\n" * 100,
        "write to me@example.com, @someone or @@, or see ## Title and <unknown>\n" * 50,
        "我昨天上学迟到了，老师批评了我。\n" * 50,
        f"{LINE}\n" * 1000 + "an <unk> in a long text\n" * 6,
        "if (a[i] == '@') { b = a @ c; }  # comment ##\n" * 50,
    ],
)
def test_other_texts_get_no_advice(text):
    assert advice(text) is None


@pytest.mark.real_text
def test_real_texts_get_no_advice(data_dir):
    for path in data_dir.glob("*.txt"):
        assert advice(path.read_text("utf-8")) is None
