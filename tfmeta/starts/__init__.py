"""Starts: what a task begins with, one a file."""

from tfmeta.starts.base import Start
from tfmeta.starts.clustered import SharedAcrossClusters
from tfmeta.starts.per_cluster import PerCluster
from tfmeta.starts.shared import Shared

__all__ = ["PerCluster", "Shared", "SharedAcrossClusters", "Start"]
