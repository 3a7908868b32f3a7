"""Destinations: ``elasticsearch``, ``kafka``, ``logstash``, ``syslog``, ``file``."""
