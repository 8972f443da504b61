"""Text to ids: files are decoded, tokenized once into a cache, and mapped to a vocabulary."""
