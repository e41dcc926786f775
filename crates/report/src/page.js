// Sorts tables, hides transports in all plots, and shows the value nearest to the pointer.
"use strict";
(() => {
  const TIP_PX_MAX = 30;

  const numberIn = (cell) => Number.parseFloat(cell.textContent.replace(/,/g, "").replace("−", "-"));

  function compare(a, b) {
    const [x, y] = [numberIn(a), numberIn(b)];
    if (Number.isNaN(x) && Number.isNaN(y)) return a.textContent.localeCompare(b.textContent);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return x - y;
  }

  for (const head of document.querySelectorAll("thead th")) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const table = head.closest("table");
      const column = [...head.parentNode.children].indexOf(head);
      const descends = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descends ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((a, b) => compare(a.cells[column], b.cells[column]));
      table.tBodies[0].append(...(descends ? rows.reverse() : rows));
    });
  }

  const plots = document.getElementById("plots");
  if (!plots) return;
  const subjectOf = (group) => group.dataset.subject.replace(/ \(overloaded\)$/, "");
  const groups = [...plots.querySelectorAll("g[data-subject]")];
  const choice = document.createElement("fieldset");
  choice.id = "subjects";
  choice.append(Object.assign(document.createElement("legend"), { textContent: "Show in all plots" }));
  for (const subject of new Set(groups.map(subjectOf))) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      for (const group of groups) if (subjectOf(group) === subject) group.style.display = box.checked ? "" : "none";
    });
    const label = document.createElement("label");
    label.append(box, ` ${subject}`);
    choice.append(label);
  }
  if (groups.length > 0) plots.querySelector("h2").after(choice);

  const tip = Object.assign(document.createElement("div"), { id: "tip", hidden: true });
  document.body.append(tip);
  for (const svg of plots.querySelectorAll("svg.plot")) {
    const spots = [...svg.querySelectorAll(".tip")].map((spot) => ({ spot, text: spot.textContent }));
    // This tip replaces the browser's own.
    for (const { spot } of spots) spot.replaceChildren();
    svg.addEventListener("pointermove", ({ clientX, clientY, pageX, pageY }) => {
      const toScreen = svg.getScreenCTM();
      const [x, y] = [(clientX - toScreen.e) / toScreen.a, (clientY - toScreen.f) / toScreen.d];
      let nearest, least = TIP_PX_MAX / toScreen.a;
      for (const one of spots) {
        const distance = Math.hypot(one.spot.cx.baseVal.value - x, one.spot.cy.baseVal.value - y);
        if (distance < least && one.spot.parentNode.style.display !== "none") [nearest, least] = [one, distance];
      }
      tip.hidden = !nearest;
      if (!nearest) return;
      tip.textContent = nearest.text;
      tip.style.left = `${Math.max(0, Math.min(pageX + 12, innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${pageY + 16}px`;
    });
    svg.addEventListener("pointerleave", () => (tip.hidden = true));
  }
})();
