"""What this service does, one task per file. A task knows its effects and no other task."""
