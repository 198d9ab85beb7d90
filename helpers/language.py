"""What the checks say, in the learner's language: English, or another that `locale` has."""

import functools
import gettext
import io
import os
from pathlib import Path
from typing import Any

LOCALE = Path(__file__).parents[1] / "locale"


def language() -> str:
    """Return the language asked for: RNN_COURSE_LANGUAGE, or that of the notebook's folder."""
    here = Path.cwd().name
    return os.environ.get("RNN_COURSE_LANGUAGE") or (here if (LOCALE / here).is_dir() else "en")


@functools.cache
def catalogue(name: str) -> gettext.NullTranslations:
    """Return the translated messages of a language; English stays as it is."""
    path = LOCALE / name / "checks.po"
    if not path.is_file():
        return gettext.NullTranslations()
    import polib

    return gettext.GNUTranslations(io.BytesIO(polib.pofile(path).to_binary()))


def say(text: str, /, **values: Any) -> str:
    """Return a message in the learner's language; `values` fill its braces."""
    text = catalogue(language()).gettext(text)
    return text.format(**values) if values else text
