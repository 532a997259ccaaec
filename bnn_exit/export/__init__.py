"""From a trained network to `model.tflite`: the adaptive graph, LCE's conversion, the audit and the comparison.

`python -m bnn_exit.export` is the command of this package and `bnn_exit.export(model, path, ...)` its function. A
package takes the name of a function in its parent as soon as it is imported, so the package itself can be called.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _CallablePackage(types.ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from bnn_exit.export.to_lce import export

        return export(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
