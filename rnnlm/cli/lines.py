"""Read the lines of a file, or of a pipe that is still being written, for commands that answer line by line."""

from collections.abc import Callable, Iterator

from rnnlm.cli.printing import note
from rnnlm.errors import CorpusError


def encoding_note(name: str, encoding: str | None) -> Callable[[str], None]:
    """Return a function that prints the detected encoding of a file, unless it was given or is UTF-8."""

    def say(codec: str) -> None:
        from rnnlm.text.encodings import note_on_encoding

        if encoding is None and (said := note_on_encoding(codec, name)) is not None:
            note(said)

    return say


def file_lines(
    path: str, encoding: str | None, before_waiting: Callable[[], None] = lambda: None
) -> Iterator[str | None]:
    """Yield the lines of a file without their ends, and None when a pipe has no more yet (see `text.lines.read_lines`).

    Raises:
        CorpusError: a line is damaged, such as by a wrong encoding.
    """
    from rnnlm.text.lines import damage, read_lines
    from rnnlm.text.sources import open_sources

    with open_sources([path], live=True) as sources:
        for source in sources:
            place = 0
            for line in read_lines(source, encoding, encoding_note(source.name, encoding), before_waiting):
                if line is None:
                    yield None
                    continue
                place += 1
                if (found := damage(line)) is not None:
                    raise CorpusError(
                        f"Line {place} of {source.name}: {found}. Name the text's encoding, such as --encoding "
                        "gb18030, big5 or cp1252, or mend the text there."
                    )
                text = line.removeprefix("\ufeff") if place == 1 else line
                yield text.removesuffix("\n").removesuffix("\r")
