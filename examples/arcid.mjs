// The service from JavaScript: one file, no packages, for Node 20.11 and newer and for browsers.
//
//     ARCID_API_KEY=… node arcid.mjs http://127.0.0.1:8000 staff "Ada Example" ada1.jpg group.jpg
//
// enrols the first photo and says who is on the second. In a browser a photo is a File, as an
// <input type="file"> or a canvas gives it. A page shows its key to everybody who opens it: let a
// server of yours stand between, or use a key that only searches, on a page that only staff reach.

/** What the service refused with: `status`, `code`, `message`, `details`, `requestId`. */
export class Refused extends Error {
  constructor(status, { error, request_id: requestId }) {
    super(error.message);
    Object.assign(this, { status, code: error.code, details: error.details, requestId });
  }
}

const NOT_DONE = new Set([
  "overloaded", "rate_limited", "gallery_busy", "upload_too_slow", "schema_too_new",
]);

/** A name or id as one step of a path; what would name another route is refused. */
function step(name) {
  const text = String(name);
  if (/^\.{0,2}$|[/\\]/.test(text)) throw new TypeError(`${JSON.stringify(text)} is no name or id`);
  return encodeURIComponent(text);
}

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

export class Arcid {
  #url;
  #key;

  constructor(url, key) {
    this.#url = url.replace(/\/+$/, "");
    this.#key = key;
  }

  /** One request; sent again, thrice at most, where the service says that it did nothing. */
  async ask(method, path, { json, form, once } = {}) {
    const headers = {};
    if (this.#key) headers.Authorization = `Bearer ${this.#key}`;
    if (once) headers["Idempotency-Key"] = once;
    if (json) headers["Content-Type"] = "application/json";
    const body = json ? JSON.stringify(json) : form;
    for (let tried = 0; ; tried += 1) {
      const answer = await fetch(this.#url + path, { method, headers, body, redirect: "error" });
      if (answer.status === 204) return null;
      const told = await answer.json();
      if (answer.ok) return told;
      if (tried === 3 || !NOT_DONE.has(told.error.code)) throw new Refused(answer.status, told);
      await pause(Number(answer.headers.get("Retry-After") ?? 1) + Math.random());
    }
  }

  collection(name) {
    return new Collection(this, `/v1/collections/${step(name)}`);
  }
}

export class Collection {
  #service;
  #path;

  constructor(service, path) {
    this.#service = service;
    this.#path = path;
  }

  /** Add photos under a name; the same call with the same `once` is done once. */
  enrol(name, photos, once = crypto.randomUUID()) {
    return this.#service.ask("POST", `${this.#path}/enrol`, { form: sent({ name }, photos), once });
  }

  /** Every face of a photo with its decision, at a false positive identification rate. */
  async search(photo, { fpir = 0.01, k = 5 } = {}) {
    const form = sent({ fpir, k }, [photo]);
    return (await this.#service.ask("POST", `${this.#path}/search`, { form })).faces;
  }

  /** Everybody, a page at a time. */
  async *people() {
    for (let after = ""; after !== null; ) {
      const page = await this.#service.ask("GET", `${this.#path}/people?limit=100${after}`);
      yield* page.people;
      after = page.next === null ? null : `&after=${encodeURIComponent(page.next)}`;
    }
  }

  /** Delete a person with all that belongs to them. */
  delete(personId) {
    return this.#service.ask("DELETE", `${this.#path}/people/${step(personId)}`);
  }
}

function sent(fields, photos) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const photo of photos) form.append("image", photo, photo.name ?? "photo");
  return form;
}

if (globalThis.process?.argv[1] && import.meta.filename === process.argv[1]) {
  const { openAsBlob } = await import("node:fs");
  const [url, collection, name, enrolled, probe] = process.argv.slice(2);
  const people = new Arcid(url, process.env.ARCID_API_KEY).collection(collection);
  try {
    const { person } = await people.enrol(name, [await openAsBlob(enrolled)]);
    console.log(`${person.name}: ${person.faces} face(s)`);
    for (const { candidates, decision } of await people.search(await openAsBlob(probe))) {
      const who = decision.outcome === "match" ? candidates[0].name : "a stranger";
      console.log(`${decision.outcome === "review" ? "for a human to decide" : who}: ${decision.reason}`);
    }
    for await (const { name, faces } of people.people()) console.log(`${name} has ${faces}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.error(`${error.message} (${error.code}, request ${error.requestId})`);
    process.exitCode = 1;
  }
}
