"""What pages are made of: the frame around them, building blocks, icons, plain forms."""
