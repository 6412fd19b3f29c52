"""The browser for the pages: Debian's chromium, driven by playwright.

Where there is none these tests are skipped; with PIPELINE_TEST_BROWSER=required, as in CI, they fail instead.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_HELP = "no chromium on the PATH: on Debian and Ubuntu, apt-get install chromium"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a chromium."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found:
        return found
    if os.environ.get("PIPELINE_TEST_BROWSER") == "required":
        pytest.fail(_HELP)
    pytest.skip(_HELP)


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A chromium, with its sandbox unless the user is root."""
    home: Path = tmp_path_factory.mktemp("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=os.geteuid() != 0, env={**os.environ, "HOME": str(home)}
        )
        yield browser
        browser.close()
