"""The quiz questions, one file a lesson (``lesson_NN.py``)."""
