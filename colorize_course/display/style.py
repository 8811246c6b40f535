"""The colours and the style of all figures."""

from cycler import cycler

BLUE, GREEN = "#2c6fbb", "#2e8b57"
INK, ACCENT, SOFT = "#333333", "#c0392b", "#9aa5b1"
STYLE = {
    "figure.dpi": 80,
    "savefig.bbox": "tight",
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.prop_cycle": cycler(color=[BLUE, ACCENT, GREEN, "#e0a030", "#7d5ba6", SOFT]),
}
