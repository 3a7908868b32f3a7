"""What people are told of a running pipeline: its log, how much waits, sums that differ."""
