"""The input line of `rnnlm chat`, drawn by prompt_toolkit, with candidates below it that change with every key."""

import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnlm.cli.character_charts import bar
from rnnlm.cli.colors import SURPRISE
from rnnlm.cli.languages import tr
from rnnlm.cli.tables import shortened, visible
from rnnlm.cli.wrapping import display_width

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyBindings

    from rnnlm.draft import Draft, Reading
    from rnnlm.results import Continuation

KEYS = "Tab take   ↑ ↓ mark another   Enter the model goes on   Ctrl-D end"
LONGEST_LINE = 2_000  # characters
LONGEST_TOKEN, WIDEST_BAR, NARROWEST_BAR = 24, 30, 4
BEFORE_TOKEN = 10  # columns of the mark and the probability before a candidate
MOST_ROWS = 6  # rows that a long input line may take

Fragments = list[tuple[str, str]]


class Answer(NamedTuple):
    """A typed line, or how the input ended.

    is_whole: whether the user took the line's end as a candidate, so the model adds nothing. ended_by: number of a
    signal, 0 for Ctrl-D, None for a typed line.
    """

    line: str
    is_whole: bool = False
    ended_by: int | None = None


class TypedLine:
    """The model's reading of the line that is being typed, and which candidate is marked."""

    def __init__(self, draft: "Draft", k: int) -> None:
        """Begin with an empty line."""
        self._draft, self._k = draft, k
        self._text: str | None = None
        self._reading: Reading | None = None
        self._marked = 0

    def read(self, text: str) -> "Reading":
        """Return the model's reading of the text, cached for the same text; a new text marks its first candidate."""
        if self._reading is None or text != self._text:
            self._text, self._reading, self._marked = text, self._draft.read(text, self._k), 0
        return self._reading

    def mark(self, step: int, text: str) -> None:
        """Move the mark by `step` candidates; it wraps around at both ends."""
        if found := self.read(text).continuations:
            self._marked = (self._marked + step) % len(found)

    def marked(self, text: str) -> "Continuation | None":
        """Return the marked candidate; None if there are no candidates."""
        found = self.read(text).continuations
        return found[self._marked] if found else None

    def candidates(self, text: str, columns: int) -> Fragments:
        """Return the candidates with their probabilities and bars, one row each, for `columns` columns."""
        found = self.read(text).continuations
        cells = [shortened(visible(each.tokens[0]), LONGEST_TOKEN) for each in found]
        widest = max(map(display_width, cells), default=0)
        room = min(columns - BEFORE_TOKEN - widest - 3, WIDEST_BAR)
        rows: Fragments = []
        for place, (each, cell) in enumerate(zip(found, cells, strict=True)):
            style = "bold" if place == self._marked else ""
            drawn = bar(each.probability, 1.0, room) if room >= NARROWEST_BAR else ""
            space = " " * (widest - display_width(cell) + 2)
            mark = "▸" if place == self._marked else " "
            end = "" if place == len(found) - 1 else "\n"
            rows += [(style, f"{mark} {each.probability:6.4f}  {cell}{space}"), ("class:bar", drawn + end)]
        return rows

    # --- the interface of prompt_toolkit's lexers -----------------------------------------------------------------

    def lex_document(self, document: Any) -> Callable[[int], Fragments]:
        """Return a function of the line number that gives the line, each token in the colour of its surprise."""
        colored = [(style_of(piece.bits), piece.text) for piece in self.read(document.text).as_typed]
        shown = colored or [("", document.text)]  # a line of spaces alone has no pieces
        return lambda number: shown if number == 0 else []

    def invalidation_hash(self) -> None:
        """Return None: the colours depend on the text alone."""


def style_of(bits: float) -> str:
    """Return the prompt_toolkit style of a token with a surprise of `bits`."""
    return next((style for least, _, style in SURPRISE if bits >= least), "")


def ask_line(draft: "Draft", k: int, colors: bool) -> Answer:
    """Let the user type a line, with the k candidates of a draft below it; erase the drawing afterwards.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    from prompt_toolkit.buffer import Buffer

    line, buffer = TypedLine(draft, k), Buffer(multiline=False)
    app = _application(line, buffer, colors)
    before = signal.signal(signal.SIGTERM, lambda number, frame: app.exit(Answer("", ended_by=number)))
    try:
        return app.run()
    finally:
        signal.signal(signal.SIGTERM, before)


def _application(line: TypedLine, buffer: "Buffer", colors: bool) -> "Application[Answer]":
    """Return the application that draws the line and the candidates and handles keys."""
    from prompt_toolkit.application import Application
    from prompt_toolkit.input import create_input
    from prompt_toolkit.layout import BufferControl, Dimension, FormattedTextControl, HSplit, Layout, Window
    from prompt_toolkit.output import ColorDepth, create_output
    from prompt_toolkit.styles import Style

    output = create_output(sys.__stdout__)  # sys.stdout is our Terminal, which would escape the control sequences

    def columns() -> int:
        return output.get_size().columns

    def prompt(number: int, wrapped: int) -> Fragments:
        return [("bold", "> " if not wrapped else "  ")]

    typed = Window(
        BufferControl(buffer, lexer=line),  # TypedLine has the methods of a lexer
        height=Dimension(min=1, max=MOST_ROWS),
        wrap_lines=True,
        dont_extend_height=True,
        get_line_prefix=prompt,
    )
    candidates = FormattedTextControl(lambda: line.candidates(buffer.text, columns()))
    keys = FormattedTextControl([("class:keys", tr(KEYS))])
    body = HSplit([typed, Window(candidates, dont_extend_height=True), Window(keys, height=1)])
    return Application(
        Layout(body, typed),
        key_bindings=_keys(line, buffer),
        style=Style([("bar", "ansicyan"), ("keys", "ansibrightblack")]),
        input=create_input(sys.__stdin__),
        output=output,
        color_depth=ColorDepth.DEPTH_4_BIT if colors else ColorDepth.DEPTH_1_BIT,
        erase_when_done=True,
    )


def _keys(line: TypedLine, buffer: "Buffer") -> "KeyBindings":
    """Return the key bindings other than those for editing the line."""
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.keys import Keys

    def insert(text: str) -> None:
        buffer.insert_text(text[: max(0, LONGEST_LINE - len(buffer.text))])

    def take(event: Any) -> None:
        buffer.cursor_position = len(buffer.text)
        found = line.marked(buffer.text)
        if found is not None and found.text == "\n":
            event.app.exit(Answer(buffer.text, is_whole=True))
        elif found is not None:
            insert(found.text)

    def end(event: Any) -> None:
        if buffer.cursor_position == len(buffer.text):
            event.app.exit(Answer("", ended_by=0))
        else:
            buffer.delete()

    doing: dict[Any, Callable[[Any], None]] = {
        "tab": take,
        "up": lambda event: line.mark(-1, buffer.text),
        "down": lambda event: line.mark(1, buffer.text),
        "enter": lambda event: event.app.exit(Answer(buffer.text)),
        "c-d": end,
        "c-c": lambda event: event.app.exit(exception=KeyboardInterrupt()),
        "<sigint>": lambda event: event.app.exit(exception=KeyboardInterrupt()),
        Keys.BracketedPaste: lambda event: insert(" ".join(event.data.split())),
        Keys.Any: lambda event: insert("".join(filter(str.isprintable, event.data))),
    }
    keys = KeyBindings()
    for key, do in doing.items():
        keys.add(key)(do)
    return keys
