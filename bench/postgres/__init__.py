"""PostgreSQL's recovery measured beside its peers: seconds, megabytes, memory, and whether it is all back."""
