"""The vault measured beside restic: speed, processor time, memory, bytes, requests."""
