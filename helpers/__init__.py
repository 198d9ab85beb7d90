"""What the notebooks import so that their cells show the lesson alone.

Data flows one way: ``data -> text -> batches -> training -> figures``. No module imports one to
its right; ``figures`` and ``checks`` know nothing of the others, only arrays and tensors.
"""
