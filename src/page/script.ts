/**
 * What runs in the browser: follows one event stream and replaces the parts that have changed, and
 * says so when it hears nothing any more. Without it the page is complete, but stands still.
 */
export const SCRIPT = `(() => {
  'use strict';
  const $ = (id) => document.getElementById(id);
  const list = $('guards'), live = $('live'), words = $('live-words'), said = $('said');
  const STALE_MS = 5000, RETRY_MS = 3000;
  let heardAt = performance.now(), source = null, state = 'still';

  const parsed = (markup) => {
    const template = document.createElement('template');
    template.innerHTML = markup;
    return template.content.firstElementChild;
  };
  const keyed = (root, key) => root.querySelector('[data-key="' + CSS.escape(key) + '"]');

  function replace(old, fresh) {
    if (old.dataset.v === fresh.dataset.v) return;
    for (const one of old.querySelectorAll('details[open]')) {
      const same = keyed(fresh, one.dataset.key);
      if (same) same.open = true;
    }
    const active = document.activeElement;
    const within = old.contains(active);
    const scrolled = old.scrollLeft;
    if (old.dataset.gist !== fresh.dataset.gist) fresh.classList.add('changed');
    old.replaceWith(fresh);
    fresh.scrollLeft = scrolled;
    if (within) (keyed(fresh, active.dataset.key || '') || (active === old ? fresh : null))?.focus({ preventScroll: true });
  }

  function show(update) {
    for (const [id, markup] of Object.entries(update.parts)) {
      const fresh = parsed(markup), old = $(id);
      if (old) replace(old, fresh);
      else if (fresh.classList.contains('card')) list.append(fresh);
    }
    if (update.order) {
      const wanted = new Set(update.order);
      for (const card of [...list.children]) if (!wanted.has(card.id)) card.remove();
      update.order.forEach((id, index) => {
        const card = $(id);
        if (card && list.children[index] !== card) list.insertBefore(card, list.children[index] || null);
      });
    }
    for (const [id, iso] of Object.entries(update.seen)) {
      const time = $(id)?.querySelector('[data-time=seen]');
      if (time) { time.dateTime = iso; time.textContent = iso.slice(11, 19) + ' UTC'; }
    }
    if (update.say.length > 0) said.textContent = update.say.join(' ');
  }

  function tell(next, text) {
    if (state !== next && (next === 'stale' || state === 'stale')) said.textContent = text;
    if (state !== next) live.dataset.state = state = next;
    if (words.textContent !== text) words.textContent = text;
  }

  function check() {
    const silentMs = performance.now() - heardAt;
    if (silentMs < STALE_MS) return;
    tell('stale', 'Not live: nothing heard for ' + (silentMs < 60000 ? Math.floor(silentMs / 5000) * 5 + ' s' : Math.floor(silentMs / 60000) + ' min'));
  }

  function follow() {
    source = new EventSource('events' + location.search);
    source.onmessage = ({ data }) => {
      heardAt = performance.now();
      show(JSON.parse(data));
      tell('live', 'Live');
    };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      source = null;
      setTimeout(() => { if (!source) follow(); }, RETRY_MS);
    };
  }

  follow();
  setInterval(check, 1000);
  addEventListener('pagehide', () => source?.close());
  addEventListener('pageshow', (event) => { if (event.persisted) follow(); });
})();`;
