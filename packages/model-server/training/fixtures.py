"""Writes fixtures/*.onnx, small models that only the tests use. Run it in the same way as train.py."""

from pathlib import Path

from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
DATATYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def tensor(name, datatype, shape):
    return helper.make_tensor_value_info(name, datatype, shape)


def save(name, nodes, inputs, outputs):
    graph = helper.make_graph(nodes, name, inputs, outputs)
    opset = [helper.make_opsetid("", 15)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    (FIXTURES / f"{name}.onnx").write_bytes(model.SerializeToString())


FIXTURES.mkdir(exist_ok=True)

# Two inputs; the first output is a float that can be NaN or infinite, the second a 64-bit integer.
save(
    "pair",
    [
        helper.make_node("Cast", ["a"], ["a_float"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["b"], ["b_float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["a_float", "b_float"], ["ratio"]),
        helper.make_node("Add", ["a", "b"], ["sum"]),
    ],
    [tensor("a", TensorProto.INT64, ["n"]), tensor("b", TensorProto.INT64, ["n"])],
    [tensor("ratio", TensorProto.FLOAT, ["n"]), tensor("sum", TensorProto.INT64, ["n"])],
)

# Returns its three-dimensional input unchanged.
save(
    "image",
    [helper.make_node("Identity", ["X"], ["Y"])],
    [tensor("X", TensorProto.FLOAT, ["n", 2, 2])],
    [tensor("Y", TensorProto.FLOAT, ["n", 2, 2])],
)

# One input and one output of each datatype, any shape.
save(
    "types",
    [helper.make_node("Identity", [name], [f"{name}_out"]) for name in DATATYPES],
    [tensor(name, datatype, ["n"]) for name, datatype in DATATYPES.items()],
    [tensor(f"{name}_out", datatype, ["n"]) for name, datatype in DATATYPES.items()],
)

# A type that the server does not support.
save(
    "half",
    [helper.make_node("Identity", ["X"], ["Y"])],
    [tensor("X", TensorProto.FLOAT16, ["n"])],
    [tensor("Y", TensorProto.FLOAT16, ["n"])],
)

# skl2onnx's default output: the probabilities are a list of maps.
rows, target = load_iris(return_X_y=True)
zipmap = to_onnx(LogisticRegression(max_iter=2000).fit(rows, target), rows[:1].astype("float32"), target_opset=15)
(FIXTURES / "zipmap.onnx").write_bytes(zipmap.SerializeToString())
