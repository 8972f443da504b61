"""From text to ids: decode files, tokenize them once into a cache, and map the tokens to a vocabulary."""
