"""Inference with trained models, on ids: scoring, generation, rescoring. Callers pass the model and encode the text."""
