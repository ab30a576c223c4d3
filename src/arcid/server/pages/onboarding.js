// The applicant's page: consent, document, face. The token of the session stands behind the # of the
// address; it is sent in a header, and to the camera's WebSocket as the first message.
const token = location.hash.slice(1);
const byId = (id) => document.getElementById(id);
const WORDS = {
  look_straight: "Look straight ahead", no_face: "Where are you?", too_small: "Come a little closer",
  turn_less: "Not so far", slower: "A little slower", waiting: "Show your face",
  several: "One person at a time, please",
  turn_left: "Turn your head to your left", turn_right: "Turn your head to your right",
  come_closer: "Come a little closer",
};
const ENDS = {
  accepted: ["✓", "Done: it is you", "You can close this page."],
  review: ["…", "Thank you, that is all", "Somebody looks at it. You will hear from whoever sent you here."],
  rejected: ["✕", "This did not work", "Please ask whoever sent you here."],
  expired: ["⏱", "This link has expired", "Please ask for a new one."],
  withdrawn: ["✓", "Stopped", "Everything about you was erased."],
};
const STEPS = { started: 0, consented: 1, documented: 2 };
const AWAY = "The service cannot be reached. Try again.";
let session = null, wanted = false, stream = null, socket = null;

function say(problem) {
  byId("problem").textContent = problem || "";
  if (problem) byId("problem").scrollIntoView({ block: "nearest" });
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`/onboarding/session${path}`, {
      ...options, headers: { "X-Onboarding-Token": token, ...options.headers },
    });
  } catch {
    return say(AWAY);
  }
  const body = await answer.json().catch(() => null);  // a proxy's page says nothing of the session
  if (!body || (!answer.ok && !body.error?.message)) return say(AWAY);
  if (!answer.ok) {
    if (answer.status === 404) return end("✕", "This link is not valid", "Please ask for a new one.");
    say(body.error.message);
    if (answer.status === 409) setTimeout(() => ask(""), 2500);
    return;
  }
  show(body);
}

function end(sign, title, more) {
  for (const id of ["consent", "document", "face", "start"]) byId(id).hidden = true;
  byId("ended").hidden = false;
  byId("withdraw").hidden = true;
  byId("left").textContent = "";
  byId("sign").textContent = sign;
  byId("outcome").textContent = title;
  byId("more").textContent = more;
}

function show(now) {
  session = now;
  say(now.problem);
  if (ENDS[now.state]) return end(...ENDS[now.state]);
  const step = STEPS[now.state];
  document.querySelectorAll(".steps li").forEach((item, i) => {
    item.className = i < step ? "done" : "";
    item.toggleAttribute("aria-current", i === step);
  });
  ["consent", "document", "face"].forEach((id, i) => { byId(id).hidden = i !== step; });
  byId("text").textContent = now.consent_text;
  byId("back").closest("label").hidden = !now.reads_zone;
  byId("start").hidden = !now.live;
  byId("noncamera").hidden = now.live;
  if (!now.live) byId("how").textContent = "Look straight into the camera, in good light.";
  byId("withdraw").hidden = step === 0;
  const until = new Date(now.expires_at);
  const time = until.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  byId("left").textContent = step === 0 ? ""
    : `${now.tries_left} tries left. You can come back with this link until ${time}.`;
}

async function upload(input, path, fields = {}) {
  const [file] = input.files;
  if (!file) return;
  const form = new FormData();
  form.append("image", file);
  for (const [name, value] of Object.entries(fields)) if (value) form.append(name, value);
  const label = input.closest(".file");
  label.classList.add("busy");
  input.disabled = true;
  say("");
  try {
    await ask(path, { method: "POST", body: form });
  } finally {
    label.classList.remove("busy");
    input.disabled = false;
    input.value = "";
  }
}

byId("agree").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  await ask("/consent", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      version: session.consent_version, name: form.get("name"),
      birth_date: form.get("birth_date") || null,
    }),
  });
});
byId("paper").addEventListener("change", (event) =>
  upload(event.target, "/document", { zone: byId("zone").value, back: byId("back").files[0] }));
byId("back").addEventListener("change", (event) => {
  if (event.target.files.length) byId("other").textContent = "The back is taken. Now the other side:";
});
byId("selfie").addEventListener("change", (event) => upload(event.target, "/selfie"));
byId("withdraw").addEventListener("click", () => {
  if (confirm("Stop, and erase everything about you?")) {
    stop();
    ask("/withdraw", { method: "POST" });
  }
});

// the camera

byId("start").addEventListener("click", async () => {
  say("");
  byId("start").hidden = wanted = true;  // one camera at a time
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    const opened = await navigator.mediaDevices.getUserMedia({
      audio: false, video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    if (!wanted || stream) {  // stopped while the browser asked
      opened.getTracks().forEach((track) => track.stop());
      return;
    }
    stream = opened;
    for (const track of stream.getTracks()) track.onended = () => lost("The camera stopped. Try again.");
    byId("video").srcObject = stream;
    await byId("video").play();
  } catch (error) {
    const problems = {
      NotAllowedError: "The camera was refused: allow it for this page.",
      SecurityError: "Cameras work on secure pages (https) only.",
    };
    if (wanted) lost(problems[error.name] || "No camera was found.");
  }
  if (!wanted) return;
  byId("box").hidden = byId("progress").hidden = false;
  join();
});

function stop() {
  wanted = false;
  socket?.close();
  socket = null;
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  byId("box").hidden = byId("progress").hidden = true;
  byId("start").hidden = !session?.live;
}

function lost(problem) {
  stop();
  say(problem);
}

function join() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${location.host}/onboarding/session/live`);
  socket = mine;
  let waiting = false, finished = false;
  mine.onopen = () => { mine.send(token); send(); };
  mine.onmessage = (event) => {
    waiting = false;
    const message = JSON.parse(event.data);
    if (!message.done) return prompt(message);
    finished = true;
    stop();
    if (message.state) show(message);
    else say(message.problem);
  };
  mine.onclose = () => {
    if (!finished && socket === mine) lost("The connection was lost. Try again.");
  };
  const sheet = document.createElement("canvas");
  async function send() {
    const video = byId("video");
    if (socket !== mine || mine.readyState !== WebSocket.OPEN) return;
    const began = performance.now();
    if (video.videoWidth && (!waiting || began - waiting > 1000) && !document.hidden) {
      sheet.width = Math.min(640, video.videoWidth);
      sheet.height = Math.round(video.videoHeight * sheet.width / video.videoWidth);
      sheet.getContext("2d").drawImage(video, 0, 0, sheet.width, sheet.height);
      const at = new DataView(new ArrayBuffer(8));
      at.setFloat64(0, Date.now(), true);
      const blob = await new Promise((done) => sheet.toBlob(done, "image/jpeg", 0.9));
      if (blob && mine.readyState === WebSocket.OPEN) {
        waiting = began;
        mine.send(new Blob([at, blob]));
      }
    }
    setTimeout(send, Math.max(5, 66 - (performance.now() - began)));
  }
}

function prompt(message) {
  const words = message.problem || WORDS[message.action] || WORDS[message.hint] || WORDS[message.look];
  if (words) byId("prompt").textContent = words;
  if (message.progress !== undefined) byId("progress").value = message.progress;
}

if (token) ask("");
else end("✕", "This link is incomplete", "Open the whole link that you were sent.");
addEventListener("pagehide", stop);
addEventListener("hashchange", () => location.reload());
