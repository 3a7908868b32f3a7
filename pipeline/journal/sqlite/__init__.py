"""The journal in one SQLite file; the only place of the engine that speaks SQL."""
