"""The work on a chunk of records, here or in worker processes: decode, transform, encode, compress (``processor.Processor``)."""
