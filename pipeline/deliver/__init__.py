"""Runs one sink: batches, writes, settlements (``delivery.Delivery``)."""
