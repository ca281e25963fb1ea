"""Generated from proto/bandwatch/v1 by proto/generate.py: never edited."""
