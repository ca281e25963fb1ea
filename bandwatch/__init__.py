"""Bandwatch: what two of its programs compute or say alike."""
