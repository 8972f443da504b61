"""Lines of a file or of a pipe that is still being written, as the commands that answer line by line read them."""

from collections.abc import Callable, Iterator

from rnnlm.cli.common import note
from rnnlm.errors import CorpusError


def encoding_note(name: str, encoding: str | None) -> Callable[[str], None]:
    """What says in which encoding a file is read, if that was guessed and is not UTF-8."""

    def say(codec: str) -> None:
        from rnnlm.text.encodings import note_on_encoding

        if encoding is None and (said := note_on_encoding(codec, name)) is not None:
            note(said)

    return say


def file_lines(
    path: str, encoding: str | None, before_waiting: Callable[[], None] = lambda: None
) -> Iterator[str | None]:
    """Lines of a file without their ends; None where a pipe has no more yet, see `lines.read_lines`."""
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
