"""Destinations: ``elasticsearch``, ``file``, ``http``, ``kafka``, ``logstash``, ``sentinel``, ``splunk_hec``, ``syslog``."""
