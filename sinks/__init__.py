"""Destinations: ``elasticsearch``, ``kafka``, ``syslog``, ``file``."""
