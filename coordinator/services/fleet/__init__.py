"""Observers: what each is to do, who its neighbours are, what it is asked for, what it counts."""
