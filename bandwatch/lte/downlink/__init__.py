"""A cell as it sends: frames laid out, filled by traffic, and as an endless stream of samples."""
