"use strict";
// What is behind a cell, a problem and a method; each has its address: #cell/…, #problem/…, #method/….

PB.pictures = function (pictures) {
  return PB.el("div", { class: "pictures" }, pictures.map((picture) => {
    const about = picture.title + (picture.problem ? ` on ${picture.problem}` : "");
    return PB.el("figure", {}, PB.el("a", { href: `figures/${encodeURIComponent(picture.file)}`, target: "_blank" },
      PB.el("img", { src: `figures/${encodeURIComponent(picture.file)}`, alt: about, width: picture.width, height: picture.height, loading: "lazy" })), PB.el("figcaption", {}, about));
  }));
};

PB.parts.dialogs = function () {
  const board = PB.data.board, run = PB.data.run, totals = PB.data.totals;
  const dialog = document.getElementById("dialog");
  let back = "#overview";

  const facts = (pairs) => PB.el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [PB.el("dt", {}, name), PB.el("dd", {}, value)]));
  const section = (title, ...children) => PB.el("section", {}, PB.el("h3", {}, title), ...children.filter(Boolean));
  const shape = (value) => (value ? value.join(" × ") : "");
  const json = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const region = (label, table) => PB.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);

  function frame(kicker, title, ...children) {
    const close = PB.el("button", { type: "button", class: "close", "aria-label": "Close", on: { click: () => dialog.close() } }, "✕");
    dialog.replaceChildren(PB.el("div", { class: "sheet" }, PB.el("div", { class: "head" }, PB.el("div", {}, PB.el("p", { class: "kicker" }, kicker), PB.el("h2", { id: "dialog-title" }, title)), close), ...children.filter(Boolean)));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    close.focus();
  }

  function target(metric) {
    if (typeof metric.better === "number") return String(metric.better);
    return metric.better === "higher" ? "higher" : metric.better === "lower" ? "lower" : "";
  }

  function metricRows(row, problem, gates) {
    return Object.entries(run.metrics).filter(([key]) => Array.isArray(board[key]) && board[key][row] !== null).map(([key, metric]) => {
      const [value, error] = PB.withError(board[key][row], PB.at(`${key}_stderr`, row));
      const floor = PB.at(`${key}_floor95`, row), reason = PB.disbelieved(problem, key);
      const of = gates.filter((gate) => gate.metric === key), found = of.filter((gate) => gate.smallest && gate.found);
      const verdict = reason ? `not believed: ${reason}` : of.length ? `believed${found.length ? `; finds ${found.map((gate) => `${gate.fault} ${PB.number(gate.size)}${gate.size_unit ? ` ${gate.size_unit}` : ""}`).join(", ")}` : ""}` : "–";
      const at = floor !== null && board[key][row] <= floor;
      return PB.el("tr", { class: reason ? "greyed" : "" }, PB.el("th", { scope: "row" }, key),
        PB.el("td", { class: "num" }, at ? PB.el("span", {}, "● ", PB.el("b", {}, value)) : value, error && PB.el("small", {}, ` ± ${error}`), metric.unit && metric.unit !== "1" ? PB.el("small", {}, ` ${metric.unit}`) : ""),
        PB.el("td", { class: "num" }, floor === null ? "" : PB.number(floor)), PB.el("td", {}, target(metric)), run.has_gates ? PB.el("td", { class: "gate" }, verdict) : null, PB.el("td", { class: "about" }, metric.summary || ""));
    });
  }

  async function cell(problem, config, framework) {
    const row = [...Array(PB.count(board)).keys()].find((one) => PB.at("problem", one) === problem && PB.at("config", one) === config && PB.at("framework", one) === framework);
    if (row === undefined) return missing(`${config} on ${problem}`);
    const { rows, details, gates, verdicts } = await PB.problem(problem), tests = verdicts.filter((one) => one.test && one.config === config && one.framework === framework);
    const detail = details[rows.indexOf(row)], method = PB.at("method", row), card = run.cards.methods[method];
    const value = board.sw1_over_floor95[row], [text, error] = PB.withError(value, PB.at("sw1_over_floor95_stderr", row));
    const rank = board.reference[row] ? "reference row" : board.rank[row] === null ? `no rank${PB.at("no_order", row) ? `: ${PB.at("no_order", row)}` : ""}` : `rank ${board.rank[row]}${(PB.at("rank_high", row) ?? board.rank[row]) > board.rank[row] ? `–${PB.at("rank_high", row)}` : ""}`;
    const copy = PB.el("button", { type: "button", class: "quiet", on: { click: async () => { try { await navigator.clipboard.writeText(detail.command); copy.textContent = "Copied"; } catch { getSelection().selectAllChildren(command); copy.textContent = "Selected"; } } } }, "Copy");
    const command = PB.el("code", {}, detail.command);
    const bad = board.tasks_failed[row] > 0 || (board.tasks_ok[row] === 0);
    frame(PB.el("a", { href: PB.hash("problem", problem) }, problem), PB.named(board, row),
      PB.el("p", { class: "verdict-line" }, PB.el("span", { class: board.at_floor[row] ? "pill floor" : "pill" }, value === null ? PB.status(PB.at("status", row)) : `${board.at_floor[row] ? "● at the floor: " : "SW1 / floor "}${text}${error ? ` ± ${error}` : ""}`), ` ${rank}; ${board.tasks_ok[row]} of ${board.tasks_total[row]} tasks ok`),
      PB.disbelieved(problem, "sw1_over_floor95") && PB.el("p", { class: "warning" }, `SW1 is not believed on this problem: ${PB.disbelieved(problem, "sw1_over_floor95")}`),
      bad && section("What went wrong", PB.el("p", {}, [PB.at("failures", row), PB.at("reason", row)].filter(Boolean).join(": ") || PB.status(PB.at("status", row))), detail.traceback ? PB.el("pre", { tabindex: "0", role: "region", "aria-label": "Traceback" }, detail.traceback) : PB.el("p", { class: "dim" }, "No traceback was kept.")),
      tests.length > 0 && section("Calibration tests", region("Calibration tests", testTable(tests))),
      board.tasks_ok[row] > 0 && Object.keys(run.metrics).length > 0 && section("Every metric", region("Every metric", PB.el("table", { class: "plain metrics" }, PB.el("thead", {}, PB.el("tr", {}, ["metric", "value", "floor", "better", ...(run.has_gates ? ["gate"] : []), "what it is"].map((name, i) => PB.el("th", { scope: "col", class: i === 1 || i === 2 ? "num" : "" }, name)))), PB.el("tbody", {}, metricRows(row, problem, gates)))), !run.has_gates && PB.el("p", { class: "note" }, "The metrics were not gated in this run: no planted faults say how small an error each of them sees.")),
      section("Repeat it", PB.el("div", { class: "command" }, PB.el("pre", { tabindex: "0", role: "region", "aria-label": "Command" }, command), copy)),
      section("Configuration", facts([
        ["method", PB.el("a", { href: PB.hash("method", method) }, method)], ["paper", card ? PB.linked(card.doc || card.summary).length > 1 ? PB.el("span", {}, paper(card)) : card.summary : "no card was stored with this run"],
        ["significantly better", PB.at("beaten_by", row) || (board.rank[row] === null || PB.at("beaten_by", row) === null ? "" : "none")], ["framework", framework], ["device", `${PB.at("device", row)}, ${board.threads[row]} threads`], ["samples", board.n[row]], ["instances", board.instances[row]], ["repeats", board.repeats[row]], ["seed", run.info.seed],
        ["nfe + vjp", `${PB.number(board.nfe[row])} + ${PB.number(board.vjp[row])}`], ["sampling", `${PB.number(board.seconds_sample[row])} s; compiling ${PB.number(PB.at("seconds_compile", row))} s; training ${PB.number(board.seconds_train[row])} s`], ["peak memory", `${PB.number(PB.at("peak_mib", row))} MiB`],
        ["started", detail.started_at], ...Object.entries(detail.hyper).map(([name, one]) => [name, PB.el("code", {}, json(one))]),
        ["versions", Object.entries(detail.versions || run.info.versions).map(([name, one]) => `${name} ${one}`).join(", ")]])),
      section("Pictures", pictures(problem)));
  }

  function testTable(tests) {
    const body = tests.map((one) => PB.el("tr", {}, PB.el("th", { scope: "row" }, PB.testName(one)), PB.el("td", { class: `verdict ${one.verdict}` }, `${PB.marks[one.verdict]} ${one.verdict === "none" ? "no verdict" : one.verdict}`), PB.el("td", {}, PB.testWords(one))));
    return PB.el("table", { class: "plain" }, PB.el("thead", {}, PB.el("tr", {}, ["test", "verdict", "what was seen"].map((name) => PB.el("th", { scope: "col" }, name)))), PB.el("tbody", {}, body));
  }

  // The sentence of a docstring that names the paper.
  function paper(card) {
    const text = (card.doc || card.summary).replace(/\s+/g, " ");
    const sentences = text.split(/(?<=\.)\s+(?=[A-Z])/).filter((one) => PB.linked(one).length > 1);
    return PB.linked(sentences.slice(0, 3).join(" "));
  }

  function pictures(problem) {
    const own = run.pictures.filter((picture) => picture.problem === problem);
    return own.length ? PB.pictures(own) : PB.el("p", { class: "dim" }, "This run has no pictures of this problem.");
  }

  async function problem(name) {
    if (!run.problems.includes(name)) return missing(`a problem ${name}`);
    const card = run.cards.problems[name], { rows, gates } = await PB.problem(name);
    const tried = rows.filter((row) => board.tasks_ok[row] > 0), example = tried[0];
    const best = rows.slice(0, 60).map((row) => PB.el("tr", { class: board.reference[row] ? "reference" : "" }, PB.el("th", { scope: "row" }, PB.el("a", { href: PB.cellHash(row) }, PB.named(board, row))), PB.el("td", { class: "num" }, board.reference[row] ? "ref" : PB.number(board.rank[row])), PB.ratioCell(row), PB.statusCell(row)));
    frame("Problem", name, card ? PB.el("p", { class: "lead" }, card.summary) : PB.el("p", { class: "warning" }, "No card of this problem was stored with this run."),
      card && section("What it stresses", PB.el("p", {}, PB.linked(card.stresses))),
      PB.foreign(name) && PB.el("p", { class: "warning" }, "The truths are not drawn from the prior: coverage and z-std have no target here but the exact row."),
      section("Sizes", facts([["kind", card && card.kind], ["shape", card && shape(card.shape)], ["dimension", card && card.dim], ["provides", card && card.provides.join(", ")], ["data range", card && card.data_range], ["instances", example === undefined ? "none is ok" : board.instances[example]], ["samples per task", example === undefined ? "" : board.n[example]], ["SW1 floor", example === undefined ? "" : PB.number(PB.at("sw1_floor95", example))]])),
      section("Results", document.body.classList.contains("calibration-only") ? PB.el("p", { class: "note" }, "Calibration alone was tested; a method leads to its tests.") : PB.el("p", {}, PB.el("a", { href: `#leaderboard?problem=${encodeURIComponent(name)}` }, "All columns in the leaderboard")), region("Results", PB.el("table", { class: "board" }, PB.el("thead", {}, PB.el("tr", {}, ["method", "rank", "SW1 / floor", "status"].map((one, i) => PB.el("th", { scope: "col", class: i === 1 || i === 2 ? "num" : "" }, one)))), PB.el("tbody", {}, best)))),
      gates.length > 0 && section("May its metrics be believed?", gateTable(gates)),
      section("Pictures", pictures(name)));
  }

  function gateTable(gates) {
    const metrics = [...new Set(gates.map((gate) => gate.metric))];
    const rows = metrics.map((metric) => {
      const of = gates.filter((gate) => gate.metric === metric), found = of.filter((gate) => gate.smallest && gate.found);
      return PB.el("tr", { class: of[0].believed ? "" : "greyed" }, PB.el("th", { scope: "row" }, metric), PB.el("td", {}, of[0].believed ? "✓ believed" : "⊘ not believed"), PB.el("td", {}, found.map((gate) => `${gate.fault} ${PB.number(gate.size)}${gate.size_unit ? ` ${gate.size_unit}` : ""}`).join(", ") || "none"), PB.el("td", {}, of[0].reason || ""));
    });
    return region("Gates", PB.el("table", { class: "plain" }, PB.el("thead", {}, PB.el("tr", {}, ["metric", "verdict", "smallest faults that it finds", "why not"].map((one) => PB.el("th", { scope: "col" }, one)))), PB.el("tbody", {}, rows)));
  }

  function method(name) {
    const code = board.method.words.indexOf(name);
    if (code < 0) return missing(`a method ${name}`);
    const card = run.cards.methods[name];
    const mine = [...Array(PB.count(totals)).keys()].filter((i) => PB.get(totals, "method", i) === name);
    const cells = [...Array(PB.count(board)).keys()].filter((row) => board.method.at[row] === code);
    const bias = mine.map((i) => PB.el("tr", {}, PB.el("th", { scope: "row" }, PB.get(totals, "label", i)), ["mean", "lowest", "highest"].map((key) => PB.el("td", { class: "num" }, PB.number(totals[key][i]))), PB.el("td", { class: "num" }, `${totals.at_floor[i]}/${totals.problems[i]}`), PB.el("td", { class: "num" }, PB.number(totals.coverage90[i], true)), PB.el("td", { class: "num" }, PB.number(totals.z_std[i])), PB.el("td", { class: "num" }, PB.number(totals.mode_tv[i])), PB.el("td", { class: "num" }, PB.number(totals.work[i])), PB.el("td", { class: "num" }, PB.number(totals.seconds_per_1000[i])), PB.el("td", { class: "num" }, PB.number(totals.seconds_train[i])), PB.el("td", { class: "num" }, `${totals.failed[i]}/${totals.total[i]}`)));
    const heads = ["configuration", "mean SW1 / floor", "best", "worst", "at floor", "90 % cov. error", "z-std", "mode TV", "nfe + vjp", "s per 1000", "training s", "failed"];
    const [summary, ...rest] = card ? (card.doc || card.summary).split("\n") : ["No card of this method was stored with this run."];
    frame("Method", name, PB.el("p", { class: card ? "lead" : "warning" }, PB.linked(summary)),
      card && rest.join("\n").trim() && PB.el("pre", { class: "doc" }, PB.linked(rest.join("\n").trim())),
      card && section("What it is given", facts([["sees", card.oracle ? "the exact posterior's score (oracle †): only its integrator errs" : "the prior, the operator, the noise and y"], ["needs", [...card.requires, ...(card.max_dim ? [`at most ${card.max_dim} dimensions`] : [])].join(", ") || "nothing"], ["runs in", card.frameworks.join(", ")], ["samples", card.point ? "are estimates of one signal (‡): their spread means nothing" : card.particle ? "depend on each other: they interact, or share random numbers" : "independent of each other"], ["plugin", card.plugin], ["presets", Object.entries(card.presets).filter(([one]) => one !== "default").map(([one, value]) => `${one}: ${Object.entries(value).map(([key, what]) => `${key} = ${json(what)}`).join(", ") || "the defaults"}`).join("; ")], ...Object.entries(card.hyper).map(([key, value]) => [key, PB.el("code", {}, json(value))])])),
      section("Bias seen, and cost", PB.el("p", { class: "note" }, "Over all its problems: SW1 / floor and z-std as geometric means, cost as medians; coverage and z-std only where truths are drawn from the prior."), region("Bias and cost", PB.el("table", { class: "plain" }, PB.el("thead", {}, PB.el("tr", {}, heads.map((one, i) => PB.el("th", { scope: "col", class: i ? "num" : "" }, one)))), PB.el("tbody", {}, bias)))),
      section("Where it runs", PB.el("ul", { class: "map" }, run.problems.map((problem) => capability(problem, card, cells)))));
  }

  function capability(problem, card, cells) {
    const rows = cells.filter((row) => PB.at("problem", row) === problem);
    const provides = (run.cards.problems[problem] || {}).provides, lacks = card && provides ? card.requires.filter((need) => !provides.includes(need)) : [];
    if (!rows.length) return PB.el("li", {}, PB.el("span", { class: "dim" }, `– ${problem}: ${lacks.length ? `lacks ${lacks.join(", ")}` : "not part of this run"}`));
    const chips = rows.map((row) => {
      const ok = board.tasks_ok[row] > 0, word = PB.status(PB.at("status", row)), value = board.sw1_over_floor95[row];
      const text = !ok ? `${word === "skipped" ? "–" : "✕"} ${word}: ${PB.at("reason", row) || "no reason was kept"}` : board.at_floor[row] ? `● ${PB.number(value)}` : PB.number(value) + (board.tasks_failed[row] ? `, ${PB.at("failures", row)}` : "");
      return [PB.el("a", { href: PB.cellHash(row), class: board.at_floor[row] ? "pill floor" : "pill" }, rows.length > 1 ? `${PB.at("label", row)} ` : "", text), " "];
    });
    return PB.el("li", {}, PB.el("a", { class: "soft", href: PB.hash("problem", problem) }, problem), " ", chips);
  }

  const missing = (what) => frame("Not here", `There is no ${what} in this run`, PB.el("p", {}, "The address names something that this run does not have."));

  const views = { cell, problem, method };
  PB.route = async function () {
    const [kind, ...rest] = location.hash.slice(1).split("/");
    if (Object.hasOwn(views, kind)) {
      let names = [];
      try { names = rest.map(decodeURIComponent); } catch { names = rest; }
      return views[kind](...names);
    }
    back = location.hash || "#overview";
    if (dialog.open) dialog.close();
    const [place, query] = location.hash.slice(1).split("?");
    if (place === "leaderboard" && query !== undefined) {
      await PB.filter(query);
      document.getElementById("leaderboard").scrollIntoView();
    }
    return null;
  };
  dialog.addEventListener("close", () => { if (Object.hasOwn(views, location.hash.slice(1).split("/")[0])) history.replaceState(null, "", back); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  window.addEventListener("hashchange", PB.route);
};
