// Theme, drawn before the first paint; the menu, the wide table of small screens, a photo and its faces.
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
    document.cookie = `arcid_theme=${next}; Path=/console; Max-Age=31536000; SameSite=Strict${secure}`;
    arcid.paint();
  },
  menu(open) {
    document.body.classList.toggle("menu-open", open);
    const button = document.getElementById("menu-button");
    if (button) button.setAttribute("aria-expanded", String(open));
    if (open) document.querySelector(".rail a")?.focus();
    else if (document.activeElement?.closest(".rail")) button?.focus();
  },
  zone() {  // of the times on the page, where this browser's clock shows another
    for (const said of document.querySelectorAll("[data-offset]"))
      said.hidden = Number(said.dataset.offset) === -new Date().getTimezoneOffset();
  },
  reload() {  // the session of this page has ended
    if (!arcid.leaving) location.reload();
  },
  code() {  // of the link that makes the first account
    const field = document.querySelector('.door-form input[name="code"]');
    if (!field || location.hash.length < 2) return;
    field.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  },
  copy(field) {  // whether the browser did it; navigator.clipboard is not there over http
    field.focus();
    field.select();
    return document.execCommand("copy");
  },
  reveal(box, column) {
    const cell = box?.querySelectorAll("th")[column];
    if (cell) box.scrollLeft = cell.offsetLeft + cell.offsetWidth - box.clientWidth;
  },
};
// A photo's boxes and the answers beside it: opening one shows the other, by pointer and by keyboard.
const found = {
  parts(of, number) {
    const all = [...of.closest(".found").querySelectorAll("[data-face]")];
    return all.filter((part) => part.dataset.face === number);
  },
  tell(part, name, on) {
    for (const one of found.parts(part, part.dataset.face)) one.classList.toggle(name, on);
  },
  opened(line) {
    for (const other of line.closest(".found").querySelectorAll("details[open]"))
      if (other !== line) other.open = false;
    found.tell(line, "chosen", true);
    for (const part of found.parts(line, line.dataset.face))
      part.scrollIntoView({ block: "nearest", inline: "nearest" });
  },
  step(part, by) {
    const kin = part.matches("summary") ? ".answer > summary" : ".face-box";
    const all = [...part.closest(".found").querySelectorAll(kin)];
    all[Math.min(Math.max(all.indexOf(part) + by, 0), all.length - 1)].focus();
  },
};
// Alerts: a sound and a notification, each only where this browser was asked for it. A browser lets a
// page make no sound until somebody does something on it, after every reload; data-asleep says so.
const alarm = {
  on(kind) { return localStorage.getItem(`arcid-${kind}`) === "on"; },
  able(kind) {
    if (kind === "sound") return alarm.audio?.state === "running";
    return window.Notification?.permission === "granted";
  },
  async turn(kind) {
    const on = !(alarm.on(kind) && alarm.able(kind));
    localStorage.setItem(`arcid-${kind}`, on ? "on" : "off");
    if (on && kind === "sound") await alarm.wake().then(alarm.chime);
    if (on && kind === "notify" && await window.Notification?.requestPermission() === "granted")
      alarm.notify(document.querySelector('[data-alarm="notify"]').ariaLabel);
    alarm.paint();
  },
  async wake() {
    if (!alarm.on("sound")) return;
    alarm.audio ??= Object.assign(new AudioContext(), { onstatechange: alarm.paint });
    await alarm.audio.resume();
  },
  paint() {
    for (const button of document.querySelectorAll("[data-alarm]")) {
      const kind = button.dataset.alarm;
      button.setAttribute("aria-pressed", String(alarm.on(kind) && alarm.able(kind)));
    }
    const asleep = document.querySelector("[data-asleep]");
    if (asleep) asleep.hidden = !alarm.on("sound") || alarm.able("sound");
  },
  chime() {
    const audio = alarm.audio;
    [880, 660].forEach((pitch, place) => {
      const tone = audio.createOscillator(), volume = audio.createGain();
      const start = audio.currentTime + place * 0.25;
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.2, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + 0.24);
      tone.connect(volume).connect(audio.destination);
      tone.start(start);
      tone.stop(start + 0.25);
    });
  },
  notify(title, words) {
    try {
      new Notification(title, { body: words, tag: "arcid-alert", renotify: true });
    } catch {  // a phone shows none of a page's own
      localStorage.setItem("arcid-notify", "off");
      alarm.paint();
    }
  },
  ring(title, words) {
    if (alarm.on("notify") && alarm.able("notify")) alarm.notify(title, words);
    const rung = performance.now();
    if (alarm.on("sound"))
      alarm.wake().then(() => { if (performance.now() - rung < 2000) alarm.chime(); });
  },
};
for (const kind of ["click", "keydown"])
  document.addEventListener(kind, () => { if (alarm.audio) alarm.wake(); }, true);
document.addEventListener("click", (event) => {
  const box = event.target.closest(".face-box");
  if (box) for (const part of found.parts(box, box.dataset.face)) if (part.open === false) part.open = true;
  const zoom = event.target.closest("[data-zoom]");
  if (!zoom) return;
  const on = zoom.closest(".photo-map").classList.toggle("zoomed");
  zoom.setAttribute("aria-pressed", String(on));
  zoom.closest(".photo-map").querySelector(".chosen")?.scrollIntoView({ block: "center", inline: "center" });
});
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.("details[data-face]")) return;
  if (event.target.open) found.opened(event.target);
  else found.tell(event.target, "chosen", false);
}, true);
for (const [kind, on] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]])
  document.addEventListener(kind, (event) => {
    const part = event.target.closest?.("[data-face]");
    if (part) found.tell(part, "pointed", on);
    if (on && kind === "focusin" && part?.matches(".face-box"))
      for (const box of part.parentElement.children) box.tabIndex = box === part ? 0 : -1;
  });
document.addEventListener("keydown", (event) => {
  const part = event.target.closest?.(".face-box, .answer > summary");
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -1e9, End: 1e9 }[event.key];
  if (!part || !by) return;
  event.preventDefault();
  found.step(part, by);
});
document.addEventListener("submit", (event) => {
  arcid.leaving = event.target.action.endsWith("/sign-out");
});
arcid.paint();
document.addEventListener("DOMContentLoaded", () => {
  arcid.paint();
  arcid.code();
});
addEventListener("hashchange", () => arcid.code());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", arcid.paint);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("menu-open")) arcid.menu(false);
});
