"""An event as a row of typed columns: what stores of events have in common (an archive of Parquet files, a database)."""
