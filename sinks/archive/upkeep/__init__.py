"""What is done to an archive beside writing events: small files are merged, old days removed, tenants erased; one at a time."""
