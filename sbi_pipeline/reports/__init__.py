"""Pages, and the verdict they open with."""
