(function () {
  "use strict";
  var root = document.documentElement;
  var button = document.getElementById("theme");
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  var darkChosen = null;

  function role(name) { return getComputedStyle(root).getPropertyValue("--" + name).trim(); }

  // Replaces every "@role" by its colour in the current theme.
  function withColours(value) {
    if (typeof value === "string") { return value.charAt(0) === "@" ? role(value.slice(1)) : value; }
    if (Array.isArray(value)) { return value.map(withColours); }
    if (value && typeof value === "object") {
      var result = {};
      Object.keys(value).forEach(function (key) { result[key] = withColours(value[key]); });
      return result;
    }
    return value;
  }

  function axis(options) {
    var base = { gridcolor: role("line"), linecolor: role("line"), zerolinecolor: role("line"), automargin: true, fixedrange: true };
    return Object.assign(base, options || {});
  }

  function wrap(text, width) {
    var lines = [""];
    String(text).split(" ").forEach(function (word) {
      var last = lines[lines.length - 1];
      if (last && last.length + word.length + 1 > width) { lines.push(word); } else { lines[lines.length - 1] = last ? last + " " + word : word; }
    });
    return lines.join("<br>");
  }

  function draw(holder) {
    var figure = withColours(figures[holder.dataset.figure]);
    var narrow = holder.clientWidth < 560;
    var layout = Object.assign({}, figure.layout, {
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: role("ink"), family: "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif", size: narrow ? 11 : 13 },
      margin: figure.layout.margin || { l: 8, r: 12, t: 12, b: 40 },
      legend: { orientation: "h", y: -0.25, yanchor: "top", x: 0, traceorder: "normal" },
      hoverlabel: { bgcolor: role("card"), bordercolor: role("line"), font: { color: role("ink") } },
      xaxis: axis(figure.layout.xaxis),
      yaxis: axis(figure.layout.yaxis)
    });
    if (layout.showlegend) { layout.height += 46; layout.legend.y = -60 / Math.max(layout.height - 110, 60); }
    figure.data.forEach(function (trace) {
      if (trace.type === "bar" && trace.orientation === "h") { trace.y = trace.y.map(function (name) { return wrap(name, narrow ? 18 : 36); }); }
    });
    return Plotly.react(holder, figure.data, layout, { responsive: true, displayModeBar: false });
  }

  function drawAll() {
    var dark = darkChosen === null ? system.matches : darkChosen;
    root.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
    button.textContent = dark ? "Light" : "Dark";
    return Promise.all(Array.prototype.map.call(document.querySelectorAll(".chart"), draw));
  }

  button.addEventListener("click", function () { darkChosen = root.dataset.theme !== "dark"; drawAll(); });
  system.addEventListener("change", drawAll);
  var resizeTimer = null;
  window.addEventListener("resize", function () { clearTimeout(resizeTimer); resizeTimer = setTimeout(drawAll, 200); });
  drawAll().then(function () { root.dataset.ready = "true"; });
})();
