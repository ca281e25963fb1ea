"""What observers see: events, incidents, messages about them, and whether an observer itself is at fault."""
