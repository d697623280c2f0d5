"""The smallest nets that an analyser can be: their scores are the mean of the pixels."""

import numpy as np
import onnx
from onnx import TensorProto, helper


def net(path, outputs=2, channels=3, size=8, batch="N", name="scores"):
    """A net whose numbers are the mean of the pixels and constants: mean + 0, mean * 2 + 1 ..."""
    flat = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0)
    column = helper.make_node("Unsqueeze", ["mean", "axis"], ["column"])
    times = helper.make_node("Mul", ["column", "scale"], ["scaled"])
    plus = helper.make_node("Add", ["scaled", "shift"], [name])
    one = np.arange(outputs, dtype=np.float32)
    constants = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("scale", TensorProto.FLOAT, [1, outputs], one + 1),
        helper.make_tensor("shift", TensorProto.FLOAT, [1, outputs], one),
    ]
    shape = [batch, channels, size, size]
    graph = helper.make_graph(
        [flat, column, times, plus],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, outputs])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    return path
