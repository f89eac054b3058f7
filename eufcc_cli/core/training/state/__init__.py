"""The state and history of a training, from which it resumes."""
