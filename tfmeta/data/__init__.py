"""Image classes: loaders that read or draw them, and splits into training and test classes.

Every data set becomes an `ImageClasses`. Nothing here needs TensorFlow, except reading a TensorFlow
data set, so that wrong input is reported early.
"""
