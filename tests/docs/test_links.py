"""What the pages name is there: links, headings, files of the repository, flagfiles, flags."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "BUILD.md", *sorted((ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

# A path that begins with a folder or a file of the top.
PATH = re.compile(r"(?<![\w/.:-])(?:tfmeta|tools|flags|tests|docs)/[\w/.*-]*[\w/*]")


def text_of(page):
    return page.read_text(encoding="utf-8")


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 10240


@every_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@every_page
def test_files_that_are_named_exist(page):
    for path in PATH.findall(text_of(page)):
        assert list(ROOT.glob(path.rstrip("/"))), path


@every_page
def test_flagfiles_that_are_named_exist(page):
    for name in re.findall(r"--flagfile=(\w+)", text_of(page)):
        assert (ROOT / "flags" / f"{name}.flags").exists(), name


def test_the_readme_names_every_flagfile():
    named = text_of(ROOT / "README.md") + text_of(ROOT / "docs" / "learned_optimizers.md")
    for path in (ROOT / "flags").glob("*.flags"):
        assert f"`{path.stem}`" in named, path.stem


@every_page
def test_flags_that_are_named_are_defined(page):
    """Somewhere in tools/, or by another program than ours."""
    sources = "".join(text_of(path) for path in (ROOT / "tools").rglob("*.py"))
    others = {"flagfile", "help", "start-timeout"}  # absl's own, and horovodrun's
    others |= {"no-build-isolation", "no-cache-dir", "no-deps", "global-option"}  # pip's
    others |= {"tf_xla_persistent_cache_directory", "tf_xla_persistent_cache_device_types"}  # XLA's
    for name in re.findall(r"(?<![\w-])--(\w[\w-]*)", text_of(page)):
        defined = re.search(rf'"(?:--)?(?:{name}|{name.removeprefix("no")})"', sources)
        assert name in others or defined, name
