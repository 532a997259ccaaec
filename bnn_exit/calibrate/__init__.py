"""From the answers of all exits to thresholds: operating points, limits, guarantees, and noticing when they are stale.

`python -m bnn_exit.calibrate` is the command of this package and `bnn_exit.calibrate(model, task, ...)` its function. A
package takes the name of a function in its parent as soon as it is imported, so the package itself can be called.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _CallablePackage(types.ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from bnn_exit.calibrate.from_model import calibrate

        return calibrate(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
