"""The network as ONNX graphs: written by `export`, run without PyTorch by `light`."""
