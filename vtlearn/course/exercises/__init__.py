"""The exercises, one file a lesson (``lesson_NN.py``), their right and wrong answers beside them (``answers_NN.py``)."""
