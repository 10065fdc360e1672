"""Using a trained model on fields."""
