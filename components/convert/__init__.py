"""A pushed model in other formats, each compared with it on the test images."""

FORMATS = ("keras", "onnx", "tflite", "torch")
ENDINGS = {"keras": ".keras", "onnx": ".onnx", "tflite": ".tflite", "torch": ".pt2"}
INT8 = ("tflite",)  # those that can have 8 bits
