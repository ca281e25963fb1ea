"""`bandwatch demo`: the whole platform at work on simulated or recorded cells, and a report of what it found."""
