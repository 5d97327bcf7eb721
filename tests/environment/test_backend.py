"""Another backend of Keras's is refused when tfmeta is imported, before Keras is."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.programs


def imported(program, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_is_refused_without_importing_it(backend):
    program = "import sys\ntry:\n  import tfmeta\nfinally:\n  print('keras' in sys.modules)"
    finished = imported(program, KERAS_BACKEND=backend)
    assert finished.stdout.strip() == "False"
    assert f"KERAS_BACKEND={backend}: tfmeta differentiates" in finished.stderr


def test_the_backend_of_the_settings_file_is_seen(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert "KERAS_BACKEND=jax" in imported("import tfmeta", KERAS_HOME=str(tmp_path)).stderr
    variables = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    assert imported("import tfmeta", **variables).returncode == 0
