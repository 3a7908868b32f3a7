"""The state directory: who has it, and the mark that tells whether the journal in it is the one that was left there."""
