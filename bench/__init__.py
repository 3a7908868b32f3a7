"""Benchmarks: ``python -m bench``. Every figure stands beside the orjson floor measured in the same run."""
