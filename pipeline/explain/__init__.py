"""Which rule made which field."""
