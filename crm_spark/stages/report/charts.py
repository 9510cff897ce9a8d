"""Plotly figures as plain data. Colours are roles (`@good`, `@c1`) that page.js replaces by values of the theme."""

from collections.abc import Mapping, Sequence
from typing import Any

Figure = dict[str, Any]
SERIES = ("@c1", "@c2", "@c3", "@c4", "@c5", "@c6", "@c7", "@c8")


def bars(
    names: list[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    unit: str,
    colours: list[str] | None = None,
    is_stacked: bool = False,
    texts: list[str] | None = None,
    number: str = ",.0f",
) -> Figure:
    """Return horizontal bars, one group per name, first name on top."""
    colours = colours or list(SERIES)
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": label,
            "y": names,
            "x": values,
            "marker": {"color": colours[i % len(colours)]},
            "text": texts if len(series) == 1 else None,
            "textposition": "auto",
            "textangle": 0,
            "hovertemplate": f"%{{y}}: %{{x:{number}}} {unit}<extra>{label if len(series) > 1 else ''}</extra>",
        }
        for i, (label, values) in enumerate(series.items())
    ]
    layout = {
        "barmode": "stack" if is_stacked else "group",
        "yaxis": {"autorange": "reversed", "automargin": True, "ticklabelstandoff": 6},
        "xaxis": {"title": {"text": unit}, "rangemode": "tozero"},
        "height": 90 + len(names) * (34 if is_stacked or len(series) == 1 else 18 * len(series) + 14),
        "showlegend": len(series) > 1,
    }
    return {"data": data, "layout": layout}


def columns(
    names: list[str], series: dict[str, list[float]], *, unit: str, colours: list[str], height: int = 300
) -> Figure:
    """Return stacked columns over time or over ordered classes."""
    data = [
        {
            "type": "bar",
            "name": label,
            "x": names,
            "y": values,
            "marker": {"color": colours[i % len(colours)]},
            "hovertemplate": f"%{{x}}: %{{y:,}} {unit}<extra>{label if len(series) > 1 else ''}</extra>",
        }
        for i, (label, values) in enumerate(series.items())
    ]
    layout = {
        "barmode": "stack",
        "yaxis": {"title": {"text": unit}, "rangemode": "tozero"},
        "xaxis": {"type": "category", "automargin": True, "nticks": 12},
        "height": height,
        "showlegend": len(series) > 1,
    }
    return {"data": data, "layout": layout}


def flow(links: list[tuple[str, str, float, str]]) -> Figure:
    """Return a Sankey diagram; each link is (source, target, rows, colour role)."""
    names = list(dict.fromkeys(name for link in links for name in link[:2]))
    index = {name: i for i, name in enumerate(names)}
    data = {
        "type": "sankey",
        "arrangement": "snap",
        "node": {
            "label": names,
            "pad": 14,
            "thickness": 12,
            "color": "@node",
            "hovertemplate": "%{label}: %{value:,} rows<extra></extra>",
        },
        "link": {
            "source": [index[link[0]] for link in links],
            "target": [index[link[1]] for link in links],
            "value": [link[2] for link in links],
            "color": [link[3] for link in links],
            "hovertemplate": "%{source.label} → %{target.label}: %{value:,} rows<extra></extra>",
        },
    }
    sources = {link[0] for link in links}
    return {
        "data": [data],
        "layout": {"height": max(320, 46 * len(sources) + 90), "margin": {"l": 8, "r": 8, "t": 8, "b": 8}},
    }


def scatter(points: dict[str, tuple[list[float], list[float]]], *, x: str, y: str) -> Figure:
    """Return a scatter chart with one group of points per name."""
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": xs,
            "y": ys,
            "marker": {"size": 5, "opacity": 0.65, "color": SERIES[i % len(SERIES)]},
            "hoverinfo": "name",
        }
        for i, (name, (xs, ys)) in enumerate(points.items())
    ]
    layout = {
        "height": 420,
        "xaxis": {"title": {"text": x}, "zeroline": False, "showticklabels": False},
        "yaxis": {"title": {"text": y}, "zeroline": False, "showticklabels": False},
        "showlegend": True,
    }
    return {"data": data, "layout": layout}


def matrix(rows: list[str], cols: list[str], values: list[list[float]], texts: list[list[str]], *, unit: str) -> Figure:
    """Return a heat map with a text in each cell."""
    data = {
        "type": "heatmap",
        "x": cols,
        "y": rows,
        "z": values,
        "text": texts,
        "texttemplate": "%{text}",
        "colorscale": [[0, "@heat0"], [1, "@heat1"]],
        "showscale": False,
        "xgap": 3,
        "ygap": 3,
        "hovertemplate": f"%{{y}}, %{{x}}: %{{text}} {unit}<extra></extra>",
    }
    layout = {
        "height": 90 + 64 * len(rows),
        "yaxis": {"autorange": "reversed", "automargin": True},
        "xaxis": {"side": "top"},
    }
    return {"data": [data], "layout": layout}


def lines(series: dict[str, tuple[list[float], list[float]]], *, x: str, y: str) -> Figure:
    """Return one line per name, with markers on lines of at most 12 points."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(xs) <= 12 else "lines",
            "name": name,
            "x": xs,
            "y": ys,
            "line": {"color": SERIES[i % len(SERIES)], "width": 2},
            "marker": {"size": 8},
            "hovertemplate": f"{x} %{{x:,}}: %{{y:.3f}} {y}<extra>{name}</extra>",
        }
        for i, (name, (xs, ys)) in enumerate(series.items())
    ]
    layout = {
        "height": 320,
        "xaxis": {"title": {"text": x}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": y}, "rangemode": "tozero"},
        "showlegend": True,
    }
    return {"data": data, "layout": layout}


def trend(names: list[str], values: list[float], errors: list[float], *, unit: str) -> Figure:
    """Return a line over ordered names with error bars."""
    data = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": names,
        "y": values,
        "error_y": {"type": "data", "array": errors, "thickness": 1, "width": 0, "color": "@neutral"},
        "line": {"color": "@c1", "width": 2},
        "marker": {"size": 7},
        "hovertemplate": f"%{{x}}: %{{y:+.2f}} {unit}<extra></extra>",
    }
    layout = {
        "height": 300,
        "xaxis": {"type": "category", "automargin": True, "nticks": 12},
        "yaxis": {"title": {"text": unit}, "zeroline": True},
        "showlegend": False,
    }
    return {"data": [data], "layout": layout}
