"""The Ids of records that were stored before, by which duplicates are found."""
