// Theme, drawn before the first paint; the menu and the wide table of small screens.
"use strict";
const arcid = {
  theme() {
    const found = /(?:^|; )arcid_theme=(light|dark)/.exec(document.cookie);
    if (found) return found[1];
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  },
  paint() {
    const dark = arcid.theme() === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    if (window.Quasar && Quasar.Dark.isActive !== dark) Quasar.Dark.set(dark);
  },
  turn() {
    const next = arcid.theme() === "dark" ? "light" : "dark";
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `arcid_theme=${next}; Path=/console; Max-Age=31536000; SameSite=Lax${secure}`;
    arcid.paint();
  },
  menu(open) {
    document.body.classList.toggle("menu-open", open);
    const button = document.getElementById("menu-button");
    if (button) button.setAttribute("aria-expanded", String(open));
    if (open) document.querySelector(".rail a")?.focus();
    else if (document.activeElement?.closest(".rail")) button?.focus();
  },
  reveal(box, column) {
    const cell = box?.querySelectorAll("th")[column];
    if (cell) box.scrollLeft = cell.offsetLeft + cell.offsetWidth - box.clientWidth;
  },
};
arcid.paint();
document.addEventListener("DOMContentLoaded", arcid.paint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", arcid.paint);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("menu-open")) arcid.menu(false);
});
