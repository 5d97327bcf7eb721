"""What tools/benchmark_clusters.py measures, computes from it, and draws."""
