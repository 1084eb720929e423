"""Reports to look at: the page of an evaluation, and the page that holds methods side by side."""

from mrc_core.reporting.comparison_page import write_comparison
from mrc_core.reporting.page import write_report, write_tables

__all__ = ["write_comparison", "write_report", "write_tables"]
