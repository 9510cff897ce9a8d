"""Pages that a command serves to a browser on the same machine."""
