"""Runs one source: lists it, chooses what to fetch next, fetches it, backs off (``collector.Collector``)."""
