"""IQ to frames, frames to windows, and how well a prediction fits: numpy in, numpy out."""
