"""What `make bench` runs: protloc beside its peers and the limits of the machine."""
