"""The pages of docs/events: sample events of each workload, what becomes of them, and the public rules that read them.

``PYTHONPATH=tests python -m event_pages`` writes them from ``pages/*.yaml``. They stand with the tests and not in the
package: nobody who runs a pipeline needs them, the rules on them are checked by a test, and what reports show of a
sample is found by asking them.
"""
