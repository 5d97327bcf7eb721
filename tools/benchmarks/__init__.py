"""What the benchmark programs measure, and the processes that they measure it in.

A program never measures itself. It starts a worker, a process of its own with the Python of its own
environment or the ranks of one `horovodrun`, and talks to it by one protocol: `asking` is the
program's side, `answering` the worker's. The modules of `jobs` are tfmeta's workers, those of
`rivals` the workers of others.
"""
