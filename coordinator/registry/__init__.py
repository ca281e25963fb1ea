"""What the coordinator knows: entities, sessions and migrations."""
