"""One file a service: its configuration, its command line, and how one sees that it is ready."""
