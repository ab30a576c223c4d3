"""Scripts of the console and of the applicant's page, on pages without a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nicegui
import pytest
from playwright.sync_api import Browser, Page, Route, expect

import arcid.server

SERVER = Path(arcid.server.__file__).parent
STATIC = SERVER / "console/ui/static"
VUE = Path(nicegui.__file__).parent / "static/vue.esm-browser.prod.js"
HOST = "http://arcid.test"  # plain http: without a clipboard, as on a house's own network
Show = Callable[..., Page]
FRAME = """<!doctype html><link rel="stylesheet" href="console.css"><script src="console.js">
</script><body><div id="app"></div>
<script type="module">
import { createApp, h, nextTick, reactive } from "./vue.js";
import component from "./component.js";
window.now = reactive({ props: PROPS, drawn: 0 });
window.said = [];
window.draw = (props) => { Object.assign(now.props, props); now.drawn += 1; return nextTick(); };
createApp({ render: () => MARKUP }).mount("#app");
</script>"""
ANSWERS = """[h("input"), h(component, { ...now.props, key: now.drawn },
  () => ["y", "n"].map((key) => {
  const onClick = () => said.push(`${now.props.about} ${key}`);
  return h("button", { "data-key": key, onClick }, key);
}))]"""
# Vue passes over a button that was drawn in the same millisecond as the click.
PRESSES = """async ([keys, about, held]) => {
  if (about) await draw({ about });
  for (const drawn = Date.now(); Date.now() <= drawn;);
  for (const key of keys) {
    const pressed = new KeyboardEvent("keydown", { key, bubbles: true, ...held });
    document.activeElement.dispatchEvent(pressed);
  }
  return said;
}"""
CAMERA = 'h("details", { open: true }, h(component, now.props))'
CAMERAS = """
  window.asked = 0; window.tracks = []; window.sockets = [];
  const opened = () => {
    const stream = document.createElement("canvas").captureStream();
    tracks.push(stream.getTracks()[0]);
    return stream;
  };
  const getUserMedia = () => {
    asked += 1;
    if (window.problem) return Promise.reject(new DOMException("", window.problem));
    return window.prompting ? new Promise((done) => { window.allow = () => done(opened()); })
      : Promise.resolve(opened());
  };
  Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia } });
  HTMLMediaElement.prototype.play = () => Promise.resolve();
  window.WebSocket = class { constructor() { sockets.push(this); } close() {} };
"""
FAST = "window.setTimeout = ((real) => (call, ms) => real(call, ms / 20))(setTimeout);"
SILENT = """
  localStorage.setItem("arcid-sound", "on"); localStorage.setItem("arcid-notify", "on");
  window.rung = 0;
  window.AudioContext = class {
    state = "suspended";
    resume() {
      if (!navigator.userActivation.isActive) return new Promise(() => {});
      this.state = "running"; this.onstatechange(); return Promise.resolve();
    }
  };
  window.Notification = class {
    static permission = "granted";
    constructor() { throw new TypeError(); }
  };
  addEventListener("DOMContentLoaded", () => {
    alarm.chime = () => { rung += 1; };
    alarm.wake(); alarm.paint(); alarm.ring("list", "camera");
  });
"""
BUTTONS = (
    '<!doctype html><script src="console.js"></script><p data-asleep hidden>asleep</p>'
    '<button data-alarm="sound" onclick="alarm.turn(`sound`)">s</button>'
    '<button data-alarm="notify">n</button>'
    '<input readonly value="https://x/#1"><button id="copy">c</button>'
)


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Opens a page of these files; no script on it may fail."""
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def shown(files: dict[str, str | Path], path: str = "/", script: str = "") -> Page:
        def answer(route: Route) -> None:
            found = files.get(route.request.url.removeprefix(HOST).split("#")[0])
            if isinstance(found, Path):
                route.fulfill(path=found)
            elif found is None:
                route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
            else:
                route.fulfill(content_type="text/html", body=found)

        page.add_init_script(script)
        page.route(f"{HOST}/**", answer)
        page.goto(HOST + path)
        return page

    yield shown
    context.close()
    assert problems == []


def mounted(show: Show, file: str, markup: str, script: str = "", **props: Any) -> Page:
    """A component in an app of its own."""
    frame = FRAME.replace("PROPS", json.dumps(props)).replace("MARKUP", markup)
    files: dict[str, str | Path] = {
        "/": frame,
        "/vue.js": VUE,
        "/console.js": STATIC / "console.js",
    }
    files |= {"/console.css": STATIC / "console.css"}
    page = show(files | {"/component.js": STATIC / file}, script=script)
    page.wait_for_function("document.querySelector('#app').children.length > 0")
    return page


def test_an_answer_is_of_the_case_that_somebody_looked_at(show: Show) -> None:
    page = mounted(show, "answers.js", ANSWERS, about="a")

    def press(*keys: str, turn_to: str = "", **held: bool) -> list[str]:
        """One key right after the other, which no stall of the machine comes between."""
        return list(page.evaluate(PRESSES, [keys, turn_to, held]))

    page.locator("input").focus()
    assert press("y") == [], "somebody is writing"
    page.locator("input").blur()
    assert press("y", ctrlKey=True) == press("x") == []
    assert press("Y", "y", "n") == ["a y"], "once"
    assert press("n", turn_to="b") == ["a y"], "nobody has seen b yet"
    page.locator("button").last.click()  # once it can be clicked
    assert page.evaluate("said") == ["a y", "b n"]
    assert press("y", turn_to="b") == ["a y", "b n", "b y"], "the same one, drawn anew"


def live(page: Page) -> list[str]:
    return list(page.evaluate("tracks.map((track) => track.readyState)"))


def test_a_camera_ends_with_the_wish_for_it(show: Show) -> None:
    page = mounted(show, "camera.js", CAMERA, CAMERAS, mode="push", startText="Start", name="C",
                   stopText="Stop", icons={})  # fmt: skip
    start = page.get_by_role("button", name="Start")
    page.evaluate("window.prompting = true")
    start.click()
    page.get_by_role("button", name="Stop: C").click()
    page.evaluate("allow(), prompting = false")
    assert live(page) == ["ended"], "stopped while the browser asked"
    assert page.evaluate("sockets.length") == 0
    start.click()
    page.wait_for_function("sockets.length === 1")
    page.evaluate("document.querySelector('details').open = false")
    page.wait_for_function("tracks[1].readyState === 'ended'")
    page.evaluate("document.querySelector('details').open = true")
    start.click()
    page.wait_for_function("sockets.length === 2")
    said = json.dumps({"prompt": "Done.", "done": True})
    page.evaluate("(data) => sockets[1].onmessage({ data })", said)
    assert live(page) == ["ended"] * 3
    expect(page.get_by_text("Done.")).to_be_visible()
    expect(start).to_be_visible()


def test_a_kiosk_looks_for_its_camera_until_there_is_one(show: Show) -> None:
    script = CAMERAS + FAST + "window.problem = 'NotFoundError';"
    props: dict[str, Any] = {
        "auto": True,
        "missingText": "None.",
        "endedText": "Ended.",
        "refusedText": "Refused.",
    }
    page = mounted(show, "camera.js", CAMERA, script, mode="push", icons={}, **props)
    problem = page.get_by_role("alert")
    expect(problem).to_have_text("None.")
    page.evaluate("problem = ''")
    page.wait_for_function("sockets.length === 1")
    page.evaluate("sockets[0].onopen()")
    expect(problem).to_have_count(0)
    said = page.evaluate("""async () => {
      problem = "NotAllowedError";
      tracks[0].dispatchEvent(new Event("ended"));
      await draw({});
      return document.querySelector("[role=alert]").textContent; }""")
    assert said == "Ended."
    expect(problem).to_have_text("Refused.")
    asked = page.evaluate("asked")
    page.evaluate(
        "new Promise((done) => setTimeout(done, 10_000))"
    )  # half a second; it asks each 250 ms
    assert page.evaluate("asked") == asked, "who refused is not asked again"


def test_alarms_say_whether_they_can_be_noticed(show: Show) -> None:
    files = {"/": BUTTONS, "/console.js": STATIC / "console.js"}
    page = show(files, script=SILENT)
    sound, notify = page.locator("[data-alarm]").all()
    expect(page.get_by_text("asleep")).to_be_visible()
    expect(sound).to_have_attribute("aria-pressed", "false")
    expect(notify).to_have_attribute("aria-pressed", "false")  # it threw, as on a phone
    page.locator("body").click(position={"x": 1, "y": 1})
    expect(sound).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("asleep")).to_be_hidden()
    rung = page.evaluate("rung")
    page.evaluate("alarm.ring('list', 'camera')")
    page.wait_for_function("(before) => rung === before + 1", arg=rung)
    sound.click()
    expect(sound).to_have_attribute("aria-pressed", "false")


def test_copying_tells_what_the_browser_did(show: Show) -> None:
    page = show({"/": BUTTONS, "/console.js": STATIC / "console.js"})
    page.evaluate("""copy.onclick = () => {
      document.title = arcid.copy(document.querySelector("input")); }""")
    page.locator("#copy").click()
    expect(page).to_have_title("true")
    page.evaluate("document.execCommand = () => false")
    page.locator("#copy").click()
    expect(page).to_have_title("false")
    assert page.evaluate("getSelection().toString()") == "https://x/#1"


def test_the_applicants_page_goes_on_after_an_answer_that_is_no_json(
    show: Show, tmp_path: Path
) -> None:
    now = {
        "state": "consented", "problem": None, "consent_text": "", "reads_zone": False,
        "live": True, "expires_at": "2026-12-01T00:00:00Z", "tries_left": 8,
    }  # fmt: skip
    page = show(
        {
            "/onboarding/": SERVER / "pages/onboarding.html",
            "/onboarding/page.js": SERVER / "pages/onboarding.js",
            "/onboarding/session": json.dumps(now),
        },
        "/onboarding/#token",
    )
    expect(page.get_by_role("heading", name="Your document")).to_be_visible()
    (tmp_path / "card.jpg").write_bytes(b"card")
    page.locator("#paper").set_input_files(tmp_path / "card.jpg")
    expect(page.get_by_role("alert")).to_have_text("The service cannot be reached. Try again.")
    expect(page.locator("#paper")).to_be_enabled()
    expect(page.locator(".busy")).to_have_count(0)
