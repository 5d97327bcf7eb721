"""How a binary refuses input."""


def assert_refused(result, *parts):
    """One sentence on standard error with these parts, status 2, and nothing else."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for part in parts:
        assert part in result.stderr
