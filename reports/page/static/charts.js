"use strict";
// Accuracy against cost, and calibration. Plotly's script is loaded when a chart comes near.

PB.parts.charts = function () {
  const board = PB.data.board, run = PB.data.run;
  const MOST = 300; // points of one chart
  const MARKERS = { o: "circle", "^": "triangle-up", s: "square", D: "diamond", v: "triangle-down", P: "cross", "*": "star", X: "x", h: "hexagon",
    "<": "triangle-left", ">": "triangle-right", d: "diamond-tall", p: "pentagon", H: "hexagon2", 8: "octagon", "$+$": "star-square", "$?$": "hash" };
  const FILLS = ["", "-open", "-dot", "-open-dot"];
  const byId = (id) => document.getElementById(id);
  const rowsOf = run.problems.map(() => []);
  const place = new Map(run.problems.map((name, i) => [name, i]));
  const ofWord = board.problem.words.map((name) => place.get(name));
  for (let row = 0; row < PB.count(board); row++) rowsOf[ofWord[board.problem.at[row]]].push(row);
  const narrow = () => document.documentElement.clientWidth < 720;
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const safe = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"); // Plotly reads tags
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  let variants = null;

  for (const id of ["c-problem", "k-problem"]) byId(id).append(...run.problems.map((name) => PB.el("option", { value: name }, name)));

  function look(row) {
    if (!variants) { // configurations of one method differ in their filling
      variants = new Map();
      const seen = new Map();
      board.label.words.forEach((label, i) => {
        const at = board.label.at.indexOf(i), method = PB.at("method", at), order = seen.get(method) || 0;
        seen.set(method, order + 1);
        variants.set(label, FILLS[order % FILLS.length]);
      });
    }
    const [guidance, integrator] = run.looks[PB.at("method", row)];
    const color = guidance === "reference" ? ink("--ink") : run.colors[guidance];
    return { color, symbol: MARKERS[run.symbols[integrator]] + variants.get(PB.at("label", row)), size: 10, line: { width: 1.2, color: guidance === "other" ? ink("--ink") : color } };
  }

  function layout(extra) {
    const axis = { gridcolor: ink("--line"), zeroline: false, linecolor: ink("--line"), tickfont: { size: 12 }, automargin: true };
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      dragmode: narrow() ? false : "zoom", font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: ink("--ink") },
      hoverlabel: { bgcolor: ink("--raised"), bordercolor: ink("--line"), font: { color: ink("--ink") }, align: "left" },
      margin: { l: 60, r: 16, t: 16, b: 52 },
    };
    return { axis, base: { ...base, ...extra } };
  }

  function interval(row, value) {
    const low = PB.at("sw1_over_floor95_low", row), high = PB.at("sw1_over_floor95_high", row), error = PB.at("sw1_over_floor95_stderr", row);
    if (low !== null && high !== null) return [high - value, value - low];
    return error === null ? [0, 0] : [error, Math.min(error, value * 0.999)];
  }

  async function cost() {
    await PB.script("static/plotly.min.js");
    const problem = byId("c-problem").value, key = byId("c-cost").value;
    const valued = rowsOf[place.get(problem)].filter((row) => board.sw1_over_floor95[row] > 0 && Number.isFinite(board.sw1_over_floor95[row]));
    const lines = valued.filter((row) => ["exact", "prior"].includes(PB.at("label", row)));
    const all = valued.filter((row) => !lines.includes(row) && board[key][row] > 0);
    const kept = [...all].sort((a, b) => board.sw1_over_floor95[a] - board.sw1_over_floor95[b]).slice(0, MOST).sort((a, b) => a - b);
    const traces = kept.map((row) => {
      const value = board.sw1_over_floor95[row], [up, down] = interval(row, value), marker = look(row);
      const name = safe(PB.named(board, row));
      return {
        name, x: [board[key][row]], y: [value], mode: "markers", marker, customdata: [row],
        error_y: { type: "data", symmetric: false, array: [up], arrayminus: [down], thickness: 1.2, width: 0, color: marker.line.color },
        error_x: { type: "data", symmetric: false, array: [key === "seconds_per_1000" ? board.seconds_train[row] || 0 : 0], arrayminus: [0], thickness: 0.7, width: 0, color: marker.line.color },
        hovertemplate: `<b>${name}</b><br>SW1 / floor ${PB.number(value)}<br>nfe + vjp ${PB.number(board.work[row])}<br>${PB.number(board.seconds_per_1000[row])} s per 1000<extra></extra>`,
      };
    });
    const front = [];
    for (const row of kept.filter((one) => !board.reference[one]).sort((a, b) => board[key][a] - board[key][b] || board.sw1_over_floor95[a] - board.sw1_over_floor95[b])) {
      if (!front.length || board.sw1_over_floor95[row] < board.sw1_over_floor95[front.at(-1)]) front.push(row);
    }
    traces.unshift({ name: "front", x: front.map((row) => board[key][row]), y: front.map((row) => board.sw1_over_floor95[row]), mode: "lines", line: { shape: "hv", width: 1.5, color: ink("--dim"), dash: "dot" }, hoverinfo: "skip" });
    const level = (y, text, color, dash) => [
      { type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color, width: 1.5, dash } },
      { xref: "paper", x: 1, xanchor: "right", y: Math.log10(y), yanchor: "bottom", text, showarrow: false, font: { size: 11, color } },
    ];
    const levels = [level(1, "floor", ink("--floor"), "solid"), ...lines.filter((row) => PB.at("label", row) === "prior").map((row) => level(board.sw1_over_floor95[row], "prior: ignores the data", ink("--dim"), "dash"))];
    const slim = narrow(), { axis, base } = layout({ height: slim ? 380 + 20 * Math.ceil(traces.length / 2) : Math.max(460, 120 + 19 * traces.length) });
    await Plotly.react("cost-chart", traces, {
      ...base, shapes: levels.map((one) => one[0]), annotations: levels.map((one) => one[1]),
      xaxis: { ...axis, type: "log", dtick: slim ? 1 : "D2", title: { text: key === "work" ? "denoiser evaluations + backward passes, per sample" : "seconds per 1000 samples (thin line: with training)", font: { size: 12 } } },
      yaxis: { ...axis, type: "log", dtick: "D2", title: { text: "SW1 / floor", font: { size: 12 } } },
      legend: slim ? { orientation: "h", y: -0.18, yanchor: "top", font: { size: 10.5 }, entrywidth: 0.48, entrywidthmode: "fraction", maxheight: 5000 } : { font: { size: 11 }, tracegroupgap: 0 },
    }, config);
    const chart = byId("cost-chart");
    chart.removeAllListeners?.("plotly_click");
    chart.on("plotly_click", (event) => { const row = event.points[0].customdata; if (row !== undefined) location.hash = PB.cellHash(row); });
    const absent = all.length - kept.length;
    byId("cost-note").replaceChildren(absent ? `The ${MOST} nearest of ${all.length} are drawn. ` : "", PB.el("a", { href: `#leaderboard?problem=${encodeURIComponent(problem)}` }, "The same as a table"));
  }

  const PANELS = [["coverage90", "90 % intervals, coverage error", 0], ["coverage50", "50 % intervals, coverage error", 0], ["z_std", "z-std", 1]];
  const Z = [0.15, 25]; // of the axis of z-std; an arrow at its end stands for what lies beyond
  const PARTS = [["_range", "range(Aᵀ)", "circle", 0.16], ["_null", "null(A)", "square-open", -0.16], ["", "all directions", "diamond", 0]];

  async function calibration() {
    await PB.script("static/plotly.min.js");
    const problem = byId("k-problem").value, slim = narrow();
    const { verdicts } = await PB.problem(problem);
    const rows = rowsOf[place.get(problem)].filter((row) => board.tasks_ok[row] > 0).slice(0, MOST / 5).reverse();
    const names = rows.map((row) => safe(PB.named(board, row)));
    const panels = PANELS.filter(([key]) => PARTS.some(([end]) => board[key + end]));
    const each = 18 * rows.length, gap = 0.04, { axis, base } = layout({ height: slim ? panels.length * (each + 70) + 40 : each + 110 });
    const traces = [], axes = {}, shapes = [], told = new Set(), count = panels.length;
    panels.forEach(([key, title, target], i) => {
      const suffix = i ? `${i + 1}` : "", whole = slim ? [0, 1] : [i * (1 + gap) / count, (i + 1) * (1 + gap) / count - gap];
      const stack = slim ? [1 - (i + 1) / count + 0.02, 1 - i / count - (i ? 70 / (count * (each + 70)) : 0)] : [0, 1];
      axes[`xaxis${suffix}`] = { ...axis, domain: whole, anchor: `y${suffix}`, side: "top", title: { text: title, font: { size: 12 }, standoff: 6 }, ...(key === "z_std" ? { type: "log", dtick: "D2", range: [Math.log10(Z[0]), Math.log10(Z[1])] } : { nticks: 6 }) };
      axes[`yaxis${suffix}`] = { ...axis, domain: stack, anchor: `x${suffix}`, tickvals: names.map((_, j) => j), ticktext: names, tickfont: { size: 11 }, showticklabels: slim || i === 0, range: [-0.7, names.length - 0.3], fixedrange: true };
      if (!PB.foreign(problem)) shapes.push({ type: "line", xref: `x${suffix}`, yref: `y${suffix} domain`, x0: target, x1: target, y0: 0, y1: 1, line: { color: ink("--floor"), width: 1.5 } });
      for (const [end, name, symbol, shift] of PARTS) {
        const column = board[key + end], error = board[`${key}${end}_stderr`];
        if (!column || !rows.some((row) => column[row] !== null)) continue;
        const usable = rows.map((row, j) => [row, names[j], j + shift]).filter(([row]) => column[row] !== null);
        const beyond = ([row]) => key === "z_std" && !(column[row] > Z[0] && column[row] < Z[1]);
        const drawn = (one) => (beyond(one) ? Math.min(Z[1], Math.max(Z[0], column[one[0]])) : column[one[0]]);
        traces.push({
          name, legendgroup: name, showlegend: !told.has(name), mode: "markers", xaxis: `x${suffix}`, yaxis: `y${suffix}`,
          x: usable.map(drawn), text: usable.map(([row]) => PB.number(column[row], key !== "z_std")), y: usable.map((one) => one[2]), customdata: usable.map((one) => [one[0], one[1]]), cliponaxis: false,
          error_x: { type: "data", array: usable.map((one) => (error && !beyond(one) ? error[one[0]] || 0 : 0)), thickness: 1, width: 0 },
          marker: { symbol: usable.map((one) => (!beyond(one) ? symbol : column[one[0]] > 1 ? "triangle-right" : "triangle-left")), size: 7, color: symbol.startsWith("square") ? ink("--warm-ink") : ink("--accent"), line: { width: 1.2 } },
          hovertemplate: `<b>%{customdata[1]}</b><br>${title}, ${name}: %{text}<extra></extra>`,
        });
        told.add(name);
      }
    });
    byId("calibration-foreign").hidden = !count || !PB.foreign(problem);
    if (!count) return showVerdicts(verdicts);
    await Plotly.react("calibration-chart", traces, { ...base, ...axes, shapes, legend: { orientation: "h", y: 0, yref: "container", yanchor: "bottom", x: 0 }, margin: { l: 12, r: 16, t: 56, b: 44 } }, config);
    const chart = byId("calibration-chart");
    chart.removeAllListeners?.("plotly_click");
    chart.on("plotly_click", (event) => { location.hash = PB.cellHash(event.points[0].customdata[0]); });
    showVerdicts(verdicts);
  }

  // Configurations against tests, references first: a sign and a word, so that colour alone tells nothing.
  function showVerdicts(verdicts) {
    const holder = byId("verdicts"), problem = byId("k-problem").value;
    if (!verdicts.length) return holder.replaceChildren();
    const tested = verdicts.filter((one) => one.test), names = [...new Set(tested.map(PB.testName))];
    const ofConfig = new Map();
    for (const one of verdicts) ofConfig.set(one.config, [...(ofConfig.get(one.config) || []), one]);
    const place = ([one]) => (one.oracle ? (one.method === "exact" ? 0 : 1) : one.method === "prior" ? 2 : 3);
    const rows = [...ofConfig.values()].sort((a, b) => place(a) - place(b));
    const judged = tested.some((one) => one.verdict !== "none");
    const cell = (all) => { // the levels of a coverage share a cell, which fails if one of them does
      if (!all.length) return PB.el("td", {}, "");
      const verdict = ["fail", "none", "pass"].find((word) => all.some((one) => one.verdict === word));
      const tip = (verdict === "fail" ? all.filter((one) => one.verdict === "fail") : all).map(PB.testWords).join("; ");
      return PB.el("td", { class: `verdict ${verdict}` }, PB.el("button", { type: "button", class: "value", "data-tip": tip, "aria-label": `${verdict}: ${tip}` }, PB.marks[verdict]));
    };
    const body = rows.map((own) => {
      const [one] = own, tests = own.filter((row) => row.test), failed = tests.filter((row) => row.verdict === "fail").length;
      const why = tests.length ? `${failed}/${tests.length}` : PB.status(one.status);
      const count = !tests.length && one.reason ? PB.el("button", { type: "button", class: "value", "data-tip": one.reason }, why) : judged || !tests.length ? why : "–";
      return PB.el("tr", { class: place(own) < 3 ? "reference" : "" }, PB.el("th", { scope: "row" }, PB.el("a", { href: PB.hash("cell", problem, one.config, one.framework) }, one.config + (one.oracle ? " †" : ""))),
        PB.el("td", {}, count), names.map((name) => cell(tests.filter((row) => PB.testName(row) === name))));
    });
    holder.replaceChildren(
      PB.el("h3", {}, "Verdicts of calibration tests"),
      PB.el("p", { class: "note" }, judged ? "✓ passes, ✕ fails at a level that holds for all tests of a row together; coverage fails if one of its levels does. The prior as a sampler ignores y, yet is calibrated on average over y: it rightly passes coordinates, TARP and coverage, and only what depends on y (the log-likelihood, the posterior density) finds it out." : "– no verdict: the truths of this problem are not drawn from its prior, so that even an exact sampler may miss. What was seen is behind each sign.",
        " ", PB.el("a", { href: PB.hash("problem", problem) }, "Pictures of this problem")),
      PB.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Verdicts" }, PB.el("table", { class: "board verdicts" },
        PB.el("thead", {}, PB.el("tr", {}, PB.el("th", { scope: "col" }, "method"), PB.el("th", { scope: "col" }, "failed tests"), names.map((name) => PB.el("th", { scope: "col", class: "turned" }, PB.el("span", {}, name))))),
        PB.el("tbody", {}, body))));
  }

  const charts = [["cost", cost, ["c-problem", "c-cost"]], ["calibration", calibration, ["k-problem"]]];
  const seen = new Set();
  for (const [section, draw, controls] of charts) {
    for (const control of controls) byId(control).addEventListener("change", draw);
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      seen.add(draw);
      draw();
    }, { rootMargin: "400px" }).observe(byId(section));
  }
  const again = PB.later(() => seen.forEach((draw) => draw()), 200);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("(max-width: 719px)").addEventListener("change", again);
};
