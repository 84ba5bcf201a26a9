"""From video files to batches: decoding, sampling, transforms, Kinetics annotations, loading."""
