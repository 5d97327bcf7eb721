"""What has been measured, kept so that a second start goes on where the first has stopped."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfmeta.errors import ArgumentError
from tfmeta.files import write_whole


class Results:
    """Results by name, in a file that is whole after every one of them.

    Args:
        path: The file; what it holds is known already.

    Raises:
        ValueError: It holds something else.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()  # results come from several threads
        self.known: dict[str, Any] = {}
        if path.exists():
            self.known = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(self.known, dict):
                raise ValueError(f"{path.name} holds no object")

    def settle(self, flag: str, value: Any) -> None:
        """Holds to a setting for all that is measured here, also in later starts.

        Raises:
            ArgumentError: what is known was measured with another value.
        """
        settled = self.known.setdefault("settings", {}).setdefault(flag, value)
        if settled != value:
            raise ArgumentError(
                flag,
                value,
                f"the results in {self.path.parent} were measured with {settled}; give that, or "
                "another --output_dir.",
            )

    def once(
        self, name: str, measure: Callable[..., Any], *arguments: Any, **keywords: Any
    ) -> None:
        """Measures what is not known yet."""
        if name not in self.known:
            print(f"{name} ...", flush=True)
            found = measure(*arguments, **keywords)
            with self._lock:
                self.known[name] = found
                write_whole(self.path, json.dumps(self.known))
