"use strict";
// What every part of the page uses: the data, elements made without HTML text, numbers as text, links.

const PB = { data: {}, parts: {} };
performance.mark("pb-start");

function pageData(name, value) { // called by the scripts in data/
  PB.data[name] = value;
}

// An element; children are elements or texts, so that no string of the data is ever read as HTML.
PB.el = function (tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (name === "style") for (const [property, one] of Object.entries(value)) node.style.setProperty(property, one);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
};

PB.svg = function (tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

// A column of a table: numbers are as they are (null where there is none), texts are looked up.
PB.get = function (table, column, row) {
  const values = table[column];
  if (values === undefined) return null;
  if (Array.isArray(values)) return values[row] === undefined ? null : values[row];
  return values.words[values.at[row]];
};

PB.count = function (table) {
  const first = Object.values(table)[0];
  return first === undefined ? 0 : Array.isArray(first) ? first.length : first.at.length;
};

PB.decimals = function (value) {
  if (value === 0 || !Number.isFinite(value)) return 0;
  return Math.min(3, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
};

// Three significant digits and at most three decimals, as in the other tables.
PB.number = function (value, signed, decimals) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (Math.abs(value) >= 1e6) return value.toExponential(2).replace("e+", "e").replace("-", "−");
  const text = Math.abs(value).toFixed(decimals === undefined ? PB.decimals(value) : decimals);
  return (value < 0 ? "−" : signed ? "+" : "") + text;
};

PB.withError = function (value, error, signed) {
  if (value === null || error === null || !Number.isFinite(value) || !Number.isFinite(error)) {
    return [PB.number(value, signed), ""];
  }
  const places = Math.max(PB.decimals(value), PB.decimals(error) - 1);
  return [PB.number(value, signed, places), PB.number(error, false, places)];
};

// Text with its web addresses and arXiv numbers as links; nothing else becomes one.
PB.linked = function (text) {
  const pattern = /https?:\/\/[^\s<>"'`)\]]+|arXiv:?\s*(\d{4}\.\d{4,5})/g;
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const address = match[1] ? `https://arxiv.org/abs/${match[1]}` : match[0].replace(/[.,;]+$/, "");
    const words = match[1] ? match[0] : address;
    parts.push(text.slice(end, match.index), PB.el("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, words));
    end = match.index + words.length;
  }
  parts.push(text.slice(end));
  return parts;
};

// The label with its mark: † is given the posterior's score, ‡ estimates one signal.
PB.named = (table, row) => PB.get(table, "label", row) + (PB.get(table, "mark", row) ? ` ${PB.get(table, "mark", row)}` : "");
PB.hash = (kind, ...names) => `#${kind}/${names.map(encodeURIComponent).join("/")}`;
PB.cellHash = (row) => PB.hash("cell", PB.at("problem", row), PB.at("config", row), PB.at("framework", row));
PB.at = (column, row) => PB.get(PB.data.board, column, row);
// Seconds per 1000 samples with the training before them, as `report --max-seconds` counts them.
PB.seconds = (row) => (PB.at("seconds_per_1000", row) === null ? null : PB.at("seconds_per_1000", row) + (PB.at("seconds_train", row) || 0));
PB.status = (word) => word.replaceAll("_", " ");

PB.later = function (act, milliseconds) { // debounced
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
};

const scripts = new Map();
PB.script = function (address) { // a script, loaded once: file:// forbids fetch
  if (!scripts.has(address)) {
    scripts.set(address, new Promise((resolve, reject) => {
      const node = PB.el("script", { src: address, on: { load: resolve, error: () => reject(new Error(`${address} is missing`)) } });
      document.head.append(node);
    }));
  }
  return scripts.get(address);
};

// The rest of a problem: its further columns join the board, and what its cells tell is returned.
const merged = new Map();
PB.problem = async function (name) {
  const index = PB.data.run.problems.indexOf(name);
  if (index < 0) return null;
  if (!merged.has(name)) {
    merged.set(name, PB.script(`data/problem-${index}.js`).then(() => {
      const { rows, columns, told } = PB.data[`problem-${index}`];
      const total = PB.count(PB.data.board);
      for (const column of Object.keys(columns)) {
        if (!Array.isArray(columns[column])) continue;
        if (!PB.data.board[column]) PB.data.board[column] = new Array(total).fill(null);
        rows.forEach((row, i) => { PB.data.board[column][row] = columns[column][i]; });
      }
      return { rows, ...told };
    }));
  }
  return merged.get(name);
};
PB.everything = () => Promise.all(PB.data.run.problems.map(PB.problem));

// Tests of calibration: rows of calibration.parquet.
PB.marks = { pass: "✓", fail: "✕", none: "–" };
PB.testName = ({ test, quantity }) => {
  const words = { sbc: "SBC", tarp: "TARP", coverage: "coverage", hpd: "posterior density", range: "range(Aᵀ)", null: "null(A)", low: "low frequencies", mid: "middle frequencies", high: "high frequencies" };
  return [...new Set([test, quantity])].map((word) => words[word] || PB.status(word)).join(" ");
};
PB.testWords = (one) => [
  `${one.level === null ? "" : `${Math.round(100 * one.level)} %: `}${one.words || one.reason || one.verdict}`,
  one.value === null ? "" : `value ${PB.number(one.value, true)}${one.stderr === null ? "" : ` ± ${PB.number(one.stderr)}`}`,
  one.p_value === null ? "" : one.p_value < 1e-4 ? "p < 0.0001" : `p ${one.p_value.toPrecision(2)}`,
].filter(Boolean).join(", ");

PB.known = (problem) => {
  const { provides } = PB.data.run.cards.problems[problem] || {};
  return !provides || provides.includes("posterior");
};
PB.foreign = (problem) => PB.data.run.foreign.includes(problem);
PB.disbelieved = (problem, metric) => {
  const reasons = PB.data.run.disbelieved[problem] || {};
  const name = metric === "sw1_over_floor95" ? "sw1" : metric;
  return Object.hasOwn(reasons, name) ? reasons[name] || "it failed its gate" : "";
};
