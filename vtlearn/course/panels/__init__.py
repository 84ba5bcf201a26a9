"""The interactive panels, one file a lesson (``lesson_NN.py``), on the common ground of ``base.py``."""
