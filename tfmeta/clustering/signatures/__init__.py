"""Signatures of tasks, one a file."""
