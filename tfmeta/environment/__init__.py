"""What a process finds around it: other ranks, free memory, the backend of Keras."""
