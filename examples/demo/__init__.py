"""`make demo`: both DAGs end to end on real parts, and one table of what that proved."""
