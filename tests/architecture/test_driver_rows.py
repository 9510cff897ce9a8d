"""Whatever brings rows to the driver is listed with a bound, so that nothing that grows with customers does."""

from driver_rows import DRIVER_ROWS, sites


def test_every_place_has_a_bound_and_every_bound_a_place():
    assert sites() == set(DRIVER_ROWS)


def test_places_are_found(tmp_path):
    (tmp_path / "a.py").write_text(
        "def f(x):\n    def g():\n        return x.toPandas()\n    Window.partitionBy('a').orderBy('b')\n    return g\n"
        "def h(x):\n    return x.over(Window.orderBy('b')), Window.partitionBy()\n"
        "rows = frame.collect()\n"
    )
    assert sites(tmp_path) == {"a.py:g", "a.py:h", "a.py:"}
