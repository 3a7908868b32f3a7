"""The work on a chunk of records, here (``processor.LocalProcessor``) or in worker processes: decode, transform, encode, compress."""
