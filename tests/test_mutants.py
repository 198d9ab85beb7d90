"""The catalogue of `make mutants`: every mutant still has its place, and breaks no grammar."""

import ast
import json
from collections import Counter

import pytest
from mutants.catalogue import ROOT, mutants
from mutants.in_helpers import HELPERS
from mutants.in_notebooks import NOTEBOOKS

CHAPTERS = sorted(path.name[:2] for path in (ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb"))


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in mutants()}))
def test_every_mutant_has_its_place(file):
    stored = (ROOT / file).read_text(encoding="utf8")
    for mutant in mutants():
        if mutant.file == file:
            broken = mutant.broken()  # raises if the text does not occur exactly once
            assert broken != stored
            (json.loads if mutant.cell else ast.parse)(broken)


def test_the_catalogue_is_large_and_has_nothing_twice():
    assert list(NOTEBOOKS) == CHAPTERS
    for chapter, changes in NOTEBOOKS.items():
        assert len(changes) >= 8, chapter
    assert sum(map(len, HELPERS.values())) >= 120
    assert max(Counter(mutants()).values()) == 1
