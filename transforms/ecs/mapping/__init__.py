"""Mapping tables: read, compiled to one function, or interpreted row by row."""
