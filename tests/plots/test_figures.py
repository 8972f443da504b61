"""Pictures have reproducible bytes, fonts for all characters, no formulas, and are written completely or not at all."""

import io

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from rnnlm.errors import PlotError, SavingError
from rnnlm.plots import figures
from rnnlm.plots.labels import place_labels

CHINESE = "我昨天上学迟到了"
MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
needs_chinese = pytest.mark.skipif(
    figures.require_font_for([CHINESE]) is not None, reason="no installed font has Chinese (Debian: fonts-noto-cjk)"
)


def pixels(path):
    from matplotlib.image import imread

    return imread(io.BytesIO(path.read_bytes()))


def figure_with(text):
    figure, (axes,) = figures.new_figure(size=(3, 2))
    axes.set_title(text)
    return figure


@pytest.mark.parametrize("kind", figures.FORMATS)
def test_a_picture_has_the_same_bytes_every_time(kind, tmp_path):
    files = []
    for name in "ab":
        figure, axes = figures.new_figure(2, size=(6, 2))
        axes[0].plot([1, 2], [1e-3, 1e3])
        axes[0].set_yscale("log")
        axes[1].set_title(f"{CHINESE} $5")
        figures.save(figure, tmp_path / f"{name}.{kind}")
        files.append((tmp_path / f"{name}.{kind}").read_bytes())
    assert files[0] == files[1]
    assert files[0].startswith(MAGIC[kind])


@needs_chinese
def test_different_chinese_characters_give_different_pictures(tmp_path):
    """Boxes for missing characters would be the same."""
    seen = []
    for character in "我昨天":
        figures.save(figure_with(character), tmp_path / "a.png")
        seen.append(pixels(tmp_path / "a.png"))
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])


@needs_chinese
def test_chinese_is_drawn_in_every_text_of_a_figure(tmp_path, caplog):
    figure, (axes,) = figures.new_figure()
    axes.plot([1, 2, 3], [1, 2, 3])
    axes.set(xlabel="步", ylabel="损失", title="学习曲线")
    axes.set_xticks([1, 2, 3], list("我你他"))
    axes.annotate("昨天", (2, 2))
    figure.legend(axes.lines, ["验证"])
    figures.save(figure, tmp_path / "a.svg")  # a missing glyph would be a warning, which is an error here
    assert "does not have a glyph" not in caplog.text


def test_a_character_without_a_font_is_drawn_as_its_number_and_reported(tmp_path):
    unassigned = "\U000e1234"
    figure = figure_with(f"a{unassigned}b")
    figure.axes[0].set_xticks([0, 1], ["a", unassigned])
    figures.save(figure, tmp_path / "a.png")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", r"\U000e1234"]
    assert figure.axes[0].get_title() == r"a\U000e1234b"
    assert figures.require_font_for(["plain", "ASCII"]) is None
    assert figures.require_font_for([]) is None
    assert figures.require_font_for(["a\n\x1b b"]) is None  # `plain` replaces it


def test_a_package_with_fonts_is_suggested(monkeypatch):
    monkeypatch.setattr(figures, "_fonts", lambda: iter([]))
    figures._fonts_for.cache_clear()
    try:
        assert "apt install fonts-noto-cjk" in figures.require_font_for(["我", "昨天"])
        assert "我" in figures.require_font_for(["我"])
        assert "1 character is" in figures.require_font_for(["我"])
        assert "fonts-noto-core" in figures.require_font_for(["ก"])
        assert "fonts-symbola" in figures.require_font_for(["😀"])
    finally:
        figures._fonts_for.cache_clear()


@pytest.mark.parametrize(
    "text", ["$", "$5 and $6", r"\$ $\frac$", "^_{}", "a\nb\tc\x1b[31m", "_hidden", r"$\nonsense{$"]
)
def test_dollar_signs_are_not_read_as_formulas(text, tmp_path):
    figure = figure_with(figures.plain(text))
    figures.save(figure, tmp_path / "a.svg")
    shown, is_formula = figure.axes[0].title._preprocess_math(figures.plain(text))
    assert not is_formula
    assert shown == "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.gz", ".png", "-"])
def test_an_unknown_suffix_is_refused(name, tmp_path):
    with pytest.raises(PlotError, match=r"\.png, \.svg or \.pdf"):
        figures.save(figure_with("a"), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_pictures_of_every_format_may_be_replaced(tmp_path):
    for kind in figures.FORMATS:
        path = tmp_path / f"picture.{kind}"
        figures.save(figures.new_figure()[0], path)
        assert figures.check_picture(path) == kind


def test_a_failed_picture_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.PNG"
    figures.save(figure_with("a"), path)
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SavingError, match="No space left"):
        figures.save(figure_with("b"), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.PNG"]
    with pytest.raises(SavingError, match="cannot be written"):
        figures.save(figure_with("a"), tmp_path / "missing" / "a.png")


def test_without_matplotlib_the_remedy_is_named(without_matplotlib):
    for call in (figures.new_figure, lambda: figures.require_font_for(["我"])):
        with pytest.raises(PlotError, match=r"pip install 'rnnlm-cli\[plot\]'"):
            call()


def test_global_settings_are_not_changed(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.save(figure_with(CHINESE), tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before
    from matplotlib import pyplot

    assert not pyplot.get_fignums()


def test_labels_do_not_overlap_each_other_or_points(tmp_path):
    figure, (axes,) = figures.new_figure(size=(4, 3))
    rng = np.random.default_rng(1)
    points = rng.normal(size=(120, 2))
    axes.scatter(*points.T, s=1)
    left_out = place_labels(figure, axes, points, [f"w{place}" for place in range(len(points))])
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert 0 < left_out < 120
    assert len(boxes) == 120 - left_out
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    edge = axes.get_window_extent(renderer)
    dots = axes.transData.transform(points)
    for box in boxes:
        assert edge.contains(box.x0, box.y0)
        assert edge.contains(box.x1, box.y1)
        assert not any(box.contains(*dot) for dot in dots)
