"""One device: what setting modules would change, carrying it out, waiting for it, and going back."""
