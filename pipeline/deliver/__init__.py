"""Runs one sink: batches for it, writes, settlements (``delivery.Delivery``)."""
