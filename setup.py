"""Install the texts in corpora/ as rnnlm/corpora/, which pyproject.toml cannot say."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TEXTS = sorted(Path("corpora").glob("*.txt"))


class BuildWithTexts(build_py):
    """Copies the texts beside the modules; an editable installation finds them in the clone."""

    def run(self):
        """Build as usual, and copy."""
        super().run()
        if not self.editable_mode:
            for text, copy in zip(TEXTS, self._copies(), strict=True):
                self.mkpath(str(copy.parent))
                self.copy_file(str(text), str(copy))

    def get_outputs(self, include_bytecode=1):
        """All files that are built."""
        return [*super().get_outputs(include_bytecode), *map(str, self._copies())]

    def _copies(self):
        return [Path(self.build_lib, "rnnlm", "corpora", text.name) for text in TEXTS]


setup(cmdclass={"build_py": BuildWithTexts})
