"""Which exercises are done: judged right in this kernel or, says a small file, in one before."""

from contextlib import suppress
from pathlib import Path

from helpers import checks

FILE = Path("progress.txt").resolve()  # a name a line; a kernel starts in its notebook's folder
right_here = set()  # all that there is where nothing can be written


def kept() -> set[str]:
    """Return the names in the file; what is no exercise in there does no harm."""
    with suppress(OSError):
        return set(FILE.read_text(encoding="utf8", errors="replace").split())
    return set()


def note(exercise) -> None:
    """Remember that an exercise was judged right."""
    if name := next((n for n, record in checks.EXERCISES.items() if record is exercise), None):
        right_here.add(name)
        if name not in kept():
            with suppress(OSError), FILE.open("a", encoding="utf8") as file:
                file.write(f"\n{name}\n")  # at once, and apart from what another notebook writes


def progress() -> None:
    """Print which exercises of which chapter are done, and a line that can be handed in."""
    found, done = right_here | kept(), []
    for number, chapter in enumerate(checks.CHAPTERS, start=1):
        names = [n for n, record in vars(chapter).items() if checks.EXERCISES.get(n) is record]
        marks = {f"{number}.{k}": name in found for k, name in enumerate(names, start=1)}
        done += [k for k, right in marks.items() if right]
        print(f"chapter {number} ", *(f" {'✓' if m else '·'} {k}" for k, m in marks.items()))
    print(f"done {len(done)} of {len(checks.EXERCISES)}:", *done)
    if right_here - kept():
        print(f"{FILE.name} beside the notebook lacks some of them: save this line.")
