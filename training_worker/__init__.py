"""The training worker: teachers and students."""
