"use strict";
for (const part of ["tips", "field", "table", "lists", "charts", "dialogs"]) PB.parts[part]();
document.documentElement.dataset.ready = "yes";
performance.mark("pb-ready");
PB.route();
