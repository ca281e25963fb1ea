"""The commands of bandwatch."""
