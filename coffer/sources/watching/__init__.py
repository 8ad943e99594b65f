"""Ships new files within seconds, between points: inotify, and full scans for what inotify missed."""
