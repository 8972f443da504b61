"""Models to and from other programs: PyTorch state_dicts, safetensors, ONNX; and their vocabulary as JSON."""
