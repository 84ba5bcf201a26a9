"""The exercises, one file a lesson (``lesson_NN.py``), their answers beside them (``answers_NN.py``)."""
