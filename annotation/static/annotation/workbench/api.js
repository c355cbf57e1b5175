// The workbench's only way to the server: JSON over HTTP, and three kinds of failure that mean different things.

export class Offline extends Error {} // no answer: keep everything, try again
export class SignedOut extends Error {} // the session ended: keep everything, ask for the password
export class Refused extends Error {
  // the server understood and said no: `code` says why
  constructor(status, body) {
    super(body.detail || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
  }
}

let user = null;
let skewMs = 0;

/** Every call names who this page belongs to: when somebody else has signed in meanwhile it is refused like an ended session. */
export function pageOf(userId) {
  user = userId;
}

/** The time by the server's clock. Its header tells whole seconds; what was chosen here counts as the newer within that second. */
export const serverNow = () => Date.now() + skewMs;

/** A random UUID; crypto.randomUUID() is there for https and this machine only. */
export const uuid = () =>
  crypto.randomUUID?.() ??
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) => (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));

const RETRY_STATUSES = new Set([429, 500, 502, 503, 504]);

export function csrfToken() {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith("csrftoken="));
  return found ? decodeURIComponent(found.slice("csrftoken=".length)) : "";
}

async function jsonOf(response) {
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    return {};
  }
}

function isSignedOut(status, body) {
  if (status === 401) return true;
  return status === 403 && (["not_authenticated", "authentication_failed"].includes(body.code) || /CSRF/.test(body.detail || ""));
}

/** The answer's JSON (null for 204). Throws Offline, SignedOut or Refused. */
export async function call(method, path, body, options = {}) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      credentials: "same-origin",
      headers: {
        "Content-Type": "application/json",
        Accept: "application/json",
        "X-CSRFToken": csrfToken(),
        ...(user === null ? {} : { "X-Page-Of": user }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
  } catch (error) {
    throw new Offline(error.message);
  }
  const told = Date.parse(response.headers.get("Date"));
  if (told) skewMs = told + 1000 - Date.now();
  const answer = await jsonOf(response);
  if (response.ok) return answer;
  if (isSignedOut(response.status, answer)) throw new SignedOut(answer.detail);
  if (RETRY_STATUSES.has(response.status)) throw new Offline(answer.detail || `HTTP ${response.status}`);
  throw new Refused(response.status, answer);
}

/** One step of signing in, with a password or a code: {signed_in, code_wanted}. When signed in, the new session's cookies are in place. */
export async function signIn(url, fields) {
  await fetch(url, { credentials: "same-origin" }).catch(() => {}); // brings a CSRF cookie if none is left
  try {
    const response = await fetch(url, {
      method: "POST",
      credentials: "same-origin",
      headers: { Accept: "application/json", "X-CSRFToken": csrfToken() },
      body: new URLSearchParams(fields),
    });
    return await response.json();
  } catch (error) {
    throw new Offline(error.message);
  }
}
