"""The simulated service: HTTP, log-in, listing, content, faults."""
