"""What runs the network: PyTorch, or onnxruntime with graphs that `export` traced from PyTorch's functions."""
