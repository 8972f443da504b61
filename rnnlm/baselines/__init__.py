"""Baselines for recurrent networks: Kneser-Ney n-gram models and ARPA files."""
