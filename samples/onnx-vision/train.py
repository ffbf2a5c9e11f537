"""Trains a reader of handwritten digits, 8 x 8 points each, and writes it as an ONNX model.

    pip install onnx scikit-learn && python train.py [MODEL.onnx]

The digits are those that scikit-learn brings along. The model is one matrix and a softmax: 3 kB.
"""

import json
import sys
from pathlib import Path

import numpy
from onnx import TensorProto, checker, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).resolve().parent


def train(images, digits):
    """The fitted weights (64 x 10) and biases (10)."""
    found = LogisticRegression(C=0.05, max_iter=2000, random_state=0).fit(images.reshape(-1, 64), digits)
    return found.coef_.T.astype("float32"), found.intercept_.astype("float32")


def model_of(weights, biases):
    """The ONNX model: image (1 x 8 x 8, values from 0 to 16) to the probability of each digit."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["row"]),
        helper.make_node("Gemm", ["row", "weights", "biases"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(biases, "biases")],
    )
    # Versions that old devices' runtimes read, too.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    return model


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "digits.onnx"
    digits = load_digits()
    known, unknown = slice(0, 1500), slice(1500, None)
    weights, biases = train(digits.images[known], digits.target[known])
    target.write_bytes(model_of(weights, biases).SerializeToString())
    scores = digits.images[unknown].reshape(-1, 64) @ weights + biases
    read = scores.argmax(axis=1) == digits.target[unknown]
    clear = 1500 + int(numpy.argmax(numpy.where(read, scores.max(axis=1), 0)))
    sample = {"camera": "gate-1", "image": digits.images[clear].astype(int).tolist()}
    (HERE / "sample.json").write_text(json.dumps(sample) + "\n")
    print(f"wrote {target}: reads {read.mean():.0%} of {len(scores)} digits that it has not seen")


if __name__ == "__main__":
    main()
