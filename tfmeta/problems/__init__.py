"""Optimisation problems (optimizees): what a learned optimizer is trained and tested on."""
