import type { IncomingMessage, ServerResponse } from 'node:http';
import { apiStatus, statusItem, type ApiStatus } from './api-status.ts';
import type { DecisionLog } from './decision-log.ts';
import { EventStreams } from './event-streams.ts';
import { guardCard } from './guard-card.ts';
import { ICON } from './icon.ts';
import { Looks } from './looks.ts';
import {
  CONTENT_SECURITY_POLICY,
  decisionTable,
  guardSummary,
  pageDocument,
  type PageContent,
} from './page.ts';
import { keyOf, type KnownGuard, type StatusSource } from './port.ts';
import {
  chosenDecisions,
  guardPage,
  inOrder,
  readQuery,
  wrongIn,
  type PageQuery,
} from './query.ts';

/** What the page is made from. */
export interface StatusPageOptions {
  readonly source: StatusSource;
  readonly decisions: DecisionLog;
  readonly version: string;
  /** Which replica answers: its pod's name, or the host's. */
  readonly replica: string;
  /** The sentence that says why this replica answers no reviews; null: it does. */
  readonly unready: () => Promise<string | null>;
  /** Looks at guards that may begin within any second, whoever watches. */
  readonly looksPerSecond: number;
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
}

/** A page is shown with what was seen this lately. */
const YOUNG_MS = 1_000;
/** How long a page waits for members that are slow to answer; what is still missing comes live. */
const WAIT_MS = { few: 2_500, many: 1_000 };
const FEW = 5;
/** Thousands of guards are put in order no more often than that, however many watch. */
const ORDER_MS = 1_000;

const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
};

/** The status page, its JSON and its events; costs nothing while nobody watches. */
export class StatusPage {
  readonly #options: StatusPageOptions;
  readonly #looks: Looks;
  readonly #streams: EventStreams;
  #ordered: { readonly guards: readonly KnownGuard[]; readonly at: number } | null = null;

  constructor(options: StatusPageOptions) {
    const { source, nowMs, monotonicMs, looksPerSecond: perSecond, decisions } = options;
    this.#options = options;
    this.#looks = new Looks({ source, nowMs, monotonicMs, perSecond });
    this.#streams = new EventStreams({
      content: (query) => this.#content(query),
      seen: (guard) => this.#looks.get(guard)?.atMs ?? null,
      freshen: (guards) => void this.#looks.freshen(guards, YOUNG_MS - 100),
      onChanged: (listener) => {
        const forget = [this.#looks.onLooked(listener), decisions.onAdded(listener)];
        return () => {
          for (const one of forget) one();
        };
      },
    });
  }

  /** Answers a GET or a HEAD for one of its own paths; false: it has no such path. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { pathname, searchParams } = urlOf(request);
    const query = readQuery(searchParams);
    switch (pathname) {
      case '/':
        this.#send(response, 'text/html; charset=utf-8', await this.#document(query));
        return true;
      case '/api/status':
        await this.#answerProgram(response, searchParams);
        return true;
      case '/icon.svg':
        this.#send(response, 'image/svg+xml', ICON);
        return true;
      case '/events':
        this.#streams.open(request, response, query);
        return true;
      default:
        return false;
    }
  }

  /** Ends what watches. */
  stop(): void {
    this.#streams.stop();
    this.#looks.stop();
  }

  #send(response: ServerResponse, type: string, text: string): void {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    response.setHeader('Content-Type', type);
    response.setHeader('Content-Length', Buffer.byteLength(text));
    // Node itself leaves the body out of an answer to HEAD.
    response.end(text);
  }

  async #answerProgram(response: ServerResponse, given: URLSearchParams): Promise<void> {
    const wrong = wrongIn(given);
    if (wrong !== null) return this.#sendJson(response, { error: wrong }, 400);
    const query = readQuery(given);
    const isThere = (): boolean =>
      query.guard === '' || this.#guards().some((guard) => keyOf(guard) === query.guard);
    if (!isThere()) return this.#sendJson(response, { error: `no guard ${query.guard}` }, 404);
    return this.#sendJson(response, await this.#status(query));
  }

  #sendJson(response: ServerResponse, content: object, status = 200): void {
    response.statusCode = status;
    this.#send(response, 'application/json; charset=utf-8', `${JSON.stringify(content)}\n`);
  }

  async #document(query: PageQuery): Promise<string> {
    const { version, replica, nowMs, unready } = this.#options;
    await this.#look(query);
    const frame = { version, replica, unready: await unready(), nowMs: nowMs() };
    return pageDocument(frame, this.#content(query));
  }

  async #status(query: PageQuery): Promise<ApiStatus> {
    const { version, replica, nowMs, decisions } = this.#options;
    await this.#look(query);
    const shown = guardPage(this.#guards(), query);
    const items = shown.guards.map((guard) => statusItem(guard, this.#looks.get(guard)));
    const chosen = chosenDecisions(decisions.entries, query);
    return apiStatus({ version, replica, nowMs: nowMs() }, shown, items, chosen);
  }

  /** Whoever looks is a reason to ask etcd, though for all of them together no more than is bounded. */
  async #look(query: PageQuery): Promise<void> {
    const { guards } = guardPage(this.#guards(), query);
    const patience = guards.length <= FEW ? WAIT_MS.few : WAIT_MS.many;
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, patience);
    await Promise.race([this.#looks.freshen(guards, YOUNG_MS), enough]);
    clearTimeout(timer);
  }

  #content(query: PageQuery): PageContent {
    const guards = guardPage(this.#guards(), query);
    const { entries } = this.#options.decisions;
    return {
      query,
      guards,
      cards: guards.guards.map((guard) => guardCard(guard, this.#looks.get(guard))),
      summary: guardSummary(guards),
      decisions: decisionTable(chosenDecisions(entries, query), entries.length),
    };
  }

  #guards(): readonly KnownGuard[] {
    const { source, monotonicMs } = this.#options;
    const now = monotonicMs();
    if (this.#ordered === null || now - this.#ordered.at >= ORDER_MS) {
      this.#ordered = { guards: inOrder(source.known()), at: now };
    }
    return this.#ordered.guards;
  }
}

function urlOf({ url = '/' }: IncomingMessage): URL {
  const [path = '/', ...rest] = url.split('?');
  // Not parsed as a whole: `//host` would be taken for another origin.
  const parsed = new URL('http://guard/');
  parsed.pathname = path;
  parsed.search = rest.join('?');
  return parsed;
}
