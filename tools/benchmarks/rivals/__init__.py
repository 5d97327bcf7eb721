"""Workers of other libraries, for a Python without TensorFlow; see `answering`."""
