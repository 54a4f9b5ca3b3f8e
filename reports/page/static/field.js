"use strict";
// Every method on every problem as coloured numbers: the first look.

PB.parts.field = function () {
  const board = PB.data.board, totals = PB.data.totals, run = PB.data.run;
  const total = PB.count(totals);
  const cells = new Map();
  for (let row = 0; row < PB.count(board); row++) cells.set(`${board.label.at[row]} ${board.problem.at[row]}`, row);
  const codes = new Map(board.label.words.map((word, i) => [word, i]));
  const problems = run.problems.filter(PB.known).map((name) => [name, board.problem.words.indexOf(name)]);
  const all = [...Array(total).keys()], top = all.filter((i) => PB.get(totals, "label", i) === "exact");
  const samplers = all.filter((i) => !totals.reference[i]), others = all.filter((i) => totals.reference[i] && !top.includes(i));
  let many = 12;

  function cell(code, [problem, at]) {
    const row = cells.get(`${code} ${at}`);
    if (row === undefined) return PB.el("td", { class: "empty" }, PB.el("span", { class: "sr" }, "not run"));
    const value = board.sw1_over_floor95[row], ok = board.tasks_ok[row];
    const href = PB.cellHash(row), word = PB.status(PB.at("status", row));
    const about = `${PB.at("label", row)} on ${problem}: `;
    if (!ok || value === null) return PB.el("td", { class: "none" }, PB.el("a", { href, "aria-label": about + word, "data-tip": `${about}${word}. ${PB.at("reason", row) || ""}` }, word === "skipped" ? "–" : word === "ok" ? "?" : "✕"));
    const at_floor = board.at_floor[row], failed = board.tasks_failed[row] > 0;
    const reason = PB.disbelieved(problem, "sw1_over_floor95");
    const depth = Math.min(1, Math.max(0, Math.log10(value) / 2));
    const text = PB.number(value, false, value < 2 ? 2 : value < 9.95 ? 1 : 0) + (failed ? "!" : "");
    const told = `${about}SW1 / floor ${PB.number(value)}${at_floor ? ", at the floor" : ""}${failed ? `, ${board.tasks_failed[row]} failed tasks` : ""}${reason ? `. Not believed: ${reason}` : ""}`;
    return PB.el("td", { class: ["heat", at_floor ? "floor" : "", failed ? "hatch" : "", reason ? "greyed" : ""].join(" ").trim(), style: { "--depth": depth.toFixed(2) } },
      PB.el("a", { href, "aria-label": told, "data-tip": told }, at_floor ? "●" : "", PB.el("span", {}, text)));
  }

  function render() {
    const head = PB.el("tr", {}, PB.el("th", { scope: "col" }, "method"), PB.el("th", { scope: "col", class: "num" }, "mean"), PB.el("th", { scope: "col", class: "num" }, "at floor"),
      problems.map(([name]) => PB.el("th", { scope: "col", class: "turned" }, PB.el("a", { class: "soft", href: PB.hash("problem", name) }, name))));
    const order = [...top, ...samplers.slice(0, many), ...others];
    const rows = order.map((i, place) => {
      const label = PB.get(totals, "label", i), reference = totals.reference[i];
      const first = place > 0 && Boolean(reference) !== Boolean(totals.reference[order[place - 1]]);
      return PB.el("tr", { class: [reference ? "reference" : "", first ? "new-problem" : ""].join(" ").trim() },
        PB.el("th", { scope: "row" }, PB.el("a", { href: PB.hash("method", PB.get(totals, "method", i)) }, PB.named(totals, i))),
        PB.el("td", { class: "num" }, PB.number(totals.mean[i])),
        PB.el("td", { class: "num" }, totals.problems[i] ? `${totals.at_floor[i]}/${totals.problems[i]}` : "–"),
        problems.map((problem) => cell(codes.get(label), problem)));
    });
    document.getElementById("field-table").replaceChildren(PB.el("table", { class: "field" }, PB.el("caption", { class: "sr" }, "SW1 over floor of every method on every problem; mean is the geometric mean"), PB.el("thead", {}, head), PB.el("tbody", {}, rows)));
    const left = samplers.length - many;
    document.getElementById("field-more").replaceChildren(...(left > 0 ? [PB.el("button", { type: "button", on: { click: () => { many += 100; render(); } } }, left > 100 ? `Show 100 more of ${left} samplers` : `Show the other ${left} samplers`)] : []));
  }
  render();
};
