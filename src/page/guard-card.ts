import { createHash } from 'node:crypto';
import { html, type Html } from './html.ts';
import type { Reason } from '../decision/situation.ts';
import type { Looked } from './looks.ts';
import { picture } from './picture.ts';
import { keyOf, type GuardLook, type KnownGuard } from './port.ts';
import { rowsOf, standingOf, type PodRow } from './rows.ts';
import { headline, healthWords, lagWords, roleWords, shortReason } from './words.ts';

/** A part of the page that can be replaced on its own. */
export interface Fragment {
  readonly id: string;
  /** The same as long as it looks the same, whenever that was seen. */
  readonly version: string;
  readonly markup: Html;
  /** What to tell those who don't see it change. */
  readonly spoken: string;
}

/** More rows than any etcd cluster has members; whoever has more pods finds them in the JSON. */
const ROWS_SHOWN = 30;

/** Looks don't change, and each is shown to all who watch. */
const made = new WeakMap<Looked, Fragment>();

/** One guard, as it was last seen; null: not yet. */
export function guardCard(guard: KnownGuard, looked: Looked | null): Fragment {
  if (looked === null) return fragment(guard, null, waiting(guard));
  const before = made.get(looked);
  if (before !== undefined) return before;
  const card = fragment(guard, looked, contentOf(guard, looked));
  made.set(looked, card);
  return card;
}

interface Content {
  readonly kind: 'fine' | 'trouble' | 'unknown';
  readonly body: Html;
  readonly spoken: string;
}

function contentOf(guard: KnownGuard, { look, failure }: Looked): Content {
  if (look !== null) return seen(guard, look);
  const key = keyOf(guard);
  const [kind, said] =
    failure === null
      ? (['unknown', 'This guard has gone.'] as const)
      : (['trouble', `It can't be looked at: ${failure}`] as const);
  return { kind, body: html`<p class="headline">${said}</p>`, spoken: `${key}: ${said}` };
}

function waiting(guard: KnownGuard): Content {
  const said = 'Its etcd is being asked; this takes a moment.';
  return {
    kind: guard.standing,
    body: html`<p class="headline">${said}</p>
      <noscript><p>Load the page again to see the answer.</p></noscript>`,
    spoken: '',
  };
}

const STANDING = { fine: 'Healthy', trouble: 'Needs attention', unknown: 'Not seen yet' };

function fragment(
  guard: KnownGuard,
  looked: Looked | null,
  { kind, body, spoken }: Content,
): Fragment {
  const key = keyOf(guard);
  const id = `guard-${key}`;
  const version = digest(`${kind}${body.toString()}`);
  const markup = html`<article
    class="card ${kind}"
    id="${id}"
    data-v="${version}"
    data-gist="${digest(spoken)}"
    aria-labelledby="${id}-name"
  >
    <header>
      <h3 id="${id}-name">
        <a data-key="name" href="?${query({ guard: key })}"
          ><bdi>${guard.namespace}</bdi>/<bdi>${guard.name}</bdi></a
        >
      </h3>
      <p class="standing ${kind}">${STANDING[kind]}</p>
    </header>
    ${body}
    <footer>
      ${looked !== null && html`<p>Asked at ${clock(looked.atMs, 'seen')}</p>`}
      <p><a data-key="json" href="api/status?${query({ guard: key })}">as JSON</a></p>
      <p>
        <a data-key="metrics" href="metrics">metrics</a> with
        <code>{namespace="<bdi>${guard.namespace}</bdi>",guard="<bdi>${guard.name}</bdi>"}</code>
      </p>
    </footer>
  </article>`;
  return { id, version, markup, spoken };
}

/** Short, and the same only for the same text. */
export function digest(text: string): string {
  return createHash('sha1').update(text).digest('base64url').slice(0, 12);
}

/** A time of day that scripts can replace, in UTC as in the log. */
export function clock(atMs: number, kind: 'seen' | 'made'): Html {
  const iso = new Date(atMs).toISOString();
  return html`<time data-time="${kind}" datetime="${iso}">${iso.slice(11, 19)} UTC</time>`;
}

function query(parameters: Readonly<Record<string, string>>): string {
  return new URLSearchParams(parameters).toString();
}

function seen(guard: KnownGuard, look: GuardLook): Content {
  const key = keyOf(guard);
  const rows = rowsOf(look);
  const [standing, mayGo] = headline(look, rows);
  const described = { id: `guard-${key}-picture`, text: `Cluster ${key}. ${standing}` };
  const body = html`<p class="headline">${standing} <strong>${mayGo}</strong></p>
    ${notesOn(look).map((note) => html`<p class="note">${note}</p>`)}
    ${
      rows.length > 0 &&
      html`<div class="cluster-and-pods">
        ${picture(rows, described)} ${podTable(key, look, rows)}
      </div>`
    }`;
  // A cluster that looks well but gives no proof of it needs somebody's eyes as well.
  const unsure =
    look.status.conditions.some(({ type, status }) => type === 'Accepted' && status === 'False') ||
    look.unasked !== null ||
    look.pods.some(({ reason }) => UNSURE.has(reason));
  const kind = unsure ? 'trouble' : standingOf(look.view);
  return { kind, body, spoken: `${key}: ${standing} ${mayGo}` };
}

const UNSURE: ReadonlySet<Reason> = new Set(['Unverifiable', 'AmbiguousGuard']);

function notesOn({ view, unasked, status }: GuardLook): readonly string[] {
  const overlap = status.conditions.find(({ reason }) => reason === 'OverlapsAnotherGuard');
  const full = (view?.members ?? []).filter(({ id }) => view?.noSpace.includes(id));
  return [
    ...(unasked === null ? [] : [`Any of them can be deleted: ${unasked}`]),
    ...(overlap === undefined ? [] : [`${overlap.message}.`]),
    ...full.map(
      ({ name, pods }) =>
        `${pods[0] ?? name} is out of space (NOSPACE alarm): the cluster refuses writes until that is mended.`,
    ),
  ];
}

function podTable(key: string, look: GuardLook, rows: readonly PodRow[]): Html {
  const more = rows.length - ROWS_SHOWN;
  return html`<table class="pods" role="table">
    <caption class="hidden">
      Pods of ${key}, and what a delete of each would get now
    </caption>
    <thead role="rowgroup">
      <tr role="row">
        <th scope="col" role="columnheader">Pod</th>
        <th scope="col" role="columnheader">What it is</th>
        <th scope="col" role="columnheader">May it be deleted now?</th>
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.slice(0, ROWS_SHOWN).map((row) => podRow(row, look))}
    </tbody>
    ${
      more > 0 &&
      html`<tfoot role="rowgroup">
        <tr role="row">
          <td role="cell" colspan="3">and ${more} more: see the JSON.</td>
        </tr>
      </tfoot>`
    }
  </table>`;
}

function podRow(row: PodRow, look: GuardLook): Html {
  const flags = [
    row.verdict?.terminating === true && 'Terminating',
    row.verdict?.reserved === true && 'Reserved',
  ];
  return html`<tr role="row">
    <th scope="row" role="rowheader"><bdi>${row.name}</bdi></th>
    <td role="cell">
      <span class="role">${roleWords(row)}</span
      ><span class="health ${row.health}">${healthWords(row)}</span
      >${lagWords(row) !== '' && html`<span class="lag">${lagWords(row)}</span>`}${flags.map((flag) => flag !== false && html`<span class="flag">${flag}</span>`)}
    </td>
    <td role="cell">${verdictCell(row, look)}</td>
  </tr>`;
}

function verdictCell({ verdict, name }: PodRow, look: GuardLook): Html {
  const { policy } = look.guard;
  if (verdict === null)
    return html`<span class="lag">No pod is known that could be deleted.</span>`;
  const { decision, reason, message } = verdict;
  const drained =
    reason === 'LeaderProtected' &&
    (policy.leader === 'HandOff' || policy.handOff.includes('Evictions'));
  return html`${verdictBadge(decision, reason)}
    <p>
      ${shortReason(verdict, look)}${drained && ' For kubectl drain, etcd-guard moves leadership away first, if it can.'}
    </p>
    <details data-key="why ${name}">
      <summary data-key="open ${name}">
        What the caller would read<span class="hidden"> about ${name}</span>
      </summary>
      <p class="message" dir="auto">${message}</p>
    </details>`;
}

/** In words and by a sign: colour only helps. */
function verdictBadge(decision: 'allow' | 'deny' | 'error', reason: string): Html {
  const { kind, sign, words } = BADGES[decision];
  return html`<p class="verdict ${kind}">
    <span class="mark" aria-hidden="true">${sign}</span>${words} <code>${reason}</code>
  </p>`;
}

const BADGES = {
  allow: { kind: 'goes', sign: '✓', words: 'Yes' },
  deny: { kind: 'stays', sign: '✕', words: 'No' },
  error: { kind: 'asks', sign: '!', words: 'Failed' },
};
