"""Files: checked as they are read, written whole or not at all, in folders that one process at a time writes to."""
