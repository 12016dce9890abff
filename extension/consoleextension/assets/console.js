// The page is rendered by the server. This script keeps it live: when the
// server says that something changed, it fetches the changing part again and
// morphs it into place, so that focus, selection, scroll and open details stay.
"use strict";

(() => {
  const fragment = document.getElementById("fragment");
  const announce = document.getElementById("announce");
  const leastGap = 250; // ms between two fetches
  const pollEvery = 10000; // ms, while no stream is open

  let etag = "";
  let fetching = false;
  let again = false;
  let lastFetch = 0;
  let poll = 0;
  let tellRows = false; // the next swap answers a filter

  // relative says a distance in time as the server does (relative in format.go).
  function relative(ms) {
    const abs = Math.abs(ms) / 1000;
    const say = (n, unit) => (ms < 0 ? `in ${Math.floor(n)} ${unit}` : `${Math.floor(n)} ${unit} ago`);
    if (abs < 1) return "now";
    if (abs < 60) return say(abs, "s");
    if (abs < 3600) return say(abs / 60, "min");
    if (abs < 48 * 3600) return say(abs / 3600, "h");
    return say(abs / 86400, "d");
  }

  function tellAges() {
    const now = Date.now();
    for (const el of document.querySelectorAll("[data-since]")) {
      const text = relative(now - Date.parse(el.dataset.since));
      if (el.textContent !== text) el.textContent = text;
    }
  }

  // say has a screen reader speak, when it is done with what it reads. The same
  // words twice are two messages.
  function say(...parts) {
    const text = parts.filter(Boolean).join(". ");
    if (!text) return;
    if (announce.textContent === text) announce.textContent = "";
    announce.textContent = text;
  }

  function showLive(state, text) {
    const el = document.getElementById("live");
    if (!el) return;
    const before = el.dataset.live;
    if (before === "live" && state === "lost") say("Connection lost: this page may be out of date");
    if (before === "lost" && state === "live") say("Live again");
    el.dataset.live = state;
    document.getElementById("live-text").textContent = text;
  }

  const keyOf = (node) => (node.nodeType === 1 ? node.id : "");

  // morph makes old like fresh with as few changes as it can. Nodes with an id
  // are matched by it, others by position and name.
  function morph(old, fresh) {
    if (old.nodeType === 3) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.nodeType !== 1 || old.hasAttribute("data-keep")) return;
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      // Whether details are open is the reader's choice.
      if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
    }
    const byId = new Map();
    const stays = new Set([...fresh.childNodes].map(keyOf));
    for (const child of [...old.childNodes]) {
      if (!keyOf(child)) continue;
      if (stays.has(keyOf(child))) byId.set(keyOf(child), child);
      else child.remove();
    }
    let at = old.firstChild;
    for (const want of [...fresh.childNodes]) {
      const key = keyOf(want);
      let match = null;
      if (key) match = byId.get(key) || null;
      else if (at && !keyOf(at) && at.nodeType === want.nodeType && at.nodeName === want.nodeName) match = at;
      if (!match || match.nodeName !== want.nodeName) {
        old.insertBefore(document.importNode(want, true), at);
        continue;
      }
      // What is moved loses the focus, so nothing is for the sake of what
      // stood before it and has no name of its own.
      let next = at;
      while (next && next !== match && !keyOf(next)) next = next.nextSibling;
      while (next === match && at !== match) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      byId.delete(key);
      morph(match, want);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  async function refresh() {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    try {
      const wait = lastFetch + leastGap - Date.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      lastFetch = Date.now();
      const headers = { "Deployloop-Fragment": "1" };
      if (etag) headers["If-None-Match"] = etag;
      const answer = await fetch(location.pathname + location.search, { headers, cache: "no-store" });
      if (answer.status === 200 || answer.status === 404) {
        const text = await answer.text();
        if (answer.headers.get("Content-Type").startsWith("text/html")) {
          etag = answer.headers.get("ETag") || "";
          swap(text);
        }
      }
    } catch (err) {
      showLive("lost", "reconnecting"); // the stream's own error says the same; it reconnects by itself
    } finally {
      fetching = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  }

  function swap(html) {
    const fresh = new DOMParser().parseFromString(`<div id="fragment">${html}</div>`, "text/html").getElementById("fragment");
    const main = document.getElementById("main");
    const before = { ...main.dataset };
    const focused = document.activeElement;
    morph(fragment, fresh);
    // What moves loses the focus, and what goes leaves it nowhere.
    if (document.activeElement !== focused) (focused.isConnected ? focused : main).focus({ preventScroll: true });
    tellAges();
    document.title = main.dataset.title;
    const alerts = main.dataset.alerts === "1" ? "1 alert is open" : `${main.dataset.alerts} alerts are open`;
    const rows = fragment.querySelectorAll(".timeline > li").length;
    say(main.dataset.state !== before.state && main.dataset.title, main.dataset.alerts !== before.alerts && alerts, tellRows && `${rows} in the timeline`);
    tellRows = false;
  }

  function connect() {
    const stream = new EventSource("/live");
    // Whatever changed between the rendering of this page and the stream's
    // begin, or while it was lost, is caught up with at every (re)connection.
    stream.addEventListener("hello", () => {
      clearInterval(poll);
      poll = 0;
      showLive("live", "live");
      refresh();
    });
    stream.addEventListener("update", refresh);
    stream.addEventListener("error", () => {
      if (stream.readyState !== EventSource.CLOSED) {
        showLive("lost", "reconnecting");
        return;
      }
      // Refused (too many pages are open, or no access): poll, and try again.
      showLive("lost", "polling");
      if (!poll) poll = setInterval(refresh, pollEvery);
      setTimeout(connect, pollEvery);
    });
    addEventListener("pagehide", () => stream.close(), { once: true });
  }

  // A page that comes back from the browser's cache has a closed stream.
  addEventListener("pageshow", (e) => {
    if (e.persisted) connect();
  });

  document.addEventListener("click", async (e) => {
    const button = e.target.closest("button[data-copy]");
    if (!button) return;
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch (err) {
      // No clipboard without https or localhost: select it for the reader.
      getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      said = "Selected";
    }
    button.textContent = said;
    say(said);
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });

  // A filter changes what is shown and nothing else: arrow keys walk through
  // its choices, so each is shown without leaving the page, or the focus.
  document.addEventListener("change", (e) => {
    const form = e.target.closest("form[data-auto]");
    if (!form) return;
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", `${form.getAttribute("action")}?${chosen}`);
    tellRows = true;
    refresh();
  });

  setInterval(tellAges, 1000);
  tellAges();
  connect();
})();
