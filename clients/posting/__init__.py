"""Requests with bodies to one of several servers that do the same: what HTTP sinks send their events with."""
