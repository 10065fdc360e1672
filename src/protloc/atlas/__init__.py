"""What the data is: stains, compartments, label tables, images, stores."""
