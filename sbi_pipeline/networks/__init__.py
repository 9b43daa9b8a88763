"""Networks, and what they are put together from."""
