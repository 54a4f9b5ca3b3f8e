"use strict";
// One tooltip for all: shown on hover, on keyboard focus and on tap, hidden by Escape.

PB.parts.tips = function () {
  const tip = document.getElementById("tip");
  let owner = null;

  function show(target) {
    if (owner && owner !== target) hide();
    owner = target;
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const dialog = target.closest("dialog");
    (dialog || document.body).append(tip); // above a dialog, which lies in the top layer
    target.setAttribute("aria-describedby", "tip");
    place();
  }

  function place() {
    const box = owner.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(box.left + box.width / 2 - own.width / 2, width - own.width - 8));
    const above = box.top - own.height - 8;
    const top = above > 8 ? above : box.bottom + 8;
    tip.style.setProperty("left", `${left}px`);
    tip.style.setProperty("top", `${top}px`);
  }

  function hide() {
    if (!owner) return;
    owner.removeAttribute("aria-describedby");
    owner = null;
    tip.hidden = true;
  }

  const told = (event) => (event.target instanceof Element ? event.target.closest("[data-tip]") : null);
  document.addEventListener("pointerover", (event) => { const target = told(event); if (target) show(target); else if (owner && owner !== document.activeElement) hide(); });
  document.addEventListener("focusin", (event) => { const target = told(event); if (target) show(target); else hide(); });
  document.addEventListener("click", (event) => { const target = told(event); if (target) show(target); else hide(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && owner) { hide(); event.preventDefault(); event.stopPropagation(); } }, true);
  document.addEventListener("scroll", () => { if (owner) place(); }, { capture: true, passive: true });
};
