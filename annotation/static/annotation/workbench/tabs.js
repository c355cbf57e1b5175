// Two tabs of one person: the newest holds the leases; the older one is told at once, in this browser without asking the server.

import { uuid } from "./api.js";

const channel = (personId) => new BroadcastChannel(`workbench.${personId}`);

/** This tab's lease token: kept over a reload, but never shared with a duplicated tab. */
export async function leaseToken(personId) {
  const kept = sessionStorage.getItem("workbench.token");
  const token = kept && !(await isInUse(personId, kept)) ? kept : uuid();
  sessionStorage.setItem("workbench.token", token);
  return token;
}

function isInUse(personId, token) {
  const line = channel(personId);
  return new Promise((resolve) => {
    const answer = (used) => {
      line.close();
      resolve(used);
    };
    line.onmessage = ({ data }) => {
      if (data.kind === "mine" && data.token === token) answer(true);
    };
    line.postMessage({ kind: "whose", token });
    setTimeout(() => answer(false), 60);
  });
}

/** Tells the other tabs that this one works now, and calls `told` when a newer one says so. */
export function onTakenOver(personId, token, told) {
  const line = channel(personId);
  line.onmessage = ({ data }) => {
    if (data.kind === "whose" && data.token === token) line.postMessage({ kind: "mine", token });
    else if (data.kind === "working" && data.token !== token) told();
  };
  line.postMessage({ kind: "working", token });
  return () => line.postMessage({ kind: "working", token });
}
