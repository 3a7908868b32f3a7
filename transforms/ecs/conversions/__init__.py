"""The named conversions of values that mapping tables refer to."""
