"""What operators ask of a journal: status, duplicates, accounts, replay, audit, backup."""
