"""The programs that the benchmark runs side by side, each in an environment of its own."""
