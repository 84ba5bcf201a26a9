"""Training: optimisers, schedules, the loop, losses, checkpoints, evaluation; knows no model and no data."""
