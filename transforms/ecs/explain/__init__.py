"""Which row of the mapping tables made which field of a document."""
