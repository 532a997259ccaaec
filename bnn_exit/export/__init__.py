"""From a trained network to `model.tflite`: the adaptive graph, LCE's conversion, the audit and the comparison.

`python -m bnn_exit.export` is the command of this package and `bnn_exit.export(model, path, ...)` its function. A
package takes the name of a function in its parent as soon as it is imported, so the package itself can be called.
"""

from bnn_exit.callable_package import make_callable

make_callable(__name__, module="bnn_exit.export.to_lce", function="export")
