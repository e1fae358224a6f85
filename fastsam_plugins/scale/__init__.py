"""Data sets that are segmented as a whole, on one machine or on many."""
