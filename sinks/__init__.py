"""Destinations: ``elasticsearch``, ``kafka``, ``splunk_hec``, ``syslog``, ``file``."""
