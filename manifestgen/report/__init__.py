"""Results as text, JSON and the formats that other tools read: values in, `str` out."""
