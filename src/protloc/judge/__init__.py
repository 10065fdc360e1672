"""How good an answer is, in numpy alone."""
