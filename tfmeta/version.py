"""The version of tfmeta; setup.py reads it from here."""

VERSION = "0.1.0"
