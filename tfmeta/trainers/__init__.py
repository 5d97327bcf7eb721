"""How each kind of learner is trained: its steps, its validation, what is best."""
