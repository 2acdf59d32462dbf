import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type express from 'express';
import { bareApp } from './bare-app.ts';
import { secureContextOf, type ServingCertificate } from './certificate.ts';
import type { Readiness } from './readiness.ts';

/** Gives the metrics in whichever format the Accept header asks for. */
export interface MetricsSource {
  exposition(accept: string): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** A part of the plain HTTP side that is made elsewhere. */
export interface PlainPages {
  /** Answers a GET or HEAD completely, or resolves with false and has not touched the response. */
  answer(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

/** What the plain HTTP side is made from. */
export interface ObservabilityOptions {
  readonly metrics: MetricsSource;
  readonly readiness: () => Promise<Readiness>;
  readonly version: string;
  /** The status page; without it `/` only names what else there is. */
  readonly page?: PlainPages | null;
  /** Whether a request may see more than health; absent: each may. */
  readonly admits?: (authorization: string | undefined) => boolean;
  /** Absent: plain HTTP. */
  readonly certificate?: ServingCertificate;
  /** Told what made an endpoint answer 500; must not throw. */
  readonly onFailed?: (error: unknown) => void;
}

const SLOW_SENDER_MS = 10_000;

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;color:#1f2328;background:#fff}' +
  'h1{font-size:1.4rem}dt{font-family:ui-monospace,monospace}dd{margin:0 0 .6rem}' +
  '@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}a{color:#6cb6ff}}';

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The side of `/metrics`, `/healthz`, `/readyz` and the status page, for GET and HEAD. */
export function createObservabilityServer(options: ObservabilityOptions): Server | TlsServer {
  const app = bareApp();
  app.use((request, response, next) => {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Cache-Control', 'no-store');
    if (request.method === 'GET' || request.method === 'HEAD') next();
    else
      response.status(405).setHeader('Allow', 'GET, HEAD').json({ error: 'only GET is allowed' });
  });
  app.get('/healthz', (_request, response) => {
    response.type('text').send('ok\n');
  });
  app.get('/readyz', async (_request, response) => {
    const readiness = await options.readiness();
    if (readiness.ready) response.type('text').send('ok\n');
    else response.status(503).type('text').send(`not ready: ${readiness.why}\n`);
  });
  // The probes above carry no token; whatever comes below tells of clusters.
  app.use((request, response, next) => {
    if (options.admits?.(request.headers.authorization) ?? true) next();
    else
      response
        .status(401)
        .setHeader('WWW-Authenticate', 'Bearer realm="etcd-guard"')
        .json({ error: 'a bearer token is needed here (--metrics-token-file)' });
  });
  app.get('/metrics', async (incoming, response) => {
    const { contentType, body } = await options.metrics.exposition(incoming.get('accept') ?? '');
    response.setHeader('Content-Type', contentType);
    response.end(body);
  });
  app.use(async (incoming, response, next) => {
    const answered = await options.page?.answer(incoming, response);
    if (answered !== true) next();
  });
  app.get('/', async (_request, response) => {
    const readiness = await options.readiness();
    response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    response.type('html').send(signpost(options.version, readiness));
  });
  app.use((_request, response) => {
    response.status(404).json({ error: 'not found' });
  });
  app.use(
    (
      error: unknown,
      _request: express.Request,
      response: express.Response,
      _next: express.NextFunction,
    ) => {
      options.onFailed?.(error);
      response.status(500).json({ error: 'internal error' });
    },
  );
  const limits = {
    requestTimeout: SLOW_SENDER_MS,
    headersTimeout: SLOW_SENDER_MS,
    keepAliveTimeout: 65_000,
  };
  const { certificate } = options;
  if (certificate === undefined) return createServer(limits, app);
  const handshake = { handshakeTimeout: SLOW_SENDER_MS };
  return createTlsServer({ ...limits, ...handshake, ...secureContextOf(certificate) }, app);
}

function signpost(version: string, readiness: Readiness): string {
  const state = readiness.ready ? 'ready' : `not ready: ${readiness.why}`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>etcd-guard</title><style>${STYLE}</style></head>
<body>
<h1>etcd-guard ${escapeHtml(version)}</h1>
<p>Keeps etcd pods from being deleted while they lead or are needed for the quorum. Now: ${escapeHtml(state)}.</p>
<dl>
<dt><a href="metrics">/metrics</a></dt><dd>for Prometheus</dd>
<dt><a href="readyz">/readyz</a></dt><dd>whether the webhook takes connections with its current certificate</dd>
<dt><a href="healthz">/healthz</a></dt><dd>whether this process lives</dd>
</dl>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
