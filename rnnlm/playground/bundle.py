"""Bundle the page into one HTML file with its modules, style and pictures, so that it needs no server.

Browsers do not load modules from a disk, so each module becomes a function that returns its exports. Only the two forms
that the page's modules use are supported: `import { a, b } from "./x.js";` and `export` before a declaration.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) (\w+))", re.MULTILINE)
_STYLE = '<link rel="stylesheet" href="/static/style.css">\n'
_THEME = '<script src="/static/theme.js"></script>\n'
_APP = '<script type="module" src="/static/app.js"></script>\n'
_ICON = "/static/icon.svg"


def sources(folder: str) -> dict[str, str]:
    """Return the text of each file of a folder of this package, by its name."""
    files = resources.files("rnnlm.playground").joinpath(folder).iterdir()
    return {file.name: file.read_text(encoding="utf-8") for file in files if file.is_file()}


def joined(modules: Mapping[str, str], first: str) -> str:
    """Join a module and all modules that it imports into one script.

    >>> print(joined({"a.js": 'import { b } from "./b.js";\\nb();\\n', "b.js": "export function b() {}\\n"}, "a.js"))
    const modules = {};
    modules.b = (() => {
    function b() {}
    return { b };
    })();
    modules.a = (() => {
    const { b } = modules.b;
    b();
    return {  };
    })();
    <BLANKLINE>
    """
    written = {"": "const modules = {};\n"}

    def write(name: str) -> None:
        if name in written:
            return
        source = modules[f"{name}.js"]
        for found in _IMPORT.finditer(source):
            write(found[2])
        body = _IMPORT.sub(lambda found: f"const {{{found[1]}}} = modules.{found[2]};\n", source)
        exported = ", ".join(found[1] for found in _EXPORT.finditer(body))
        written[name] = f"modules.{name} = (() => {{\n{_EXPORT.sub('', body)}return {{ {exported} }};\n}})();\n"

    write(first.removesuffix(".js"))
    return "".join(written.values())


def page(data: Mapping[str, str]) -> str:
    """Return the page with a model inside that answers instead of a server; data: texts that it reads, by their ids.

    Its Content-Security-Policy allows exactly these scripts and this style, and no requests.
    """
    files, offline = sources("static"), sources("offline")
    modules = files | offline | {"server.js": offline["answers.js"]}
    theme, app, style = files["theme.js"], joined(modules, "app.js"), files["style.css"]
    policy = (
        f"default-src 'none'; script-src {_digest(theme)} {_digest(app)}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    icon = "data:image/svg+xml;base64," + base64.b64encode(files["icon.svg"].encode()).decode()
    blocks = [f'<script type="text/plain" id="{name}">{_harmless(text)}</script>\n' for name, text in data.items()]
    html = files["index.html"]
    html = html.replace('<meta charset="utf-8">\n', f'<meta charset="utf-8">\n{_policy(policy)}')
    html = html.replace(_ICON, icon)
    html = html.replace(_STYLE, f"<style>{style}</style>\n").replace(_THEME, f"<script>{theme}</script>\n")
    return html.replace(_APP, "".join(blocks) + f'<script type="module">{app}</script>\n')


def _policy(content: str) -> str:
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">\n'


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _harmless(text: str) -> str:
    r"""Escape < in strings of JSON as \u003c, so that the text cannot end the element around it."""
    return text.replace("<", r"\u003c")
