"""Answers out of a store of events: reports and searches, the period that they cover, and how they are written out."""
