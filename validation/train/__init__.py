"""Training of real networks, measured as a simulation is: ``python -m validation.train``."""
