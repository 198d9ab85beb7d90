"""Where this copy of the course stands in public, and the doors that open it there."""

import os
import re
import subprocess


def repository() -> str | None:
    """Return "owner/name" on GitHub, if the workflow or the git remote `origin` tells it."""
    if found := os.environ.get("GITHUB_REPOSITORY"):
        return found
    git = ["git", "remote", "get-url", "origin"]
    try:
        run = subprocess.run(git, capture_output=True, text=True)  # noqa: S603
    except OSError:  # no git
        return None
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", run.stdout.strip())
    return found and found[1]


def site(repository: str) -> str:
    """Return where GitHub Pages serves a repository."""
    owner, name = repository.split("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" + ("" if name.lower() == host else f"{name}/")


def doors(repository: str, page: str, notebook: str, language: str = "en") -> dict[str, str]:
    """Return where to read a page of the site, and where to run a notebook without installing."""
    part = "" if language == "en" else f"{language}/"
    found = {
        "Read": f"{site(repository)}{part}{page}.html",
        "Colab": f"https://colab.research.google.com/github/{repository}/blob/colab/notebooks/"
        f"{part}{notebook}.ipynb",
        "Codespaces": f"https://codespaces.new/{repository}",
    }
    if language == "en":  # Binder takes the main branch, and the others are made from it
        found["Binder"] = (
            f"https://mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/notebooks/"
            f"{notebook}.ipynb"
        )
    return found
