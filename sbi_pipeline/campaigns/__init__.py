"""Drawing parameters and simulating them, in parallel, killed and resumed."""
