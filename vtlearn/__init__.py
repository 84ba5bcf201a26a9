"""Attention and video transformers from scratch, exact against the published models, and a course on top."""

__version__ = "0.1.0"
