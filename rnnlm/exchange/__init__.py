"""Export and import of models: PyTorch state_dicts, safetensors and ONNX, with the vocabulary as JSON."""
