(() => {
  const root = document.documentElement;
  const { specs, frames, columns, config } = JSON.parse(document.getElementById("embed").textContent);
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

  // Light and dark: the system's choice until the reader makes another.
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; label(); });
  system.addEventListener("change", label);
  label();
  button.hidden = false;

  // Charts: frames stand in the page column by column, Vega-Lite reads rows.
  const rows = (fields) => {
    const entries = Object.entries(fields).map(([name, place]) => [name, columns[place]]);
    const count = entries.length ? entries[0][1].length : 0;
    return Array.from({ length: count }, (_, row) =>
      Object.fromEntries(entries.filter(([, values]) => values[row] !== null).map(([name, values]) => [name, values[row]])));
  };
  const options = { mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, config, tooltip: { disableDefaultStyle: true } };
  const views = new Map();
  const draw = async (place) => {
    const spec = specs[place.dataset.chart];
    const datasets = Object.fromEntries(spec.datasets.map((name) => [name, rows(frames[name])]));
    delete place.dataset.drawn;
    try {
      views.get(place)?.finalize();
      const { view } = await vegaEmbed(place, { ...spec, datasets }, options);
      views.set(place, view);
      await focus();
      place.dataset.drawn = "yes";
    } catch (error) {
      place.textContent = `This chart could not be drawn: ${error.message}`;
    }
  };

  // A legend brings one model forward, in every chart of lines: while pointed at, or until clicked again.
  let pinned = "";
  let pointed = "";
  const focus = () => Promise.all([...views.values()]
    .filter((view) => "focus" in view.getState({ signals: (name) => name === "focus", data: () => false }).signals)
    .map((view) => view.signal("focus", pointed || pinned).runAsync()));
  each("[data-focus]", (entry) => {
    const field = entry.dataset.focus;
    const point = (to) => () => { pointed = to; focus(); };
    entry.addEventListener("pointerenter", point(field));
    entry.addEventListener("pointerleave", point(""));
    entry.addEventListener("click", () => {
      pinned = pinned === field ? "" : field;
      pointed = "";
      each("[data-focus]", (other) => other.setAttribute("aria-pressed", String(other.dataset.focus === pinned)));
      focus();
    });
  });

  // One panel of a figure, one group of a table.
  each("[data-panels]", (select) => select.addEventListener("change", () => {
    const place = select.closest("figure").querySelector("[data-chart]");
    place.dataset.chart = select.value;
    place.setAttribute("aria-label", select.selectedOptions[0].textContent);
    draw(place);
  }));
  each("[data-groups]", (select) => select.addEventListener("change", () => {
    select.closest(".table").querySelectorAll("tbody").forEach((body, number) => {
      body.classList.toggle("folded", select.value !== "*" && number !== select.selectedIndex);
    });
  }));

  // Sorting, within the groups of a table; what has no value stands last.
  const key = (row, column) => {
    const cell = row.cells[column];
    const given = cell.dataset.sort ?? (cell.classList.contains("figure") ? "" : (cell.querySelector(".name") ?? cell).firstChild?.textContent ?? "");
    return given === "" ? null : Number.isNaN(Number(given)) ? given : Number(given);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  each("[data-sort-by]", (head) => head.addEventListener("click", () => {
    const cell = head.closest("th");
    const column = Number(head.dataset.sortBy);
    const first = cell.classList.contains("figure") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = cell.getAttribute("aria-sort") === first ? other : first;
    const table = cell.closest("table");
    table.querySelectorAll("[aria-sort]").forEach((sorted) => sorted.removeAttribute("aria-sort"));
    cell.setAttribute("aria-sort", order);
    for (const body of table.tBodies) {
      const sortable = [...body.rows].filter((row) => !row.classList.contains("group"));
      const keyed = sortable.map((row) => [key(row, column), row]);
      keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : order === "ascending" ? compare(a, b) : compare(b, a)));
      body.append(...keyed.map(([, row]) => row));
    }
  }));

  (async () => {
    for (const place of document.querySelectorAll("[data-chart]")) await draw(place);
    root.dataset.ready = "yes";
  })();
})();
