"""Rules of the architecture: which unit may import which, who may print, and what is loaded when.

The rules are data below; the checker reads the source with `ast` without running it. Each rule is
tested on a small package that breaks it, to show that it can find something.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rnnlm import names

PACKAGE = Path(__file__).parent.parent / "rnnlm"

# A unit is a module or a subpackage directly in rnnlm. It may import itself and the rows below its
# own, but no other unit of its own row. The package itself (`__init__`: LanguageModel, RnnlmError) is
# below cli, so that no lower unit imports through `from rnnlm import ...`.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("__init__",),
    ("api",),
    ("plots",),
    ("lab", "playground"),
    ("comparison", "tuned_rescoring"),
    ("mixing", "exchange", "description", "draft", "hints", "surprisal", "training"),
    ("language_model",),
    ("decoding",),
    ("lattices",),
    ("text_session",),
    ("blanks", "explanation", "ranked_lists", "stored_model", "scorer", "scored_lines"),
    ("completion",),
    ("model_header",),
    ("codec",),
    ("rendering",),
    ("results",),
    ("candidate_reader",),
    ("network_with_ngram",),
    ("inference", "baselines"),
    ("nn", "text"),
    ("storage",),
    ("foreign", "blas", "free_memory", "schema"),
    ("errors", "json_values", "names", "sentences"),
)
# Packages that are slow to start or optional are imported inside the function that needs them.
LAZY = {
    "jieba", "rjieba", "pypinyin", "torch", "matplotlib", "starlette", "uvicorn", "onnx", "safetensors", "tqdm",
    "sentencepiece", "tokenizers", "prompt_toolkit",
}  # fmt: skip
PARTS_ON_TORCH = ("cells", "engine", "network", "optimizer", "segments")
# Modules about PyTorch may import torch at the top, but are themselves imported inside functions.
ABOUT_TORCH = {
    f"rnnlm.training.{name}" for name in ("devices", "distributed", *(f"torch_{part}" for part in PARTS_ON_TORCH))
}
CLI_ONLY = {"click": ("cli",), "tqdm": ("cli", "api")}
# The standard library's `random` is a global generator as well.
GLOBAL_RANDOMNESS = {"random"}
NUMPY_GENERATORS = {
    "BitGenerator", "Generator", "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "SeedSequence",
    "default_rng",
}  # fmt: skip
PRINTS_OR_EXITS = {
    "print", "exit", "quit", "SystemExit", "sys.exit", "sys.stdout", "sys.stderr",
    "os._exit", "os.abort",
}  # fmt: skip
# The values of an option are listed in names.py only, and what they name in the family's registry. Other tables
# of cells are not allowed either: properties of a cell belong to its description.
FAMILIES = {family: set(members) for family, members in vars(names).items() if family.isupper()}
TABLES_OF_CELLS = {"rnnlm.nn.cells", "rnnlm.training.torch_cells"}

MOST_LINES = 450  # in a file
MOST_LINES_OF_A_FUNCTION = 60
# Longer functions, to be shortened. Remove an entry when it is shortened; add none.
TOO_LONG = {
    "rnnlm.api: train",
}


class Import(NamedTuple):
    target: str  # full name of the module
    line: int
    at_top: bool  # runs when the module is loaded


class Module(NamedTuple):
    name: str  # such as rnnlm.nn.cells
    unit: str  # such as nn
    lines: int
    tree: ast.Module
    imports: list[Import]


def read_package(folder: Path) -> dict[str, Module]:
    """Return every module of a package by its full name."""
    paths = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    modules = {}
    for name, path in paths.items():
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        unit = name.split(".")[1] if "." in name else "__init__"
        imports = list(read_imports(tree, package, set(paths)))
        modules[name] = Module(name, unit, source.count("\n"), tree, imports)
    return modules


def read_imports(tree: ast.Module, package: str, known: set[str]) -> Iterator[Import]:
    at_top = set(map(id, nodes_at_top(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            # `from rnnlm import errors` imports a module, `from rnnlm import RnnlmError` a name
            targets = [
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base
                for alias in node.names
                if alias.name != "__version__"  # __version__ belongs to no unit
            ]
        else:
            continue
        for target in targets:
            yield Import(target, node.lineno, id(node) in at_top)


def nodes_at_top(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes that run on import: outside functions and `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from nodes_at_top(child)


def violations(folder: Path) -> list[str]:
    """Return a line for every violation of a rule in the package."""
    modules = read_package(folder)
    found = [*wrong_directions(modules), *cycles(modules), *commands_of_commands(modules)]
    for module in modules.values():
        listed = [] if module.name == "rnnlm.names" else lists_of_names(module)
        found += [f"{module.name}:{line}: {what}" for line, what in (*wrong_in(module), *listed)]
    return found


def wrong_directions(modules: dict[str, Module]) -> Iterator[str]:
    row_of = {unit: row for row, units in enumerate(LAYERS) for unit in units}
    for module in modules.values():
        if module.unit not in row_of:
            yield f"{module.name}: has no place in LAYERS"
            continue
        for target, line, _ in module.imports:
            if target not in modules:
                continue
            unit = modules[target].unit
            if unit != module.unit and row_of.get(unit, -1) <= row_of[module.unit]:
                yield f"{module.name}:{line}: imports {target}, which is not below it"


def cycles(modules: dict[str, Module]) -> Iterator[str]:
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield "cycle: " + " -> ".join([*path[path.index(name) :], name])
        elif name not in finished:
            for target in sorted({found.target for found in modules[name].imports} & set(modules)):
                yield from visit(target, (*path, name))
            finished.add(name)

    for name in modules:
        yield from visit(name, ())


def commands_of_commands(modules: dict[str, Module]) -> Iterator[str]:
    """Yield commands that import another command; the package of a group may import its own commands."""
    commands = {name for name, module in modules.items() if module.unit == "cli" and has_command(module.tree)}
    for name in commands:
        for target, line, _ in modules[name].imports:
            if target in commands - {name} and not target.startswith(f"{name}."):
                yield f"{name}:{line}: imports {target}, another command"


def has_command(tree: ast.Module) -> bool:
    decorators = [mark for node in tree.body if isinstance(node, ast.FunctionDef) for mark in node.decorator_list]
    names = [dotted(mark.func) for mark in decorators if isinstance(mark, ast.Call)]
    return any(name.endswith((".command", ".group")) for name in names)


def too_long(modules: dict[str, Module]) -> Iterator[str]:
    """Yield files and functions (without decorators) that are too long."""
    for module in modules.values():
        if module.lines > MOST_LINES:
            yield module.name
        for node in ast.walk(module.tree):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function and node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION:
                yield f"{module.name}: {node.name}"


def wrong_in(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and message of everything that a module may not do."""
    for target, line, at_top in module.imports:
        package = target.partition(".")[0]
        if package in LAZY and at_top and (package != "torch" or module.name not in ABOUT_TORCH):
            yield line, f"imports {package} when it is loaded"
        if target in ABOUT_TORCH and at_top and module.name not in ABOUT_TORCH:
            yield line, f"imports {target}, and torch with it, when it is loaded"
        if module.unit not in CLI_ONLY.get(package, (module.unit,)):
            yield line, f"imports {package}, which only cli does"
        if package in GLOBAL_RANDOMNESS:
            yield line, f"imports {package}, randomness arrives as a Generator"
    for node in ast.walk(module.tree):
        name = dotted(node)
        if name in PRINTS_OR_EXITS and module.unit not in ("cli", "__main__"):
            yield node.lineno, f"{name}: only cli prints or exits"
        legacy = name.removeprefix("np.random.").removeprefix("numpy.random.")
        if legacy != name and legacy.partition(".")[0] not in NUMPY_GENERATORS:
            yield node.lineno, f"{name} is global randomness"
        if isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            for alias in node.names:
                if alias.name not in NUMPY_GENERATORS:
                    yield node.lineno, f"numpy.random.{alias.name} is global randomness"


def lists_of_names(module: Module) -> Iterator[tuple[int, str]]:
    """Yield places where a module lists a whole family of names, or several cells."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
            entries = node.keys if isinstance(node, ast.Dict) else node.elts
            found = {entry.value for entry in entries if isinstance(entry, ast.Constant)}
            for family, members in FAMILIES.items():
                if members <= found and not isinstance(node, ast.Dict):
                    yield node.lineno, f"lists {family}, which names.py does"
            if len(found & FAMILIES["CELLS"]) > 1 and module.name not in TABLES_OF_CELLS:
                yield node.lineno, "is a table of cells, whose descriptions are in nn/cells"


def dotted(node: ast.AST) -> str:
    """Return "a.b.c" for the expression a.b.c, otherwise ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := dotted(node.value)):
        return f"{inner}.{node.attr}"
    return ""


def test_the_package_follows_the_rules():
    assert violations(PACKAGE) == []


def test_only_listed_files_and_functions_are_too_long():
    """Entries of TOO_LONG must still be too long."""
    assert set(too_long(read_package(PACKAGE))) == TOO_LONG


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("pass\n" * 450, []),
        ("pass\n" * 451, ["rnnlm.a"]),
        ("@d\ndef f():\n" + "    pass\n" * 59, []),
        ("def f():\n" + "    pass\n" * 60, ["rnnlm.a: f"]),
        ("class A:\n    async def f():\n" + "        pass\n" * 60, ["rnnlm.a: f"]),
    ],
)
def test_long_files_and_functions_are_found(tmp_path, source, expected):
    assert list(too_long(read_package(build(tmp_path, {"a.py": source})))) == expected


ORDERLY = {
    "__init__.py": "def __getattr__(name):\n    from rnnlm.language_model import LanguageModel\n",
    "__main__.py": "import sys\nfrom rnnlm.cli import main\nsys.exit(main())\n",
    "errors.py": "class RnnlmError(Exception): ...\n",
    "storage/checkpoint.py": "from ..errors import RnnlmError\n",
    "language_model.py": "from rnnlm import __version__\nfrom rnnlm.storage import checkpoint\nfrom .text import t\n",
    "cli/__init__.py": "import sys\nimport click\nfrom rnnlm import LanguageModel\nprint(1)\n",
    "cli/train.py": "import click\nfrom rnnlm.cli.texts import bar\n@click.command()\ndef train(): ...\n",
    "cli/texts.py": "def bar():\n    from tqdm import tqdm\n",
    "cli/lab/__init__.py": "from rnnlm.cli.lab import memory\n@click.group()\ndef lab(): ...\n",
    "cli/lab/memory.py": "@click.command('memory', short_help='')\ndef memory(): ...\n",
    "nn/__init__.py": "from rnnlm.nn.cells import x\n",
    "nn/cells.py": "import numpy as np\nrng = np.random.default_rng(0)\nfrom . import layers\n",
    "nn/layers.py": "from numpy.random import Generator\n",
    "playground/server.py": "from rnnlm.language_model import LanguageModel\n",
    "text/t.py": "if TYPE_CHECKING:\n    import jieba\ndef cut():\n    import jieba\n",
    "training/trainer.py": "from rnnlm.nn.cells import x\nlog.print('not the built-in one')\n",
}


def build(folder: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        path = folder / "rnnlm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return folder / "rnnlm"


def test_an_orderly_package_violates_no_rule(tmp_path):
    assert violations(build(tmp_path, ORDERLY)) == []


@pytest.mark.parametrize(
    ("place", "source", "sentence"),
    [
        # imports go down only
        ("nn/cells.py", "import rnnlm.cli", "imports rnnlm.cli, which is not below it"),
        ("nn/cells.py", "from rnnlm.text.t import x", "imports rnnlm.text.t, which is not below"),
        ("nn/cells.py", "from ..text import t", "imports rnnlm.text.t, which is not below it"),
        ("storage/checkpoint.py", "from rnnlm.text import t", "imports rnnlm.text.t, which is not"),
        ("nn/cells.py", "from .. import LanguageModel", "imports rnnlm, which is not below it"),
        ("nn/cells.py", "def f():\n    import rnnlm.training.trainer", "imports rnnlm.training"),
        ("errors.py", "from rnnlm.storage import checkpoint", "imports rnnlm.storage.checkpoint, which is not"),
        ("inference/a.py", "import rnnlm.language_model", "imports rnnlm.language_model, which is"),
        ("training/b.py", "import rnnlm.playground.server", "imports rnnlm.playground.server, which is"),
        ("language_model.py", "import rnnlm.training.trainer", "imports rnnlm.training.trainer"),
        ("language_model.py", "import rnnlm.playground.server", "imports rnnlm.playground.server"),
        ("__init__.py", "from rnnlm.cli import main", "rnnlm:1: imports rnnlm.cli, which is not"),
        ("utils.py", "", "rnnlm.utils: has no place in LAYERS"),
        ("nn/cells.py", "import rnnlm.utils", "imports rnnlm.utils, which is not below it"),
        ("api.py", "def f():\n    from rnnlm.cli.texts import bar", "imports rnnlm.cli.texts, which is not"),
        # two commands share code in a third module
        ("cli/lab/memory.py", "@lab.command()\ndef f():\n    from rnnlm.cli.train import x", "another command"),
        ("cli/eval.py", "from . import train\n@click.command()\ndef e(): ...", "cli.eval:1: imports rnnlm.cli.train"),
        # no import cycles
        ("nn/layers.py", "from rnnlm.nn.cells import x", "cycle: rnnlm.nn.cells -> rnnlm.nn.layers"),
        ("nn/layers.py", "def f():\n    from . import cells", "cycle: rnnlm.nn.cells -> "),
        ("nn/layers.py", "import rnnlm.nn", "cycle: rnnlm.nn -> rnnlm.nn.cells -> rnnlm.nn.layers"),
        # only cli prints or exits
        ("training/b.py", "print(1)", "rnnlm.training.b:1: print: only cli prints or exits"),
        ("training/b.py", "import sys\nsys.exit(1)", "b:2: sys.exit: only cli"),
        ("training/b.py", "def f():\n    raise SystemExit", "b:2: SystemExit: only cli"),
        ("training/b.py", "sys.stderr.write('')", "sys.stderr: only cli"),
        ("training/b.py", "import click", "imports click, which only cli does"),
        ("training/b.py", "def f():\n    from tqdm import tqdm", "imports tqdm, which only cli"),
        # random generators are arguments
        ("nn/layers.py", "np.random.seed(0)", "np.random.seed is global randomness"),
        ("nn/layers.py", "numpy.random.rand(2)", "numpy.random.rand is global randomness"),
        ("nn/layers.py", "from numpy.random import rand", "numpy.random.rand is global randomness"),
        ("nn/layers.py", "import random", "imports random, randomness arrives as a Generator"),
        # the names of a family are listed once
        ("cli/a.py", "x = ['mse', 'cross-entropy']", "a:1: lists LOSSES, which names.py does"),
        ("training/b.py", "RATES = {'lstm': 1, 'gru': 2}", "b:1: is a table of cells"),
        # heavy packages are loaded where they are needed
        *((place, f"import {name}.part", f"imports {name} when it is loaded")
          for name in sorted(LAZY) for place in ["cli/a.py", "text/a.py"]),
        ("text/a.py", "try:\n    import torch\nexcept ImportError: ...", "imports torch when it"),
        ("text/a.py", "class A:\n    from torch import nn", "imports torch when it is loaded"),
        ("training/b.py", "import rnnlm.training.torch_engine", "b:1: imports rnnlm.training.torch_engine, and torch"),
    ],
)  # fmt: skip
def test_every_rule_finds_its_violation(tmp_path, place, source, sentence):
    files = ORDERLY | {"utils.py": ""} if "rnnlm.utils" in source else ORDERLY
    found = violations(build(tmp_path, files | {place: source}))
    assert any(sentence in line for line in found), found


def test_starting_the_command_line_loads_no_heavy_package():
    program = (
        "import json, sys\n"
        "from rnnlm.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    loaded = set(json.loads(done.stderr))
    assert "Usage" in done.stdout
    assert "rnnlm.cli" in loaded
    assert loaded & (LAZY - {"tqdm"}) == set()
