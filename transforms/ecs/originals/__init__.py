"""The record's own fields under ``o365.audit``: names cleaned, shapes kept apart."""
