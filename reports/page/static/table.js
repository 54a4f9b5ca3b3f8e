"use strict";
// The leaderboard: filters, sorting, pages of rows. Its state is in the address, so that a view can be linked.

PB.parts.table = function () {
  const board = PB.data.board, run = PB.data.run;
  const SIZE = 50;
  const FIELDS = ["search", "problem", "kind", "framework", "status", "work", "seconds", "columns"];
  const total = PB.count(board);
  const field = (name) => document.getElementById(`f-${name}`);
  const state = { sort: "", down: false, page: 0 };
  const ties = new Map();
  for (let row = 0; row < total; row++) {
    const rank = board.rank[row], key = `${board.problem.at[row]} ${rank}`;
    if (rank !== null) ties.set(key, (ties.get(key) || 0) + 1);
  }
  const known = new Set(run.columns.map((column) => column.key));
  let shown = [];

  const texts = (key, title) => ({ key, title, text: true });
  function columns() {
    const told = (key) => (shown.length ? shown.some((row) => board[key][row] !== null) : true);
    const printed = run.columns.filter((c) => Array.isArray(board[c.key]) && told(c.key));
    const more = Object.keys(run.metrics).filter((key) => !known.has(key) && key !== "sw1" && Array.isArray(board[key]) && told(key));
    const training = (c) => c.key !== "seconds_train" || board.seconds_train.some((value) => value > 0);
    return [
      texts("label", "method"), ...(field("problem").value ? [] : [texts("problem", "problem")]), { key: "rank", title: "rank" },
      ...printed.filter(training),
      ...(field("columns").value === "all" ? ["sw1", ...more].map((key) => ({ key, title: key.replaceAll("_", " ") })) : []),
      texts("framework", "runs in"), texts("status", "status"),
    ];
  }

  function options(select, values) {
    select.append(...values.map((value) => PB.el("option", { value }, PB.status(value))));
  }
  const kinds = [...new Set(run.problems.map((name) => (run.cards.problems[name] || {}).kind).filter(Boolean))];
  options(field("problem"), run.problems);
  options(field("kind"), kinds);
  options(field("framework"), board.framework.words);
  options(field("status"), ["at the floor", "above the floor", ...board.status.words]);
  field("columns").append(PB.el("option", { value: "" }, "as printed"), PB.el("option", { value: "all" }, "every metric"));
  field("kind").parentElement.hidden = kinds.length < 2;
  field("framework").parentElement.hidden = board.framework.words.length < 2;

  // Words of the search are looked up among the different texts, not among the rows.
  function searcher() {
    const words = field("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const among = ["label", "problem", "reason", "failures"].map((key) => board[key]).filter((column) => column && column.words);
    const found = words.map((word) => among.map((column) => column.words.map((text) => text.toLowerCase().includes(word))));
    return (row) => found.every((columns) => columns.some((hit, i) => hit[among[i].at[row]]));
  }

  function filtered() {
    const matches = searcher(), problem = field("problem").value, kind = field("kind").value;
    const framework = field("framework").value, status = field("status").value;
    const limit = (name) => (field(name).value === "" ? Infinity : Number(field(name).value));
    const work = limit("work"), seconds = limit("seconds"), references = field("references").checked;
    const within = (value, most) => most === Infinity || (value !== null && value <= most);
    const ofProblem = board.problem.words.map((name) => (!problem || name === problem) && (!kind || (run.cards.problems[name] || {}).kind === kind));
    const rows = [];
    for (let row = 0; row < total; row++) {
      if (!ofProblem[board.problem.at[row]] || (!references && board.reference[row])) continue;
      if (framework && PB.at("framework", row) !== framework) continue;
      if (status === "at the floor" ? !board.at_floor[row] : status === "above the floor" ? !(board.sw1_over_floor95[row] > 1) : status && PB.at("status", row) !== status) continue;
      if (!within(board.work[row], work) || !within(PB.seconds(row), seconds)) continue;
      if (matches(row)) rows.push(row);
    }
    return rows;
  }

  // Signed metrics sort by their distance from the value that an exact sampler has; what has no value comes last.
  function sorted(rows) {
    const column = Object.hasOwn(board, state.sort) && board[state.sort];
    if (!column) return rows;
    const keys = new Float64Array(total).fill(NaN);
    if (Array.isArray(column)) {
      const better = (run.metrics[state.sort] || {}).better;
      for (const row of rows) {
        const value = column[row];
        if (value !== null) keys[row] = typeof better === "number" ? Math.abs(value - better) : value;
      }
    } else {
      const order = new Map([...column.words].sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((word, i) => [word, i]));
      for (const row of rows) keys[row] = order.get(column.words[column.at[row]]);
    }
    const way = state.down ? -1 : 1;
    const worth = (a, b) => {
      const x = keys[a], y = keys[b];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
      return x === y ? a - b : x < y ? -way : way;
    };
    return rows.sort(worth);
  }

  function rankCell(row) {
    const rank = board.rank[row];
    if (board.reference[row]) return PB.el("td", { class: "num dim" }, "ref");
    const untold = PB.at("no_order", row);
    if (rank === null) return PB.el("td", { class: "num dim" }, untold ? PB.el("button", { type: "button", class: "value", "data-tip": `No ranks here: ${untold}` }, "–") : "–");
    const shared = ties.get(`${board.problem.at[row]} ${rank}`);
    const low = PB.at("rank_low", row) ?? rank, high = PB.at("rank_high", row), beaten = PB.at("beaten_by", row);
    const interval = high !== null && high !== low ? `${low}–${high}` : "";
    const tip = `Rank ${rank}${shared > 1 ? `, shared by ${shared} that are not told apart` : ""}${interval ? `; its rank interval is ${interval}` : ""}.${beaten ? ` Significantly better: ${beaten}.` : beaten === "" ? " None is significantly better." : ""}`;
    return PB.el("td", { class: "num" }, PB.el("button", { type: "button", class: "value", "data-tip": tip },
      PB.el("b", {}, `${shared > 1 ? "=" : ""}${rank}`), interval && PB.el("small", {}, ` ${interval}`)));
  }

  function numberCell(column, row, value) {
    const cell = PB.el("td", { class: "num" });
    const [text, error] = PB.withError(value, PB.at(`${column.key}_stderr`, row), column.signed);
    const beside = column.beside ? PB.at(column.beside, row) : null;
    const written = [text, error && PB.el("small", {}, ` ± ${error}`), beside !== null && text !== "–" ? PB.el("small", {}, column.key === "nfe" ? ` + ${PB.number(beside)}` : ` (${PB.number(beside)})`) : ""];
    const reason = PB.disbelieved(PB.at("problem", row), column.key);
    const floor = PB.at(`${column.key}_floor95`, row);
    if (value === null) cell.append(...written.filter(Boolean));
    else if (reason) cell.append(PB.el("button", { type: "button", class: "value greyed", "data-tip": `Not believed here: ${reason}` }, PB.el("span", { "aria-hidden": "true" }, "⊘ "), ...written.filter(Boolean)));
    else if (floor !== null) cell.append(PB.el("button", { type: "button", class: "value", "data-tip": `Floor ${PB.number(floor)}: 95 % of exact samples of this number score less.` }, ...written.filter(Boolean)));
    else cell.append(...written.filter(Boolean));
    return cell;
  }

  function render() {
    const cols = columns();
    const pages = Math.max(1, Math.ceil(shown.length / SIZE));
    state.page = Math.min(state.page, pages - 1);
    const rows = shown.slice(state.page * SIZE, (state.page + 1) * SIZE);
    const head = cols.map((column) => {
      const on = state.sort === column.key;
      const metric = run.metrics[column.key] || {};
      const way = typeof metric.better === "number" ? "distance from its target" : "value";
      const tip = column.key === "sw1_over_floor95" ? "Sliced Wasserstein-1 distance over the 95 % quantile of exact samples; at or below 1 is at the floor." : metric.summary;
      return PB.el("th", { scope: "col", class: column.text ? "" : "num", "aria-sort": on ? (state.down ? "descending" : "ascending") : "none" },
        PB.el("button", { type: "button", class: "sort", "data-key": column.key, "data-tip": tip ? `${tip} Sorts by ${way}.` : null, on: { click: () => sort(column.key) } },
          column.title, PB.el("span", { class: "arrow", "aria-hidden": "true" }, on ? (state.down ? " ▾" : " ▴") : "")));
    });
    const body = rows.map((row, i) => {
      const before = i > 0 ? board.problem.at[rows[i - 1]] : board.problem.at[row];
      const classes = [board.reference[row] ? "reference" : "", board.at_floor[row] ? "at-floor" : "", before !== board.problem.at[row] ? "new-problem" : ""].join(" ").trim();
      return PB.el("tr", { class: classes, "data-row": row }, cols.map((column) => bodyCell(column, row)));
    });
    const table = PB.el("table", { class: "board" }, PB.el("caption", { class: "sr" }, "Leaderboard, one row per cell; choose a method for all of its numbers"),
      PB.el("thead", {}, PB.el("tr", {}, head)), PB.el("tbody", {}, body));
    const holder = document.getElementById("board");
    const focused = document.activeElement && document.activeElement.classList.contains("sort") ? document.activeElement.dataset.key : "";
    holder.replaceChildren(table);
    if (focused) [...table.querySelectorAll("button.sort")].find((button) => button.dataset.key === focused)?.focus();
    document.getElementById("count").textContent = `${shown.length.toLocaleString("en").replaceAll(",", " ")} of ${total.toLocaleString("en").replaceAll(",", " ")} rows`;
    pager(pages);
  }

  function bodyCell(column, row) {
    if (column.key === "label") {
      return PB.el("th", { scope: "row" }, PB.el("a", { href: PB.cellHash(row) }, PB.named(board, row)));
    }
    if (column.key === "problem") return PB.el("td", {}, PB.el("a", { class: "soft", href: PB.hash("problem", PB.at("problem", row)) }, PB.at("problem", row)));
    if (column.key === "rank") return rankCell(row);
    if (column.key === "sw1_over_floor95") return PB.ratioCell(row);
    if (column.key === "status") return PB.statusCell(row);
    if (column.text) return PB.el("td", {}, PB.at(column.key, row));
    return numberCell(column, row, board[column.key][row]);
  }

  function pager(pages) {
    const step = (by) => () => { state.page += by; render(); document.getElementById("board").scrollTop = 0; };
    const back = PB.el("button", { type: "button", disabled: state.page === 0, on: { click: step(-1) } }, "← Previous");
    const next = PB.el("button", { type: "button", disabled: state.page >= pages - 1, on: { click: step(1) } }, "Next →");
    document.getElementById("pager").replaceChildren(...(pages > 1 ? [back, PB.el("span", {}, `page ${state.page + 1} of ${pages}`), next] : []));
  }

  function sort(key) {
    if (state.sort !== key) Object.assign(state, { sort: key, down: key === "status" });
    else if (!state.down) state.down = true;
    else Object.assign(state, { sort: "", down: false });
    state.page = 0;
    update();
    remember();
  }

  function update() {
    shown = sorted(filtered());
    render();
  }

  function remember() {
    const told = new URLSearchParams();
    for (const name of FIELDS) if (field(name).value) told.set(name, field(name).value);
    if (!field("references").checked) told.set("references", "off");
    if (state.sort) told.set("sort", `${state.down ? "-" : ""}${state.sort}`);
    history.replaceState(null, "", `#leaderboard${told.size ? `?${told}` : ""}`);
  }

  async function changed() {
    if (field("columns").value === "all") await PB.everything();
    state.page = 0;
    update();
    remember();
  }

  // Sets filters and order from the address, as in #leaderboard?problem=seed2d&references=off&sort=-work (descending).
  PB.filter = async function (query) {
    const told = new URLSearchParams(query);
    for (const name of FIELDS) field(name).value = told.get(name) || "";
    field("references").checked = told.get("references") !== "off";
    const order = told.get("sort") || "", key = order.replace(/^-/, "");
    Object.assign(state, { sort: key, down: order !== key });
    await changed();
  };

  const form = document.getElementById("filters"), soon = PB.later(changed, 150);
  form.addEventListener("input", soon);
  form.addEventListener("reset", () => { Object.assign(state, { sort: "", down: false }); setTimeout(changed); });
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
};

// SW1 / floor with its interval, drawn on a logarithmic line whose tick is the floor.
PB.ratioCell = function (row) {
  const board = PB.data.board, value = board.sw1_over_floor95[row];
  if (value === null) return PB.el("td", { class: "num dim" }, "–");
  const [text, error] = PB.withError(value, PB.at("sw1_over_floor95_stderr", row));
  let low = PB.at("sw1_over_floor95_low", row), high = PB.at("sw1_over_floor95_high", row);
  const interval = low !== null && high !== null;
  if (!interval) { const half = PB.at("sw1_over_floor95_stderr", row); low = half === null ? null : value - half; high = half === null ? null : value + half; }
  const reason = PB.disbelieved(PB.at("problem", row), "sw1_over_floor95");
  const at = board.at_floor[row];
  const tip = [
    reason ? `Not believed here: ${reason}.` : at ? "At the floor: not above the 95 % quantile of what exact samples of the same number score." : value <= 1 ? "Below 1, but with failed tasks: not at the floor." : `${PB.number(value)} times the 95 % quantile of what exact samples score.`,
    PB.at("sw1", row) !== null ? `SW1 ${PB.number(board.sw1[row])}, floor ${PB.number(PB.at("sw1_floor95", row))}.` : "",
    interval ? `Interval ${PB.number(low)} to ${PB.number(high)}.` : "",
    board.tasks_failed[row] ? `${board.tasks_failed[row]} failed tasks count as the prior.` : "",
  ].filter(Boolean).join(" ");
  return PB.el("td", { class: "num ratio" }, PB.el("button", { type: "button", class: `value${reason ? " greyed" : ""}`, "data-tip": tip },
    PB.strip(value, low, high, at), PB.el("span", { class: "figure" }, PB.el("span", { class: "mark", "aria-hidden": "true" }, reason ? "⊘ " : at ? "● " : ""), at ? PB.el("b", {}, text) : text, at ? PB.el("span", { class: "sr" }, " at the floor") : "", error && PB.el("small", {}, ` ± ${error}`))));
};

PB.strip = function (value, low, high, at) {
  const x = (one) => 3 + 74 * Math.min(1, Math.max(0, Math.log10(Math.max(one, 1e-9) / 0.5) / Math.log10(200)));
  const node = PB.svg("svg", { class: at ? "strip at" : "strip", width: 80, height: 14, viewBox: "0 0 80 14", "aria-hidden": "true", focusable: "false" });
  node.append(PB.svg("line", { class: "axis", x1: 0, x2: 80, y1: 7, y2: 7 }), PB.svg("line", { class: "floor", x1: x(1), x2: x(1), y1: 1, y2: 13 }));
  if (low !== null && high !== null) node.append(PB.svg("line", { class: "whisker", x1: x(low), x2: x(high), y1: 7, y2: 7 }));
  node.append(at ? PB.svg("circle", { cx: x(value), cy: 7, r: 3.2 }) : PB.svg("rect", { x: x(value) - 2.8, y: 4.2, width: 5.6, height: 5.6 }));
  return node;
};

PB.statusCell = function (row) {
  const board = PB.data.board, word = PB.at("status", row);
  const text = word === "ok" ? "ok" : `${PB.status(word)} ${board.tasks_ok[row]}/${board.tasks_total[row]}`;
  const told = [PB.at("failures", row), PB.at("reason", row)].filter(Boolean).join(": ");
  return PB.el("td", {}, told ? PB.el("button", { type: "button", class: `value status ${word === "ok" ? "" : "bad"}`, "data-tip": told }, text) : PB.el("span", { class: "dim" }, text));
};
