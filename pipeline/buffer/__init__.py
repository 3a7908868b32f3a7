"""Prepared batches between collector and deliveries, in memory and spilled to disk (``batch_buffer.BatchBuffer``)."""
