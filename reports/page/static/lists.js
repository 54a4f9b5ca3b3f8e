"use strict";
// The lists of problems, methods, metrics and pictures.

PB.parts.lists = function () {
  const board = PB.data.board, run = PB.data.run, totals = PB.data.totals;
  const byId = (id) => document.getElementById(id);
  const rows = new Map(run.problems.map((name) => [name, []]));
  for (let row = 0; row < PB.count(board); row++) rows.get(PB.at("problem", row)).push(row);

  // Where all samplers of a problem lie, on the same logarithmic line as in the leaderboard.
  function rug(own) {
    const x = (one) => 4 + 232 * Math.min(1, Math.max(0, Math.log10(Math.max(one, 1e-9) / 0.5) / Math.log10(400)));
    const node = PB.svg("svg", { class: "rug", viewBox: "0 0 240 22", "aria-hidden": "true", focusable: "false" });
    node.append(PB.svg("line", { class: "axis", x1: 0, x2: 240, y1: 11, y2: 11 }), PB.svg("line", { class: "floor", x1: x(1), x2: x(1), y1: 1, y2: 21 }));
    for (const row of own.slice(0, 200)) node.append(PB.svg("circle", { class: board.at_floor[row] ? "at" : "", cx: x(board.sw1_over_floor95[row]), cy: 11, r: 3.4 }));
    return node;
  }

  function calibrated(name) { // where no sampler has a value of SW1
    const [passing, judged] = run.calibrated[name] || [0, 0];
    if (!PB.known(name)) return "the posterior is not known";
    if (judged) return `${passing} of ${judged} samplers with a verdict pass every calibration test`;
    return run.has_verdicts && PB.foreign(name) ? "no verdicts: the truths are not drawn from the prior" : "no sampler has a value";
  }

  byId("problem-list").append(...run.problems.map((name) => {
    const card = run.cards.problems[name] || {};
    const own = rows.get(name).filter((row) => !board.reference[row] && board.sw1_over_floor95[row] !== null && board.tasks_ok[row] > 0);
    const best = own.reduce((a, b) => (a === null || board.sw1_over_floor95[b] < board.sw1_over_floor95[a] ? b : a), null);
    const at = own.filter((row) => board.at_floor[row]).length;
    return PB.el("a", { class: "card", href: PB.hash("problem", name) }, PB.el("h3", {}, name), PB.el("p", {}, card.summary || "No card was stored with this run."), own.length ? rug(own) : null,
      PB.el("p", { class: "dim" }, best === null ? calibrated(name) : `${at} of ${own.length} at the floor · best ${PB.at("label", best)} ${PB.number(board.sw1_over_floor95[best])}`));
  }));

  const heads = ["method", "what it is", "mean SW1 / floor", "at floor", "90 % cov. error", "z-std", "mode TV", "nfe + vjp", "s per 1000", "failed"];
  const keys = [null, null, "mean", "mean", "coverage90", "z_std", "mode_tv", "work", "seconds_per_1000", null]; // without any value: no column
  const told = keys.map((key) => key === null || totals[key].some((value) => value !== null));
  let many = 40;
  function methods() {
    const words = byId("m-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const about = (i) => (run.cards.methods[PB.get(totals, "method", i)] || {}).summary || "";
    const found = [...Array(PB.count(totals)).keys()].filter((i) => words.every((word) => `${PB.get(totals, "label", i)} ${about(i)}`.toLowerCase().includes(word)));
    const body = found.slice(0, many).map((i) => PB.el("tr", { class: totals.reference[i] ? "reference" : "" },
      PB.el("th", { scope: "row" }, PB.el("a", { href: PB.hash("method", PB.get(totals, "method", i)) }, PB.named(totals, i))), PB.el("td", { class: "about" }, about(i)),
      [PB.number(totals.mean[i]), `${totals.at_floor[i]}/${totals.problems[i]}`, PB.number(totals.coverage90[i], true), PB.number(totals.z_std[i]), PB.number(totals.mode_tv[i]), PB.number(totals.work[i]), PB.number(totals.seconds_per_1000[i]), `${totals.failed[i]}/${totals.total[i]}`].map((text, j) => (told[j + 2] ? PB.el("td", { class: "num" }, text) : null))));
    byId("method-list").replaceChildren(PB.el("table", { class: "board" }, PB.el("caption", { class: "sr" }, "Methods with the bias seen and their cost"), PB.el("thead", {}, PB.el("tr", {}, heads.map((name, i) => (told[i] ? PB.el("th", { scope: "col", class: i > 1 ? "num" : "" }, name) : null)))), PB.el("tbody", {}, body)));
    const left = found.length - body.length;
    byId("method-more").replaceChildren(...(left > 0 ? [PB.el("button", { type: "button", on: { click: () => { many += 100; methods(); } } }, `Show more of ${left}`)] : []));
  }
  byId("m-search").addEventListener("input", PB.later(methods, 150));
  methods();

  byId("metric-list").append(PB.el("table", { class: "plain" }, PB.el("thead", {}, PB.el("tr", {}, ["metric", "unit", "better", "what it is"].map((name) => PB.el("th", { scope: "col" }, name)))),
    PB.el("tbody", {}, Object.entries(run.metrics).map(([name, metric]) => PB.el("tr", {}, PB.el("th", { scope: "row" }, name), PB.el("td", {}, metric.unit || ""), PB.el("td", {}, typeof metric.better === "number" ? String(metric.better) : metric.better || ""), PB.el("td", { class: "about" }, metric.summary || ""))))));
  const together = run.pictures.filter((picture) => !picture.problem);
  if (!together.length) byId("picture-list").previousElementSibling.remove();
  byId("picture-list").replaceWith(PB.pictures(together));
};
