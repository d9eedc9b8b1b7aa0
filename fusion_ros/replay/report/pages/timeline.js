// Shows the kept moments on click, drag or arrow keys. The page is readable without scripts.
(() => {
  const data = JSON.parse(document.getElementById("moments").textContent);
  const svg = document.getElementById("time");
  if (!svg || !data.moments.length) return;
  const cursor = document.getElementById("cursor");
  const note = document.getElementById("note");
  const panels = ["visible", "thermal", "fused"].map((n) => document.getElementById("p-" + n));
  const x = (s) => data.left + (s / (data.end || 1)) * (data.right - data.left);
  let now = -1;
  const show = (i) => {
    now = Math.max(0, Math.min(data.moments.length - 1, i));
    const m = data.moments[now];
    panels.forEach((p, k) => { p.src = "data:image/jpeg;base64," + m.panels[k]; });
    cursor.setAttribute("x1", x(m.at)); cursor.setAttribute("x2", x(m.at));
    note.textContent = m.text;
  };
  const nearest = (s) => data.moments.reduce(
    (best, m, i) => (Math.abs(m.at - s) < Math.abs(data.moments[best].at - s) ? i : best), 0);
  const seconds = (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 1000;
    return ((at - data.left) / (data.right - data.left)) * data.end;
  };
  // The SVG is stretched to the width of the page; its text is not.
  const unstretch = () => {
    const box = svg.getBoundingClientRect();
    const k = (box.height / 132) / (box.width / 1000);
    svg.querySelectorAll("text").forEach((t) => {
      const at = t.getAttribute("x");
      t.setAttribute("transform", `translate(${at} 0) scale(${k} 1) translate(${-at} 0)`);
    });
  };
  window.addEventListener("resize", unstretch);
  unstretch();
  svg.addEventListener("pointerdown", (e) => { show(nearest(seconds(e))); });
  svg.addEventListener("pointermove", (e) => { if (e.buttons) show(nearest(seconds(e))); });
  document.querySelectorAll("[data-step]").forEach((b) => b.addEventListener("click", () => show(now + Number(b.dataset.step))));
  document.querySelectorAll("[data-at]").forEach((b) => b.addEventListener("click", () => {
    show(nearest(Number(b.dataset.at)));
    document.getElementById("timeline").scrollIntoView({ behavior: "smooth" });
  }));
  document.addEventListener("keydown", (e) => {
    if (e.key === "ArrowRight") show(now + 1);
    if (e.key === "ArrowLeft") show(now - 1);
  });
  show(0);
})();
