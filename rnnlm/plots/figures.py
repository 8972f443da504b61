"""Create and save matplotlib figures without global state, with fonts for every script, and with reproducible files.

To make a plot, call `new_figure`, draw on its axes, and call `save`. Texts of a user or a model must be passed through
`plain`, since matplotlib reads formulas between dollar signs. A text with a formula cannot have Chinese characters.
"""

import functools
import unicodedata
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlm.errors import PlotError
from rnnlm.sentences import Sentence
from rnnlm.storage.atomic import not_written, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
PANEL = (6.4, 3.6)  # width and height of one panel, in inches
DOTS_PER_INCH = 120
_BEGINNINGS = (b"\x89PNG", b"<?xml", b"<svg", b"<!DOCTYPE svg", b"%PDF")  # first bytes of files in FORMATS
# Metadata that would make two files of the same figure differ: the date, the version of the program.
_METADATA = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
_SETTINGS = {"svg.hashsalt": "rnnlm", "svg.fonttype": "path", "pdf.fonttype": 3, "text.usetex": False}
FIRST_FONT = "DejaVu Sans"  # included in matplotlib
# Fonts with Chinese, the most common first; they are tried before the others, of which there may be thousands.
_PREFERRED = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Microsoft YaHei"),
    *("Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Heiti SC", "Noto Sans CJK JP"),
    *("Droid Sans Fallback", "Arial Unicode MS", "Noto Sans CJK TC", "Noto Serif CJK SC", "SimSun", "AR PL UMing CN"),
)
# Packages of Debian and Ubuntu with a font, by the beginning of a character's Unicode name.
_PACKAGES = {
    ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH", "BOPOMOFO"): "fonts-noto-cjk"
}
_SYMBOL_PACKAGE, _OTHER_PACKAGE = "fonts-symbola", "fonts-noto-core"


def load_matplotlib() -> Any:
    """Import and return matplotlib.

    Raises:
        PlotError: It is not installed.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    except ImportError as error:
        raise PlotError(
            f"A picture needs the package matplotlib, which cannot be loaded ({error}). Install it with: pip install "
            "'rnnlm-cli[plot]'"
        ) from None
    return matplotlib


def new_figure(columns: int = 1, rows: int = 1, size: tuple[float, float] | None = None) -> "tuple[Figure, list[Axes]]":
    """Create a figure, and return it with its axes, row by row.

    size: Width and height in inches; None for PANEL times the number of columns and rows.

    Raises:
        PlotError: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    with matplotlib.rc_context(_SETTINGS):
        figure = matplotlib.figure.Figure(
            figsize=size or (PANEL[0] * columns, PANEL[1] * rows), dpi=DOTS_PER_INCH, layout="constrained"
        )
        matplotlib.backends.backend_agg.FigureCanvasAgg(figure)  # needed to measure the sizes of texts
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def check_picture(path: Path) -> str:
    """Return the format given by a file's suffix.

    Raises:
        PlotError: The format is not in FORMATS, or the file exists and is not an image.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        found = f"ends in {path.suffix}" if path.suffix else "has no suffix"
        raise PlotError(f"{path} {found}; a picture is a file whose name ends in .png, .svg or .pdf.")
    if not _may_be_replaced(path):
        raise PlotError(f"The picture would replace {path}, which is no picture. Choose another name or delete it.")
    return kind


def _may_be_replaced(path: Path) -> bool:
    """Return whether a file is missing, is empty, or begins like an image."""
    if not path.is_file():
        return True
    try:
        with path.open("rb") as file:
            begin = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:  # a file that cannot be read is probably not writable either, which `save` reports
        return True
    return not begin or begin.startswith(_BEGINNINGS)


def save(figure: "Figure", path: Path) -> None:
    """Write a figure in the format of the file's suffix, atomically.

    Characters that no installed font has are drawn as escapes.

    Raises:
        PlotError: The suffix is unknown, or the file exists and is not an image.
        SavingError: The file cannot be written.
    """
    path = Path(path)
    kind = check_picture(path)
    data = BytesIO()
    matplotlib = load_matplotlib()
    with matplotlib.rc_context({**_SETTINGS, "font.family": use_fonts(figure)}):
        figure.savefig(data, format=kind, metadata=_METADATA[kind])
    try:
        with replacing(path) as file:
            file.write(data.getbuffer())
    except OSError as error:
        raise not_written(path, error) from None


def use_fonts(figure: "Figure") -> list[str]:
    """Set fonts that have all characters of a figure's texts, and return their names.

    Characters that no font has become escapes. `save` calls this, too. Call it before measuring the size of a text.
    """
    from matplotlib.text import Text

    named = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) if _has_names(axis)]
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    characters = {c for text in texts for c in text.get_text()}
    for axis in named:
        characters.update(*axis.get_major_formatter().format_ticks(axis.get_majorticklocs()))
    families, missing = _fonts_for(frozenset(characters))
    if missing:
        for axis in named:
            _escape_names(axis, missing)
    for text in texts:
        if missing:
            text.set_text(_without(text.get_text(), missing))
        if text.get_fontfamily() in (["sans-serif"], [FIRST_FONT]):
            text.set_fontfamily(families)
    return families


def _has_names(axis: Any) -> bool:
    """Return whether the ticks of an axis have labels from a formatter, which writes them again at every drawing."""
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    return isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)


def _escape_names(axis: Any, missing: frozenset[str]) -> None:
    from matplotlib.ticker import FuncFormatter

    written = axis.get_major_formatter()
    axis.set_major_formatter(FuncFormatter(lambda value, place: _without(written(value, place), missing)))


def _without(text: str, missing: frozenset[str]) -> str:
    return "".join(_escape(c) if c in missing else c for c in text)


def plain(text: str) -> str:
    r"""Escape a text for matplotlib: dollar signs, so that they start no formula, and unprintable characters.

    >>> print(plain("a $5\tnote"))
    a \$5\tnote
    """
    seen = (c if c.isprintable() else _escape(c) for c in text)
    return "".join(r"\$" if c == "$" else c for c in seen)


def require_font_for(texts: Iterable[str]) -> str | None:
    """Return advice on what to install if no installed font has some characters of the texts, else None.

    Raises:
        PlotError: matplotlib is not installed.
    """
    load_matplotlib()
    _, missing = _fonts_for(frozenset(c for text in texts for c in text if c.isprintable()))
    if not missing:
        return None
    found = sorted(missing)
    shown = "".join(found[:10]) + ("..." if len(found) > 10 else "")
    packages = " ".join(sorted({_package(c) for c in found}))
    one, several = "{n} character is drawn as its number", "{n} characters are drawn as their numbers"
    return Sentence(
        "No installed font has {shown}: {drawn} in Unicode. Install a font that has them; on Debian and Ubuntu: apt "
        "install {packages}",
        shown=shown,
        drawn=Sentence(one if len(found) == 1 else several, n=f"{len(found):,}"),
        packages=packages,
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _package(character: str) -> str:
    name = unicodedata.name(character, "")
    for beginnings, package in _PACKAGES.items():
        if name.startswith(beginnings):
            return package
    return _SYMBOL_PACKAGE if unicodedata.category(character).startswith("S") else _OTHER_PACKAGE


@functools.lru_cache(maxsize=64)
def _fonts_for(characters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Return font families that together have the characters, and the characters that no font has."""
    missing = {c for c in characters if not c.isspace()}
    families: list[str] = []
    for name, path, index in _fonts():
        found = {c for c in missing if ord(c) in _coverage(path, index)} if missing else set()
        if found or name == FIRST_FONT:
            families.append(name)
        missing -= found
        if not missing:
            break
    return families, frozenset(missing)


def _fonts() -> Iterator[tuple[str, str, int]]:
    """Yield the name, file and index in the file of every upright font, in the order of preference.

    Fonts that were installed after matplotlib made its list are added to the list.
    """
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    yield from _ordered(manager.ttflist)
    before = len(manager.ttflist)
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                manager.addfont(path)
            except (RuntimeError, OSError, ValueError):  # FreeType cannot read the font
                continue
    yield from _ordered(manager.ttflist[before:])


def _ordered(entries: list[Any]) -> list[tuple[str, str, int]]:
    order = {name: place for place, name in enumerate((FIRST_FONT, *_PREFERRED))}

    def rank(entry: Any) -> tuple[int, bool, bool, str, str]:
        mathematical = entry.name.startswith(("cm", "STIX"))
        return order.get(entry.name, len(order)), mathematical, "Sans" not in entry.name, entry.name, entry.fname

    usable = [
        entry
        for entry in entries
        if entry.style == "normal"
        and entry.weight in (400, "normal", "regular", "book", "medium")
        and entry.size == "scalable"
        and not entry.name.startswith("Last Resort")  # a font with a box for every character
    ]
    return [(entry.name, entry.fname, getattr(entry, "index", 0)) for entry in sorted(usable, key=rank)]


@functools.lru_cache(maxsize=512)
def _coverage(path: str, index: int) -> frozenset[int]:
    """Return the code points of a font's characters."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path, face_index=index) if index else FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (RuntimeError, OSError, ValueError):  # the file is damaged or missing
        return frozenset()
