"""What every test needs: one thread a worker, no network, and the repository's root."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# Set before any test imports torch or a Hugging Face library.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# The same examples every time, and no limit to their time on a busy machine.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, so that two workers end together (with ``--no-loadscope-reorder``)."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture
def traced_only(monkeypatch):
    """Compilation stops at the graph, which must be whole: seconds in place of half a minute."""
    import torch

    compiled = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda step, *, mode, **how: compiled(step, backend="eager", **how)
    )
    torch._dynamo.reset()


@pytest.fixture
def browser():
    """Chromium without a window; its log has what a page asked for."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs Debian's chromium and chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.binary_location = shutil.which("chromium")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    made = webdriver.Chrome(options, service)
    yield made
    made.quit()
