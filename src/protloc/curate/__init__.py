"""What to learn from: class imbalance, over-sampling, splits."""
