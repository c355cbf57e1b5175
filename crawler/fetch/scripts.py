"""What Chromium is asked to do inside a page, as JavaScript."""

from __future__ import annotations

from collections.abc import Iterable

# Arguments: XPaths of walls, names of robots. Only a wall that is displayed counts: pages keep hidden panels ready.
SNAPSHOT = """
const shown = (path) => {
  const found = document.evaluate(path, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
  for (let i = 0; i < found.snapshotLength; i++) if (found.snapshotItem(i).checkVisibility?.()) return true;
  return false;
};
const wishes = [...document.querySelectorAll('meta[name]')].filter((meta) => arguments[1].includes(meta.name.toLowerCase()));
const words = wishes.map((meta) => meta.content), waiting = Boolean(window.__replies?.waiting());
const status = performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0;
return [location.href, document.documentElement?.outerHTML ?? '', values, arguments[0].findIndex(shown), words, waiting, status];
"""
ADDRESS = "return location.href"
SCROLL = """
const boxes = [document.scrollingElement, ...document.querySelectorAll('[data-e2e="scroll-list"], .scroll-container, [data-scroll]')];
for (const box of boxes) if (box) box.scrollTop += Math.max(300, (box.clientHeight || innerHeight) * 0.8);
const tallest = Math.max(...boxes.filter(Boolean).map((box) => box.scrollHeight));
const lowest = boxes.filter(Boolean).every((box) => box.scrollTop + (box === document.scrollingElement ? innerHeight : box.clientHeight) >= box.scrollHeight - 4);
return [tallest, lowest];
"""
CLICK = "arguments[0].scrollIntoView?.({block: 'center'}); arguments[0].click();"
REPLIES = "return window.__replies ? window.__replies() : []"
LEAVE = "if (window.__replies) window.__replies.over = true"
# Keeps what the page's own calls bring: lists may draw cards without addresses, or only those in view. The page gets a reply once
# its text is kept here, or after five seconds; one that never ends is waited for once. A page that sends its visitor on (to its
# sign-in page) takes along what may not have arrived with us, which is known when we ask again; not so when it is we who leave.
# A call that its host did not answer, or answered with a passing fault, is kept without a text, as [address, null, status, Retry-After]:
# the page may show it as the list's end. So is a script file of the page's that did not come, as [address, null, 0, null, "script"].
LISTEN = """
(() => {
  const kept = [], unread = new Set(), bag = '__replies'; let size = 0, waiting = 0, told = 0;
  const keep = (url, text, status, after) => {
    if (status >= 500 || status === 429) lose(url, null, status, after);
    else if ((size += text.length) < 2e7) kept.push([String(url), text]);
  };
  const lose = (asked, error, status = 0, after = null) => {
    if (error?.name !== 'AbortError') kept.push([new URL(asked?.url ?? asked, document.baseURI).href, null, status, after]);
  };
  const replies = async () => {
    await Promise.race([Promise.all(unread), new Promise((over) => setTimeout(over, 2000))]);
    unread.clear();
    kept.splice(0, told);
    told = kept.length;
    return [...kept];
  };
  addEventListener('error', ({ target }) => { if (target?.tagName === 'SCRIPT') kept.push([target.src, null, 0, null, 'script']); }, true);
  replies.waiting = () => waiting;
  Object.defineProperty(window, '__replies', { value: replies });
  try {
    kept.push(...JSON.parse(sessionStorage.getItem(bag) || '[]'));
    sessionStorage.removeItem(bag);
    addEventListener('pagehide', () => { if (kept.length && !replies.over) sessionStorage.setItem(bag, JSON.stringify(kept)); });
  } catch (error) { /* a document without storage */ }
  const fetch_ = window.fetch;
  window.fetch = async function (...given) {
    waiting += 1;
    try {
      const reply = await fetch_.apply(this, given).catch((error) => { lose(given[0], error); throw error; });
      const after = reply.headers.get('Retry-After');
      const heard = reply.clone().text().then((text) => keep(reply.url, text, reply.status, after), (error) => lose(reply.url, error));
      const reading = heard.finally(() => unread.delete(reading));
      unread.add(reading);
      await Promise.race([reading, new Promise((over) => setTimeout(over, 5000))]);
      return reply;
    } finally { waiting -= 1; }
  };
  const open_ = XMLHttpRequest.prototype.open, send_ = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.open = function (...given) {
    this.addEventListener('load', () => {
      const after = this.status === 429 || this.status >= 500 ? this.getResponseHeader('Retry-After') : null;
      try { keep(this.responseURL, this.responseType === 'json' ? JSON.stringify(this.response) : this.responseText, this.status, after); } catch (error) { /* no text */ }
    });
    for (const fault of ['error', 'timeout']) this.addEventListener(fault, () => lose(given[1]));
    return open_.apply(this, given);
  };
  XMLHttpRequest.prototype.send = function (...given) {
    waiting += 1;
    this.addEventListener('loadend', () => { waiting -= 1; }, { once: true });
    return send_.apply(this, given);
  };
})();
"""


def snapshot(names: Iterable[str]) -> str:
    """The page at one moment: [address, source, these variables as JSON, place of the first wall in view or -1, its words to robots,
    whether a call of its own is unanswered, its status or 0].

    One script, since a page that changes or leaves between two questions would be read half and half.
    """
    values = ", ".join(f"(() => {{ try {{ return JSON.stringify({name}) }} catch (error) {{ return null }} }})()" for name in names)
    return f"const values = [{values}];{SNAPSHOT}"
