"""Credentials: app registrations, their secrets and certificates."""

from ualpipe.pipeline.credentials.options import Certificate, Credential

__all__ = ["Certificate", "Credential"]
