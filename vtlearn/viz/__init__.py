"""Figures: tensors and numbers in, matplotlib figures out; knows no model and no data set."""
