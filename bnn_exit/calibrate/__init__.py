"""From the answers of all exits to thresholds: operating points, limits, guarantees, and noticing when they are stale.

`python -m bnn_exit.calibrate` is the command of this package and `bnn_exit.calibrate(model, task, ...)` its function. A
package takes the name of a function in its parent as soon as it is imported, so the package itself can be called.
"""

from bnn_exit.callable_package import make_callable

make_callable(__name__, module="bnn_exit.calibrate.from_model", function="calibrate")
