"""Lines as notebooks have them, for a type checker to read: it must know every name."""

import facelab as fl

faces = fl.synthesize(subjects=120, images_per_subject=6)
parts = faces.split({"train": 0.5, "calibration": 0.2, "test": 0.3})
skewed = fl.compose(
    parts["train"], by="gender", shares={"male": 0.6}, subjects=40, images_per_subject=6
)
embedder = fl.train(skewed, fl.Recipe(steps=200))
test, calibration = (fl.embed(embedder, parts[name]) for name in ("test", "calibration"))
audit = fl.audit(test, by=["phenotype", "gender"], fmr=1e-2, calibration=calibration)
audit.rates.head()
audit.plot()
fl.table(fl.readable_rates(audit.rates), "Error rates by group")
fl.plots.composition(faces, ["phenotype", "gender"])
fl.plots.error_rates(audit.rates, audit.fmr)
fl.widgets.threshold_explorer(audit)
differences = fl.compare_audits({"skewed": audit, "balanced": audit})
differences.table.head()

lfw = fl.prepare(fl.datasets.lfw("lfw"), "data/lfw")
model = fl.load_embedder("model.onnx", channels="rgb")
gallery = fl.Gallery().enrol(test)
result = fl.identify(gallery, calibration, by="gender", fpir=0.01)
result.rates.head()
fl.expected_false_matches(audit, searches=10_000, gallery=25_000)
comparisons = fl.compare_all(test, by="gender")
comparisons.error_rates(comparisons.threshold(fmr=1e-3))
fl.disparity(audit.rates)
fl.required_subjects(fmr=1e-3, ratio=2)

record = fl.Record(None)
with record.stage("study"):
    study = fl.study({"a": skewed, "b": faces}, None, faces, lfw, "gender", baseline="a")
record.tables(study.tables())
record.figure("changes", study.plot())
folder = fl.run("notebooks/00_start_here.ipynb", {"seed": 1})
fl.runs("experiments/runs")
fl.share(folder)
