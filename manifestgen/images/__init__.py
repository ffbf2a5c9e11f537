"""The images of a manifest: building them, checking that devices can pull them, pinning them."""
