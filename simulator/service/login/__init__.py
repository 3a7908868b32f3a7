"""The login endpoint: secrets and certificates in, access tokens out."""
