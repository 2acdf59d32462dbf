import { createHash } from 'node:crypto';
import type { LoggedDecision } from './decision-log.ts';
import { DECISIONS_KEPT } from './decision-log.ts';
import { clock, digest, type Fragment } from './guard-card.ts';
import { html, trusted, type Html } from './html.ts';
import { keyOf } from './port.ts';
import {
  DECISION_REASONS,
  DECISIONS,
  writeQuery,
  type GuardPage,
  type PageQuery,
} from './query.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

/** What stands on every page, whatever it shows. */
export interface PageFrame {
  readonly version: string;
  /** Which replica answers. */
  readonly replica: string;
  /** null: it answers reviews; else why not. */
  readonly unready: string | null;
  readonly nowMs: number;
}

/** What one page shows. */
export interface PageContent {
  readonly query: PageQuery;
  readonly guards: GuardPage;
  readonly cards: readonly Fragment[];
  readonly summary: Fragment;
  readonly decisions: Fragment;
}

const hashOf = (text: string): string =>
  `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Nothing but our own style, script and picture, and nobody may frame it. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src ${hashOf(STYLE)}`,
  `script-src ${hashOf(SCRIPT)}`,
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/** To the letter what the policy has the hashes of. */
const STYLE_ELEMENT = trusted(`<style>${STYLE}</style>`);
const SCRIPT_ELEMENT = trusted(`<script>${SCRIPT}</script>`);

/** The document. */
export function pageDocument(frame: PageFrame, content: PageContent): string {
  const { query, cards, guards, summary, decisions } = content;
  const title = query.guard === '' ? 'etcd-guard' : `${query.guard} · etcd-guard`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <link rel="icon" href="icon.svg" type="image/svg+xml" />
        ${STYLE_ELEMENT}
      </head>
      <body>
        <a class="skip" href="#guards-title">To the guards</a>
        <header class="top">
          <div>
            <h1><a href="./">etcd-guard</a> <small>${frame.version}</small></h1>
            <p>Keeps etcd pods from being deleted while they lead or are needed for the quorum.</p>
          </div>
          <p class="live" id="live" data-state="still">
            <span class="mark" aria-hidden="true"></span
            ><span id="live-words">As of ${clock(frame.nowMs, 'made')}</span>
          </p>
        </header>
        <main>
          ${frame.unready !== null && html`<p class="alarm" role="status"><strong>This replica answers no reviews:</strong> ${frame.unready}</p>`}
          <noscript
            ><p class="note">
              Without JavaScript this page stands still.
              <a href="${here(query)}">Load it again</a> for what is true now.
            </p></noscript
          >
          ${summary.markup}
          <section aria-labelledby="guards-title">
            <div class="section-head">
              <h2 id="guards-title" tabindex="-1">Guards</h2>
              ${searchForm(query)}
            </div>
            ${explanation}
            <div id="guards" class="guards">${cards.map(({ markup }) => markup)}</div>
            ${guards.matching === 0 && html`<p class="nothing">${nothing(content)}</p>`}
            ${pages(guards, query)}
          </section>
          <section aria-labelledby="decisions-title">
            <div class="section-head">
              <h2 id="decisions-title">Last decisions</h2>
              ${decisionForm(query)}
            </div>
            <p class="aside">
              The last ${DECISIONS_KEPT} that this replica (<bdi>${frame.replica}</bdi>) made about
              guarded pods since it started; other replicas have their own. What all of them decided
              is in their logs and metrics.
            </p>
            ${decisions.markup}
          </section>
        </main>
        <footer class="bottom">
          <nav aria-label="Elsewhere on this port">
            <a href="metrics">Metrics</a
            ><a href="api/status${writeQuery(query)}">This page as JSON</a
            ><a href="readyz">Readiness</a><a href="healthz">Health</a>
          </nav>
          <p>Read-only. Replica <bdi>${frame.replica}</bdi>.</p>
        </footer>
        <p class="hidden" id="said" role="status" aria-live="polite"></p>
        ${SCRIPT_ELEMENT}
      </body>
    </html> `.toString();
}

function here(query: PageQuery): string {
  return writeQuery(query) === '' ? './' : writeQuery(query);
}

const explanation = html`<details class="explanation">
  <summary>How to read this</summary>
  <p>
    etcd keeps the same data on several <em>members</em>, each in a pod. One of them <em>leads</em>,
    the others <em>follow</em>. The cluster works as long as more than half of the
    <em>voters</em> are healthy: that number is the <em>quorum</em>. <em>Learners</em> don't vote.
  </p>
  <p>
    “May it be deleted now?” is what etcd-guard would answer to a <code>kubectl delete pod</code> at
    the time shown below the table: it has asked the members themselves. <em>Reserved</em> means
    that a deletion was allowed a moment ago, so that the pod counts as gone already.
  </p>
</details>`;

function searchForm(query: PageQuery): Html {
  return html`<form class="filters" role="search" action="./" method="get">
    ${kept({ ...query, search: '', guard: '', page: 1 })}
    <label
      >Namespace or name
      <input
        type="search"
        name="q"
        value="${query.search === '' ? query.guard : query.search}"
        maxlength="320"
        autocomplete="off"
        spellcheck="false"
        dir="auto"
    /></label>
    <button>Find</button>
    ${(query.search !== '' || query.guard !== '') && html`<a href="${here({ ...query, search: '', guard: '', page: 1 })}">All guards</a>`}
  </form>`;
}

function decisionForm(query: PageQuery): Html {
  const none = { ...query, decision: '', reason: '', dryRun: '' } as const;
  const filtered = query.decision !== '' || query.reason !== '' || query.dryRun !== '';
  return html`<form class="filters" action="./#decisions-title" method="get">
    ${kept(none)}
    <label>Decision ${select('decision', query.decision, DECISIONS)}</label>
    <label>Reason ${select('reason', query.reason, DECISION_REASONS)}</label>
    <label>Dry run ${select('dryRun', query.dryRun, ['yes', 'no'])}</label>
    <button>Show</button>
    ${filtered && html`<a href="${here(none)}#decisions-title">All decisions</a>`}
  </form>`;
}

/** What the other form has chosen. */
function kept(query: PageQuery): readonly Html[] {
  return [...new URLSearchParams(writeQuery(query))].map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
  );
}

function select(name: string, chosen: string, values: readonly string[]): Html {
  return html`<select name="${name}">
    <option value="">any</option>
    ${values.map(
      (value) => html`<option${trusted(value === chosen ? ' selected' : '')}>${value}</option>`,
    )}
  </select>`;
}

function nothing({ query, guards }: PageContent): string {
  const { trouble, unknown, fine } = guards.counts;
  if (trouble + unknown + fine > 0) {
    return `No guard is called “${query.guard === '' ? query.search : query.guard}”.`;
  }
  return 'There are no guards yet: nothing is protected. An EtcdGuard names the pods to protect.';
}

function pages({ page: at, pages: last }: GuardPage, query: PageQuery): Html | null {
  if (last === 1) return null;
  const link = (page: number, words: string): Html =>
    html`<a href="${here({ ...query, page })}#guards-title">${words}</a>`;
  return html`<nav class="pages" aria-label="Pages of guards">
    ${at > 1 && html`${link(1, 'First')}${link(at - 1, 'Previous')}`}
    <span>Page ${at} of ${last}</span>
    ${at < last && html`${link(at + 1, 'Next')}${link(last, 'Last')}`}
  </nav>`;
}

/** How many guards there are, and how they stand. */
export function guardSummary({ counts }: GuardPage): Fragment {
  const { trouble, unknown, fine } = counts;
  const total = trouble + unknown + fine;
  const body = html`<li><strong>${total}</strong> ${total === 1 ? 'guard' : 'guards'}</li>
    <li class="${trouble > 0 ? 'trouble' : 'none'}">
      <span class="mark" aria-hidden="true">!</span
      ><strong>${trouble}</strong> need${trouble === 1 && 's'} attention
    </li>
    <li class="${fine > 0 ? 'fine' : 'none'}">
      <span class="mark" aria-hidden="true">✓</span><strong>${fine}</strong> healthy
    </li>
    ${unknown > 0 && html`<li class="unknown"><span class="mark" aria-hidden="true">?</span><strong>${unknown}</strong> not seen yet</li>`}`;
  const version = digest(body.toString());
  return {
    id: 'summary',
    version,
    spoken: '',
    markup: html`<ul class="summary" id="summary" data-v="${version}" aria-label="All guards">
      ${body}
    </ul>`,
  };
}

/** The chosen ones of the last decisions; `all` is how many there are to choose from. */
export function decisionTable(chosen: readonly LoggedDecision[], all: number): Fragment {
  const body = chosen.length === 0 ? noDecisions(all) : rows(chosen);
  const version = digest(body.toString());
  const [newest] = chosen;
  const spoken =
    newest === undefined
      ? ''
      : `${verb(newest)} of ${newest.pod}: ${newest.decision}, ${newest.reason}.`;
  return {
    id: 'decisions',
    version,
    spoken,
    markup: html`<div
      class="scrolls"
      id="decisions"
      data-v="${version}"
      role="region"
      aria-label="Table of decisions"
      tabindex="0"
    >
      ${body}
    </div>`,
  };
}

function noDecisions(all: number): Html {
  return html`<p class="nothing">
    ${all === 0 ? 'None yet.' : `None of the last ${all} is like that.`}
  </p>`;
}

function rows(chosen: readonly LoggedDecision[]): Html {
  return html`<table class="decisions" role="table">
    <caption class="hidden">
      The last decisions of this replica, newest first
    </caption>
    <thead role="rowgroup">
      <tr role="row">
        <th scope="col" role="columnheader">Time</th>
        <th scope="col" role="columnheader">Pod</th>
        <th scope="col" role="columnheader">Asked</th>
        <th scope="col" role="columnheader">May it go?</th>
        <th scope="col" role="columnheader">What the caller read</th>
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${chosen.map(row)}
    </tbody>
  </table>`;
}

function row(one: LoggedDecision): Html {
  const iso = new Date(one.atMs).toISOString();
  const words = {
    allow: ['goes', '✓', 'Yes'],
    deny: ['stays', '✕', 'No'],
    error: ['asks', '!', 'Failed'],
  } as const;
  const [kind, sign, said] = words[one.decision];
  return html`<tr role="row">
    <td role="cell"><time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time></td>
    <th scope="row" role="rowheader">
      <bdi>${one.namespace}</bdi>/<bdi>${one.pod}</bdi>${guardOf(one)}
    </th>
    <td role="cell">${verb(one)}${one.dryRun && html` <span class="flag">dry run</span>`}</td>
    <td role="cell">
      <p class="verdict ${kind}">
        <span class="mark" aria-hidden="true">${sign}</span>${said} <code>${one.reason}</code>
      </p>
    </td>
    <td role="cell" class="message" dir="auto">${one.message}</td>
  </tr>`;
}

function guardOf({ guard }: LoggedDecision): Html | null {
  if (guard === null) return null;
  const key = keyOf(guard);
  return html`<span class="by"
    >guard
    <a data-key="${key}" href="?${new URLSearchParams({ guard: key }).toString()}"
      ><bdi>${key}</bdi></a
    ></span
  >`;
}

function verb({ operation }: LoggedDecision): string {
  return operation === 'delete' ? 'Delete' : 'Eviction';
}
