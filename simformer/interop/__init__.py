"""Other people's formats: the authors' released weights, Detectron2, ONNX."""
