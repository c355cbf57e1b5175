// What is chosen but not yet submitted: kept in this browser at once, on the server soon after.
import { call, Offline, Refused, serverNow, SignedOut } from "./api.js";
import { read, write } from "./store.js";

const WAIT_MS = 700;
const HEARTBEAT_MS = 60_000; // well inside the time of a lease

export class Drafts extends EventTarget {
  /** Events: change (state: clean, waiting, saving, saved, offline, signedout), lost {error}. */
  constructor({ personId, leaseToken, current }) {
    super();
    this.personId = personId;
    this.leaseToken = leaseToken;
    this.current = current; // () => {assignment, adjective, confidence, active_ms, from_ms} or null
    this.state = "clean";
    this.savedAt = null;
    this.timer = 0;
    this.line = Promise.resolve(); // the savings on their way, one after the other: an older one never arrives last
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && this.state === "waiting") this.put({ keepalive: true });
    });
    setInterval(() => this.heartbeat(), HEARTBEAT_MS);
  }

  key(assignment) {
    return `workbench.draft.${this.personId}.${assignment}`;
  }

  /** The newer of this browser's and the server's draft. */
  merge({ assignment, draft, draft_saved_at }) {
    const here = read(this.key(assignment), null);
    const saved = draft_saved_at ? Date.parse(draft_saved_at) : 0;
    return here && here.at > saved ? here : draft || {};
  }

  /** Keeps the choice of a vote that was refused, in case its clip comes back. */
  keep(assignment, { adjective, confidence, active_ms }) {
    write(this.key(assignment), { assignment, adjective, confidence, active_ms, at: serverNow() });
  }

  forget(assignment) {
    clearTimeout(this.timer);
    write(this.key(assignment), undefined);
    this.announce("clean");
  }

  changed() {
    const draft = this.current();
    if (!draft) return;
    write(this.key(draft.assignment), { ...draft, at: serverNow() });
    this.announce("waiting");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), WAIT_MS);
  }

  /** Shows the server that this tab lives, with the active time since the last beat. */
  async heartbeat() {
    const draft = this.current();
    if (!draft || document.hidden) return;
    const { assignment } = draft;
    const since = this.beat?.assignment === assignment ? Math.max(this.beat.active_ms, draft.from_ms) : draft.from_ms;
    const active_ms = Math.max(draft.active_ms - since, 0);
    try {
      await call("POST", `assignments/${assignment}/heartbeat`, { lease_token: this.leaseToken, active_ms });
      this.beat = { assignment, active_ms: draft.active_ms };
    } catch (error) {
      if (!(error instanceof Offline)) this.failed(error, assignment);
    }
  }

  save() {
    this.line = this.line.catch(() => {}).then(() => this.put()); // what went wrong with the one before, its own caller has heard
    return this.line;
  }

  async put(options = {}) {
    const draft = this.current();
    if (!draft) return;
    const { assignment } = draft;
    const body = { adjective: draft.adjective ?? "", confidence: draft.confidence, lease_token: this.leaseToken };
    clearTimeout(this.timer);
    this.announce("saving");
    try {
      await call("PUT", `assignments/${assignment}/draft`, body, options);
      if (this.current()?.assignment !== assignment) return; // its vote overtook it
      this.savedAt = new Date();
      this.announce("saved");
    } catch (error) {
      this.failed(error, assignment);
    }
  }

  failed(error, assignment) {
    if (this.current()?.assignment !== assignment) return;
    if (error instanceof Refused) {
      this.announce("clean");
      this.dispatchEvent(new CustomEvent("lost", { detail: { error, assignment } }));
    } else if (error instanceof SignedOut) {
      this.announce("signedout");
      this.dispatchEvent(new Event("signedout"));
    } else if (error instanceof Offline) {
      this.announce("offline");
      this.timer = setTimeout(() => this.save(), 5000);
    } else throw error;
  }

  announce(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
