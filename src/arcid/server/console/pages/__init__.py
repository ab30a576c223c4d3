"""What the console shows; ``registry`` says where, and to whom."""
