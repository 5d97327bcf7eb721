"""The pages of the documentation, and what is taken out of them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "BUILD.md", *sorted((ROOT / "docs").glob("*.md"))]


def names(pages):
    """The paths of pages from the root of the repository, for the names of tests."""
    return [str(page.relative_to(ROOT)) for page in pages]


def text_of(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str = "") -> list[str]:
    """The code blocks of a page in that language; by default those that name none."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def without_blocks(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """The lines of the code blocks that name no language, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(blocks(text)))
    return [re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines() if line.strip()]
