"""Every Python block of the README and of docs/ runs as it stands."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if "```python\n" in page.read_text(encoding="utf-8")
]

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which the pages ran, and what each raised."""
    folder = tmp_path_factory.mktemp("pages")
    program = Path(__file__).with_name("run_pages.py")
    # `tfmeta.init()` comes before TensorFlow's first operation.
    pages = sorted(PAGES, key=lambda page: "tfmeta.init()" not in page.read_text(encoding="utf-8"))
    result = subprocess.run(
        [sys.executable, program, folder, *pages], capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    return folder, json.loads(result.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(ran, page):
    _, raised = ran
    if importlib.util.find_spec("horovod") is None and "import horovod" in page.read_text("utf-8"):
        pytest.skip("Horovod is not installed; tools/build_horovod.py builds it")
    assert raised[str(page)] is None, raised[str(page)]


def test_the_example_of_the_readme_leaves_its_models(ran):
    folder, _ = ran
    assert (folder / "README" / "adapted.keras").exists()
    assert (folder / "README" / "adapted" / "saved_model.pb").exists()
