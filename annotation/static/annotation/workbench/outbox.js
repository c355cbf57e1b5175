// Votes on their way to the server. A vote leaves the box only when the server has answered for it.
//
// Each vote carries a UUID made here, so that sending it twice is harmless. Each is kept under a key of its own, so that two tabs
// that add and remove at once never write over each other.
import { call, Offline, Refused, SignedOut } from "./api.js";
import { read, readAll, write } from "./store.js";

const RETRY_MS = 4000;

export class Outbox extends EventTarget {
  /** Events: change; sent {vote, answer}; refused {vote, error}; signedout. */
  constructor(personId) {
    super();
    this.key = `workbench.outbox.${personId}.`;
    this.holderKey = `workbench.holder.${personId}`;
    this.state = "idle"; // idle, sending, offline, signedout
    this.timer = 0;
    window.addEventListener("online", () => this.flush());
    window.addEventListener("storage", (event) => {
      if (event.key?.startsWith(this.key)) this.announce();
    });
  }

  get votes() {
    return readAll(this.key).sort((a, b) => a.at - b.at);
  }

  /** Notes which tab of this browser holds the leases now. */
  holds(token) {
    write(this.holderKey, token);
  }

  /** Takes a vote out again that has never left: one that was sent may have arrived, whether the answer did or not. False then. */
  withdraw(clientId) {
    const vote = this.votes.find(({ client_id }) => client_id === clientId);
    if (!vote || vote.sent) return false;
    this.remove(clientId);
    return true;
  }

  has(assignment) {
    return this.votes.some((vote) => vote.assignment === assignment);
  }

  add(vote) {
    this.keep({ ...vote, at: Date.now() });
    this.announce();
    return this.flush();
  }

  keep(vote) {
    write(this.key + vote.client_id, vote);
  }

  remove(clientId) {
    write(this.key + clientId, undefined);
    this.announce();
  }

  announce(state = this.state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  /** Sends what waits, oldest first; one tab at a time. */
  flush() {
    clearTimeout(this.timer);
    if (!navigator.locks) return this.sendAll();
    return navigator.locks.request(this.key, () => this.sendAll());
  }

  async sendAll() {
    while (this.votes.length) {
      const vote = this.votes[0];
      this.announce("sending");
      if (navigator.onLine) this.keep({ ...vote, sent: true }); // without a network nothing leaves
      try {
        const answer = await call("POST", `assignments/${vote.assignment}/submit`, vote.body);
        this.remove(vote.client_id);
        this.dispatchEvent(new CustomEvent("sent", { detail: { vote, answer } }));
      } catch (error) {
        if (!this.settle(vote, error)) return;
      }
    }
    this.announce("idle");
  }

  /** True when the next vote may be tried. */
  settle(vote, error) {
    if (error instanceof Refused) {
      if (error.code === "lease_lost" && this.passToHolder(vote)) return true;
      this.remove(vote.client_id);
      this.dispatchEvent(new CustomEvent("refused", { detail: { vote, error } }));
      return true;
    }
    if (error instanceof SignedOut) {
      this.keep(vote); // as before this attempt, which was refused unread
      this.announce("signedout");
      this.dispatchEvent(new Event("signedout"));
      return false;
    }
    if (!(error instanceof Offline)) throw error;
    this.announce("offline");
    this.timer = setTimeout(() => this.flush(), RETRY_MS);
    return false;
  }
  /** A vote of an earlier tab of this browser, whose leases a later one took over: it is the same person's all the same. */
  passToHolder(vote) {
    const token = read(this.holderKey, null);
    if (!token || token === vote.body.lease_token) return false;
    this.keep({ ...vote, body: { ...vote.body, lease_token: token } });
    return true;
  }
}
