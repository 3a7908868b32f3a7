"""Lists again what sources have, and compares it with what the journal knows."""
