"""The mutants: where they are, what they change, and which tests should notice."""

import json
from pathlib import Path
from typing import NamedTuple

from mutants.in_helpers import HELPERS
from mutants.in_notebooks import NOTEBOOKS

ROOT = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """One replacement of a text that occurs exactly once in its file, or in its notebook cell."""

    file: str
    old: str
    new: str
    tests: str  # what pytest is given
    cell: str = ""  # id of the cell, for a notebook
    part: str = "source"  # or another key of the cell: then the text is looked for in its JSON
    real: bool = False  # only the real data can tell
    alive: str = ""  # why no test can notice

    @property
    def name(self):
        return f"{self.file}{':' * bool(self.cell)}{self.cell}"

    @property
    def short(self):
        old, new = " ".join(self.old.split()), " ".join(self.new.split())
        same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
        start = max(0, same - 15)
        return f"{old[start : start + 45]!r} -> {new[start : start + 45]!r}"

    def broken(self):
        """Return the text of the whole file with the replacement made."""
        text = (ROOT / self.file).read_text(encoding="utf8")
        if not self.cell:
            return self._replaced(text)
        notebook = json.loads(text)
        cells = [cell for cell in notebook["cells"] if cell["id"] == self.cell]
        if len(cells) != 1:
            raise LookupError(f"{len(cells)} cells have the id {self.cell} in {self.file}")
        if self.part == "source":
            cells[0]["source"] = self._replaced("".join(cells[0]["source"]))
        else:
            dumped = json.dumps(cells[0][self.part], ensure_ascii=False)
            cells[0][self.part] = json.loads(self._replaced(dumped))
        return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"

    def _replaced(self, text):
        if (found := text.count(self.old)) != 1:
            raise LookupError(
                f"{self.name}: {self.old!r} occurs {found} times, not once. Has it been edited? "
                "Then choose the mutant anew in tests/mutants."
            )
        return text.replace(self.old, self.new)


def mutants():
    """Return all mutants."""
    found = [
        Mutant(file, old, new, tests, **dict(*more))
        for (file, tests), changes in HELPERS.items()
        for old, new, *more in changes
    ]
    for chapter, changes in NOTEBOOKS.items():
        file = next((ROOT / "notebooks").glob(f"{chapter}_*.ipynb")).relative_to(ROOT).as_posix()
        for cell, old, new, *more in changes:
            found.append(Mutant(file, old, new, **({"tests": file, "cell": cell} | dict(*more))))
    return found
