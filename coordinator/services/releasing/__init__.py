"""How a model becomes a release, and a release comes into force and back."""
