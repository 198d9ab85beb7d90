"""A headless Chromium for the tests of JupyterLab and of the site: `make test-browser`."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="session")
def chromium():
    """Start the browser that is installed, once."""
    if CHROMIUM is None:
        pytest.exit(
            "These tests need Chromium: `apt-get install chromium` on Debian, or the path of"
            " any: CHROMIUM=/path/to/a/chromium make test-browser.",
            returncode=1,
        )
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=root)
        yield browser
        browser.close()
