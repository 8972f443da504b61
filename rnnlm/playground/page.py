"""The files of the page. They are read once, when the server starts; paths of requests never open files."""

from importlib import resources
from typing import NamedTuple

TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


class PageFile(NamedTuple):
    """A file of the page: the path at which it is served, its content and its media type."""

    path: str
    content: bytes
    media_type: str


def page_files() -> list[PageFile]:
    """Read every file of the page."""
    files = []
    for file in resources.files("rnnlm.playground").joinpath("static").iterdir():
        if file.is_file():
            path = "/" if file.name == "index.html" else f"/static/{file.name}"
            media_type = TYPES.get("." + file.name.rpartition(".")[2], "application/octet-stream")
            files.append(PageFile(path, file.read_bytes(), media_type))
    return files
