"""Builds the stages of a config, starts them, watches them and ends the run (``runner.Runner``)."""
