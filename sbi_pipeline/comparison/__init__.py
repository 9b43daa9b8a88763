"""Which of several models made the data: a classifier of their rows, and their evidences."""
