"""Audit records as a small organisation would cause them."""
