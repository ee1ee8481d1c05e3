"""Trains the two models that ship with @inferwire/model-server, measures them, and writes everything that
depends on them: models/*.onnx, models/models.json, models/README.md, examples/*-v1.json and
training/expected.json (predictions that the tests compare with).

    python3.11 -m venv VENV && VENV/bin/pip install -r requirements.txt && VENV/bin/python train.py
    npx prettier --write ..

The data comes with scikit-learn (nothing is downloaded), the seeds are fixed.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import sklearn
from skl2onnx import __version__ as skl2onnx_version
from skl2onnx import to_onnx
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).resolve().parent.parent
SEED = 7
# The request of KServe's own "first InferenceService" page.
KSERVE_IRIS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]


def train(name, data, classifier, hold_out):
    """Fits a model on one part of the rows, and measures the *exported* model on the other part."""
    rows = data.data.astype("float32")
    train_x, test_x, train_y, test_y = train_test_split(
        rows, data.target, test_size=hold_out, random_state=SEED, stratify=data.target
    )
    pipeline = make_pipeline(StandardScaler(), classifier).fit(train_x, train_y)
    # zipmap makes `probabilities` a list of maps, which the JavaScript runtimes refuse to run.
    onnx = to_onnx(pipeline, rows[:1], options={"zipmap": False}, target_opset=15, name=name)
    file = ROOT / "models" / f"{name}.onnx"
    file.write_bytes(onnx.SerializeToString())

    session = onnxruntime.InferenceSession(str(file))
    labels, _ = session.run(None, {"X": test_x})
    assert np.array_equal(labels, pipeline.predict(test_x)), "ONNX and scikit-learn disagree"
    accuracy = float((labels == test_y).mean())
    print(f"{name}: {accuracy:.4f} of {len(test_y)} held-out rows, {file.stat().st_size} bytes")
    return session, test_x, test_y, {"accuracy": round(accuracy, 4), "heldOutRows": len(test_y)}


def expected(session, rows):
    """Returns Python's results for these rows; the tests compare the server's results with them."""
    rows = np.asarray(rows, dtype="float32")
    labels, probabilities = session.run(None, {"X": rows})
    return {"instances": rows.tolist(), "label": labels.tolist(), "probabilities": probabilities.tolist()}


def main():
    (ROOT / "models").mkdir(exist_ok=True)
    (ROOT / "examples").mkdir(exist_ok=True)

    iris, iris_x, _, iris_measured = train("iris", load_iris(), LogisticRegression(max_iter=2000), 0.3)
    digits, digits_x, digits_y, digits_measured = train(
        "digits",
        load_digits(),
        MLPClassifier(hidden_layer_sizes=(48,), max_iter=600, alpha=0.01, random_state=SEED),
        0.2,
    )
    seven = digits_x[digits_y == 7][:1]
    assert expected(digits, seven)["label"] == [7]

    # Pixels are whole numbers 0..16, which are easier to read without a fraction.
    examples = {"iris": KSERVE_IRIS, "digits": seven.astype(int).tolist()}
    for name, instances in examples.items():
        lines = ",\n".join("    " + json.dumps(row) for row in instances)
        write(f"examples/{name}-v1.json", '{\n  "instances": [\n' + lines + "\n  ]\n}\n")

    cards = [
        {
            "name": "iris",
            "file": "iris.onnx",
            "description": "Species of an iris flower from sepal length, sepal width, petal length and petal width in cm",
            "labels": load_iris().target_names.tolist(),
            "example": "iris-v1.json",
            **iris_measured,
            "licence": "CC-BY-4.0",
            "attribution": "R. A. Fisher, Iris (1936), UCI Machine Learning Repository, doi:10.24432/C56C76",
        },
        {
            "name": "digits",
            "file": "digits.onnx",
            "description": "Handwritten digit from an 8x8 image: 64 grey values, row by row, 0 (white) to 16 (black)",
            "labels": [str(digit) for digit in range(10)],
            "example": "digits-v1.json",
            **digits_measured,
            "licence": "CC-BY-4.0",
            "attribution": "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998), "
            "UCI Machine Learning Repository, doi:10.24432/C50P49",
        },
    ]
    write("models/models.json", json.dumps(cards, indent=2) + "\n")
    write("models/README.md", readme(cards))
    fixture = {
        "iris": expected(iris, KSERVE_IRIS + iris_x[:10].tolist()),
        "digits": expected(digits, np.concatenate([seven, digits_x[:9]])),
    }
    write("training/expected.json", json.dumps(fixture) + "\n")


def readme(cards):
    rows = "\n".join(
        f"| `{card['file']}` | {(ROOT / 'models' / card['file']).stat().st_size:,} bytes | {card['description']} "
        f"| {card['accuracy'] * 100:.1f} % of {card['heldOutRows']} | {card['attribution']} ({card['licence']}) |"
        for card in cards
    )
    return f"""# Shipped models

Written by `training/train.py` (scikit-learn {sklearn.__version__}, skl2onnx {skl2onnx_version}, onnxruntime \
{onnxruntime.__version__}); do not edit.

| file | size | prediction | accuracy on held-out rows | data |
|---|---|---|---|---|
{rows}

Input `X` FP32 `[-1, features]`; outputs `label` INT64 `[-1]` and `probabilities` FP32 `[-1, classes]`.
"""


def write(path, text):
    (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
