"""The conformance kit: laws that every part must obey, for your own parts as for ours.

Each ``check_*`` raises AssertionError with the object in its message. Run them in float64.
"""

from .codecs import check_categories, check_codec
from .denoisers import check_denoiser, check_guidance
from .linear import AffineLaw, Endpoint, gaussian_endpoint, moment_error, table_law, weak_order
from .operators import check_operator
from .processes import check_discrete, check_keep, check_process, check_schedule
from .solvers import check_solver, convergence_order

__all__ = [
    "AffineLaw",
    "Endpoint",
    "check_categories",
    "check_codec",
    "check_denoiser",
    "check_discrete",
    "check_guidance",
    "check_keep",
    "check_operator",
    "check_process",
    "check_schedule",
    "check_solver",
    "convergence_order",
    "gaussian_endpoint",
    "moment_error",
    "table_law",
    "weak_order",
]
