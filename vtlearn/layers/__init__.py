"""Layers: embeddings, positions, blocks, the Longformer encoder and heads."""
